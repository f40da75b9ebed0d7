// Files in messages: pictures are shown, all else can be saved. The server gives them to members only, so they are
// fetched, and shown from memory.

import { bdi, el, icon } from "../dom.js";
import { readAttachment } from "./api.js";
import { sizeWords } from "./frames.js";

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

export const isPicture = (mime) => PICTURES.has(mime);

/** What stands in a message for its files. */
export function filesView(chatId, attachments, say) {
  return el("ul.files", attachments.map((one) => el("li", fileView(chatId, one, say))));
}

function fileView(chatId, { id, name, mime, size }, say) {
  const save = async () => {
    try {
      saveAs(name, await readAttachment(chatId, id));
    } catch (error) {
      say(error.message, { tone: "error" });
    }
  };
  const label = el("span.file-words", bdi(name, "file-name"), el("span.file-size", sizeWords(size)));
  const button = el("button.file", { type: "button", title: `Save ${name}`, on: { click: save } }, icon("file", 15), label);
  if (!isPicture(mime)) return button;
  const picture = el("img.picture", { alt: name, hidden: true });
  const frame = el("div.picture-frame", el("span.spinner"), picture);
  button.classList.add("has-picture");
  button.prepend(frame);
  readAttachment(chatId, id).then(dataUrl).then((url) => {
    picture.src = url;
    picture.hidden = false;
    frame.firstChild.remove();
  }).catch(() => frame.remove());
  return button;
}

/** A Blob as an address that holds all of it: the page's policy allows no others in a picture. */
export function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

function saveAs(name, blob) {
  const url = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" })); // never opened as a page of ours
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
