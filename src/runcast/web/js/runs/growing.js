// A text while it is written: paragraphs that are whole are shown as they are meant to be read, the last one as it comes.

import { el, visibleText } from "../dom.js";
import { prose } from "../views/prose.js";

const FENCE = /^[ \t]*(?:```|~~~)/gm;

export class GrowingText {
  #shown = "";
  #done = 0; // so many characters of it are in whole paragraphs
  #tail = el("div.growing-tail", { dir: "auto" });
  #text = el("div.growing-text.prose-block", this.#tail);

  /** Its style lets the box follow the end of the text, unless somebody has scrolled back: nothing is measured here. */
  constructor(label) {
    this.node = el("div.growing", { tabindex: 0, role: "group", "aria-label": label }, this.#text);
  }

  update(text) {
    if (text === this.#shown) return;
    if (!text.startsWith(this.#shown)) this.#reset();
    const more = text.slice(this.#shown.length);
    this.#shown = text;
    if (!this.#settle()) this.#append(more);
  }

  #reset() {
    this.#shown = "";
    this.#done = 0;
    this.#tail.replaceChildren();
    this.#text.replaceChildren(this.#tail);
  }

  /** Make what has become whole into paragraphs; not within a block of code. */
  #settle() {
    const rest = this.#shown.slice(this.#done);
    const cut = rest.lastIndexOf("\n\n");
    if (cut < 0) return false;
    const whole = rest.slice(0, cut);
    if ((whole.match(FENCE)?.length ?? 0) % 2) return false;
    this.#tail.before(...prose(whole));
    this.#done += cut + 2;
    this.#tail.replaceChildren(...visibleText(rest.slice(cut + 2)));
    return true;
  }

  #append(more) {
    const [first, ...rest] = visibleText(more);
    const last = this.#tail.lastChild;
    if (last instanceof Text && first instanceof Text) last.appendData(first.data);
    else if (first) this.#tail.append(first);
    this.#tail.append(...rest);
  }
}
