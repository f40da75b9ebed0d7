// The marks within a line of Markdown: emphasis, code and links, as plain values. Pure.

const PLACE = String.raw`https?:\/\/[^\s<>"\x60\\]{1,2000}`; // nothing else is ever an address: no script, no file
// An escape, code, <address>, [words](address), an address, a run of marks, the end of a line.
const TOKEN = new RegExp(
  String.raw`\\([*_~\x60[\]])|\x60\x60([^\n]{1,2000}?)\x60\x60|\x60([^\x60\n]+)\x60|<(${PLACE})>|\[([^[\]\n]{1,500})\]\((${PLACE})|(${PLACE})|(\*+|~~)|\n`, "g",
);
const TITLE = /^ {1,3}"[^"\n]{0,300}"\)/;
const TITLE_CHARS = 310;
const AFTER_ADDRESS = ".,;:!?'*_~]";
const MOST_RUN = 3; // of asterisks: more of them are a line, not a mark
const MARKS = ["b", "i", "s", "code"];

/**
 * Spans of a text: {text, mark, href?}. `mark` names what holds, in the order of MARKS, such as "b i", or is empty.
 * An `href` begins with http:// or https://. Takes a time that grows with the length alone.
 */
export function spansOf(text) {
  const reading = new Reading(text);
  reading.read();
  return merged(reading.pieces);
}

class Reading {
  pieces = []; // {text, own: marks of its own, ends: marks that end before it, begins: marks that begin after it, href}
  #open = { "*": [], "~": [] };
  #from = 0;

  constructor(text) {
    this.text = text;
  }

  read() {
    const tokens = new RegExp(TOKEN);
    for (let found = tokens.exec(this.text); found; found = tokens.exec(this.text)) {
      this.#add(this.text.slice(this.#from, found.index));
      this.#from = found.index + found[0].length;
      this.#take(found);
      tokens.lastIndex = this.#from;
    }
    this.#add(this.text.slice(this.#from));
  }

  #add(text, { own = [], href } = {}) {
    this.pieces.push({ text, own, href, ends: [], begins: [] });
    return this.pieces.length - 1;
  }

  #take([whole, escaped, double, code, angled, words, place, bare, run]) {
    if (run) this.#run(run);
    else if (place) this.#link(words, place);
    else if (bare) this.#address(bare);
    else if (angled) this.#add(angled, { href: angled });
    else if (escaped) this.#add(escaped);
    else if (whole === "\n") this.#endLine();
    else this.#add(double?.trim() || double || code, { own: ["code"] });
  }

  #endLine() {
    this.#add("\n");
    this.#open = { "*": [], "~": [] };
  }

  /** [words](address …: the address may have brackets of its own, and all that was taken with it may be read again. */
  #link(words, place) {
    const end = closing(place);
    const title = end < 0 ? TITLE.exec(this.text.slice(this.#from, this.#from + TITLE_CHARS)) : null;
    if (end < 0 && !title) {
      this.#from -= place.length;
      return this.#add(`[${words}](`);
    }
    const href = end < 0 ? place : place.slice(0, end);
    for (const { text, mark } of spansOf(words)) this.#add(text, { own: mark.split(" "), href });
    this.#from += end < 0 ? title[0].length : end + 1 - place.length;
  }

  /** An address as it stands in a text: what ends a sentence is not part of it. */
  #address(bare) {
    let end = bare.length;
    const isOver = (last) => AFTER_ADDRESS.includes(last) || (last === ")" && closing(bare.slice(0, end)) === end - 1);
    while (isOver(bare[end - 1])) end -= 1;
    this.#add(bare.slice(0, end), { href: bare.slice(0, end) });
    this.#from -= bare.length - end;
  }

  /** A run of asterisks or ~~: the end of what was opened last on this line, or a beginning, or itself. */
  #run(run) {
    const before = this.text[this.#from - run.length - 1] ?? " ";
    const after = this.text[this.#from] ?? " ";
    const isWordy = run.length === 1 && /[\p{L}\p{N}_]/u.test(before) && /[\p{L}\p{N}_]/u.test(after); // 2*3*4
    const isMark = run.length <= MOST_RUN && !isWordy;
    const left = isMark && /\S/.test(before) ? this.#close(run) : run.length;
    const at = this.#add(run.slice(0, left));
    if (left && isMark && /\S/.test(after)) this.#open[run[0]].push({ at, left });
  }

  /** How many of a run are left when all that it can end has ended. */
  #close(run) {
    const stack = this.#open[run[0]];
    let left = run.length;
    while (left && stack.length) {
      const last = stack.at(-1);
      const used = Math.min(2, left, last.left);
      const mark = run[0] === "~" ? "s" : used === 2 ? "b" : "i";
      this.pieces[last.at].begins.push(mark);
      this.pieces[this.#add("")].ends.push(mark);
      last.left -= used;
      this.pieces[last.at].text = run[0].repeat(last.left);
      left -= used;
      for (const one of Object.values(this.#open)) while (one.length && one.at(-1).at > last.at) one.pop(); // across its end
      if (!last.left) stack.pop();
    }
    return left;
  }
}

/** Where the bracket closes that was opened before a text; -1 if it does not. */
function closing(text) {
  let depth = 1;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "(") depth += 1;
    else if (text[at] === ")" && (depth -= 1) === 0) return at;
  }
  return -1;
}

function merged(pieces) {
  const spans = [];
  const holding = { b: 0, i: 0, s: 0 };
  for (const { text, own, href, ends, begins } of pieces) {
    for (const mark of ends) holding[mark] -= 1;
    if (text) {
      const mark = MARKS.filter((one) => holding[one] || own.includes(one)).join(" ");
      const last = spans.at(-1);
      if (last && !href && !last.href && last.mark === mark) last.text += text;
      else spans.push({ text, mark, ...(href ? { href } : {}) });
    }
    for (const mark of begins) holding[mark] += 1;
  }
  return spans;
}
