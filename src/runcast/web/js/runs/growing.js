// A text while it is written, as it is meant to be read: what is whole stays as it is, the last paragraph is made anew.

import { el, visibleText } from "../dom.js";
import { prose } from "../views/prose.js";

const FENCE = /^[ \t]*(?:```|~~~)/gm;
const SHORT_CHARS = 6_000; // a longer last paragraph is only added to: it would be made anew for each word

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
    const isAnother = this.#settle();
    const last = this.#shown.slice(this.#done);
    if (isAnother || last.length <= SHORT_CHARS) this.#tail.replaceChildren(...prose(last));
    else (this.#tail.querySelector(":scope > .code-block:last-child bdi") ?? this.#tail).append(...visibleText(more));
  }

  #reset() {
    this.#shown = "";
    this.#done = 0;
    this.#text.replaceChildren(this.#tail);
  }

  /** Make what has become whole into paragraphs, not within a block of code; whether there was any. */
  #settle() {
    const rest = this.#shown.slice(this.#done);
    const cut = rest.lastIndexOf("\n\n");
    if (cut < 0) return false;
    const whole = rest.slice(0, cut);
    if ((whole.match(FENCE)?.length ?? 0) % 2) return false;
    this.#tail.before(...prose(whole));
    this.#done += cut + 2;
    return true;
  }
}
