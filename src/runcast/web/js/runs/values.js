// What is in an event may be anything: these give what was asked for, or nothing. Pure.

export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
export const objectOf = (value) => (isObject(value) ? value : {});
export const listOf = (value) => (Array.isArray(value) ? value : []);
export const textOf = (value) => (typeof value === "string" ? value : "");
export const numberOf = (value) => (Number.isFinite(value) ? value : null);
export const timeOf = (event) => Date.parse(event.time) || 0;

/** What a table has under a key that somebody else has chosen; undefined for what all objects have. */
export const own = (table, key) => (Object.hasOwn(table, key) ? table[key] : undefined);

/**
 * A text of at most so many characters, of which the end is kept, because it is what is being written. A good part is
 * cut off at once, so that a text that grows is seldom another from its beginning.
 */
export function tail(text, limit) {
  return text.length <= limit ? text : `… ${text.slice(-Math.floor(limit * 0.75))}`;
}

/** Any value in words: a text as it is, all else as JSON. */
export function wordsOf(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
