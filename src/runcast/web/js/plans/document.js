// A plan as text: read as JSON with an error that says where, and the place in the text that a field's name means. Pure.

/** {value} or {error: {message, at (characters from the start), line, column}}. */
export function readDocument(text) {
  try {
    const value = JSON.parse(text);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return { value };
    return { error: { message: "An object is expected: { … }.", at: 0, line: 1, column: 1 } };
  } catch (error) {
    return { error: { ...placeOfError(text, error.message) } };
  }
}

const LIST_OF_TEXTS = /\[\n\s+("[^"\n]*"(?:,\n\s+"[^"\n]*")*)\n\s+\]/g;

/** A definition as people write one: lists of names on one line. */
export function writeDocument(value) {
  return JSON.stringify(value, null, 2).replace(LIST_OF_TEXTS, (_, names) => `[${names.replace(/,\n\s+/g, ", ")}]`);
}

function placeOfError(text, said) {
  const at = firstFlaw(text);
  const before = text.slice(0, at).split("\n");
  const reason = said.replace(/^JSON\.parse: /, "").replace(/ in JSON at position .*| \(line .*| at line .*/s, "").replace(/, "[\s\S]*$/, "");
  return { message: `Not valid JSON: ${reason}`, at, line: before.length, column: before.at(-1).length + 1 };
}

/** How far the text can be read; browsers differ in what they tell of it. */
function firstFlaw(text) {
  const reader = new Reader(text);
  reader.value();
  if (!reader.failed) reader.space();
  return Math.min(reader.at, text.length);
}

/**
 * {start, end} of what `field` names in a JSON text, such as "steps[2].depends_on"; of the nearest thing around it
 * that is there, or null. A path may also be written with dots alone ("steps.2.depends_on").
 */
export function placeOf(text, field) {
  const path = [...field.matchAll(/[^.[\]]+/g)].map(([part]) => part);
  const reader = new Reader(text);
  reader.value([]);
  if (reader.failed) return null;
  for (let length = path.length; length > 0; length -= 1) {
    const found = reader.places.get(JSON.stringify(path.slice(0, length)));
    if (found) return found;
  }
  return null;
}

const LITERAL = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SPACE = /[ \t\r\n]*/y;
const DEEPEST = 64;

/** Goes through a JSON text and notes where each value stands. Stops at the first flaw. */
class Reader {
  at = 0;
  failed = false;
  places = new Map();

  constructor(text) {
    this.text = text;
  }

  value(path = [], depth = 0) {
    this.space();
    const start = this.at;
    const opening = this.text[start];
    if (depth > DEEPEST) this.failed = true;
    else if (opening === "{") this.#items("}", path, depth, true);
    else if (opening === "[") this.#items("]", path, depth, false);
    else this.#take(opening === '"' ? STRING : LITERAL);
    if (!this.failed) this.places.set(JSON.stringify(path), { start, end: this.at });
  }

  space() {
    this.#take(SPACE);
  }

  #items(closing, path, depth, named) {
    this.at += 1;
    this.space();
    if (this.#is(closing)) return;
    for (let index = 0; !this.failed; index += 1) {
      const name = named ? this.#name() : String(index);
      if (this.failed) return;
      this.value([...path, name], depth + 1);
      if (this.failed) return;
      this.space();
      if (this.#is(closing)) return;
      if (!this.#is(",")) this.failed = true;
    }
  }

  #name() {
    this.space();
    const start = this.at;
    this.#take(STRING);
    if (this.failed) return "";
    const name = JSON.parse(this.text.slice(start, this.at));
    this.space();
    if (!this.#is(":")) this.failed = true;
    return name;
  }

  #is(character) {
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  #take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (!found) this.failed = true;
    else this.at = pattern.lastIndex;
  }
}
