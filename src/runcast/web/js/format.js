// Words for numbers, durations, times and sizes, and hostile text made visible. Pure.

const DASH = "–";
const THIN = "\u202f";

// Made once: making one takes as long as using it a thousand times.
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", year: "numeric" });

/** 1234567 -> "1,234,567". */
export function whole(number) {
  return Number.isFinite(number) ? WHOLE.format(number) : DASH;
}

/** 12345 -> "12.3k": at most three digits and a unit. */
export function compact(number) {
  if (!Number.isFinite(number)) return DASH;
  const size = Math.abs(number);
  if (size < 1000) return String(Math.round(number));
  for (const [unit, step] of [["k", 1e3], ["M", 1e6], ["G", 1e9], ["T", 1e12]]) {
    const value = number / step;
    if (Math.abs(value) < 999.5) return trim(value.toFixed(Math.abs(value) < 99.95 ? 1 : 0)) + unit;
  }
  return number.toExponential(1);
}

function trim(text) {
  return text.replace(/\.0$/, "");
}

/** Seconds as a person says them: "<1 ms", "340 ms", "4.2 s", "3m 05s", "2h 14m", "3d 4h". */
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return DASH;
  if (seconds > 0 && seconds < 0.001) return `<1${THIN}ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)}${THIN}ms`;
  if (seconds < 59.95) return `${trim(seconds.toFixed(1))}${THIN}s`;
  const s = Math.round(seconds);
  if (s < 3600) return `${Math.floor(s / 60)}m ${pad(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${pad(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d ${Math.floor((s % 86400) / 3600)}h`;
}

/** How long ago, coarsely: "now", "12s", "5m", "3h", "2d". */
export function ago(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 5) return "now";
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  if (s < 86400) return `${Math.floor(s / 3600)}h`;
  return `${Math.floor(s / 86400)}d`;
}

/** 14:03:22 in the reader's own time zone. */
export function clock(ms) {
  const at = new Date(ms);
  return Number.isNaN(at.getTime()) ? DASH : `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** Wed 11 Feb 2026. */
export function day(ms) {
  return DAY.format(ms);
}

/** Date and time together, as short as today allows. */
export function moment(ms, now = Date.now()) {
  return sameDay(ms, now) ? clock(ms) : `${day(ms)}, ${clock(ms)}`;
}

export function sameDay(a, b) {
  return Math.abs(a - b) < 86_400_000 && new Date(a).getDate() === new Date(b).getDate();
}

/** The value of an <input type="datetime-local" step="1">. */
export function localInput(ms) {
  const at = new Date(ms);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}T${clock(ms)}`;
}

export function usd(value) {
  if (!Number.isFinite(value)) return DASH;
  return `$${value < 0.995 ? value.toFixed(3) : value < 100 ? value.toFixed(2) : whole(value)}`;
}

export function count(number, one, many = `${one}s`) {
  return `${whole(number)} ${number === 1 ? one : many}`;
}

/** The last parts of a path: "…/services/renderer.ex". */
export function shortPath(path, parts = 3) {
  const all = path.split("/").filter(Boolean);
  return all.length <= parts ? path : `…/${all.slice(-parts).join("/")}`;
}

export function firstLine(text, limit = 400) {
  const line = text.trimStart().slice(0, limit * 4).split("\n", 1)[0];
  return line.length > limit ? `${line.slice(0, limit)}…` : line;
}

// Control characters, marks that turn the direction of writing, and ones without any width.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]/;
const HIDDEN_ALL = new RegExp(HIDDEN.source, "g");
const COLOURS = /\u001b\[[0-9;:]*m/g; // of a terminal: they say nothing without one

/**
 * Text in pieces: what can be read, and what would be invisible or misleading, as {text, control}.
 * `control` is null or the code point, such as "U+202E"; terminal colours are left out.
 */
export function visibleParts(text) {
  if (!HIDDEN.test(text)) return [{ text, control: null }];
  const plain = text.replace(COLOURS, "").replace(/\r\n/g, "\n");
  const parts = [];
  let from = 0;
  for (const found of plain.matchAll(HIDDEN_ALL)) {
    if (found.index > from) parts.push({ text: plain.slice(from, found.index), control: null });
    parts.push(symbol(found[0]));
    from = found.index + 1;
  }
  if (from < plain.length) parts.push({ text: plain.slice(from), control: null });
  return parts;
}

function symbol(character) {
  const code = character.charCodeAt(0);
  const control = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  const picture = code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : `⟨${control}⟩`;
  return { text: picture, control };
}

function pad(number) {
  return String(number).padStart(2, "0");
}
