// The frames of the chat that are more than JSON. Pure.

const LENGTH_BYTES = 4;

/** An attachment as one binary message: how long its head is, the head as JSON, then the content. */
export function attachmentFrame({ id, name, mime }, content) {
  const head = new TextEncoder().encode(JSON.stringify({ id, name, mime }));
  const frame = new Uint8Array(LENGTH_BYTES + head.length + content.byteLength);
  new DataView(frame.buffer).setUint32(0, head.length);
  frame.set(head, LENGTH_BYTES);
  frame.set(new Uint8Array(content), LENGTH_BYTES + head.length);
  return frame;
}

/** A name as the server takes it: printable, and not too long. */
export function cleanName(name) {
  return [...name.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "")].slice(0, 200).join("").trim() || "attachment";
}

/** 1536 -> "1.5 KB". */
export function sizeWords(bytes) {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 999_500) return `${Math.round(bytes / 1_000)} KB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** A name for a conversation that nobody has begun yet. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `c_${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
