// The head of one run: its state and name, what is known of it, its figures, and what can be done. Each part is drawn
// only when it is another, so that a button stays under the finger and the keyboard where it is.

import { bdi, el, icon } from "../dom.js";
import { whenChanged } from "./drawing.js";
import { actButton, badge, figureList } from "./parts.js";

export class RunHead {
  #title = el("h1");
  #meta = el("p.headline-meta");
  #figures = el("div");
  #acts = el("div.acts");
  #drawTitle = whenChanged((state, name) => this.#title.replaceChildren(badge(state), bdi(name, "run-name")));
  #drawMeta = whenChanged((parts) => this.#meta.replaceChildren(...parts.filter(Boolean)));
  #drawFigures = whenChanged((cells) => this.#figures.replaceChildren(figureList(cells)));
  #drawActs = whenChanged((acts) => this.#replaceActs(acts));

  constructor({ back }) {
    this.node = el("div.headline", backButton(back), el("div.headline-text", this.#title, this.#meta), this.#figures, this.#acts);
    this.#figures.className = "figures-place";
  }

  /**
   * `meta` is {version, parts: () => elements}; `figures` are cells of `figureList`; `acts` is {version, list: () => acts},
   * each {label, icon, tone?, title?, act}, or {words} for what cannot be pressed.
   */
  update({ state, name, meta, figures, acts }) {
    this.#drawTitle([state, name], state, name);
    this.#drawMeta(meta.version, meta.parts());
    this.#drawFigures(figures, figures);
    this.#drawActs(acts.version, acts.list());
  }

  /** A button that is gone hands the keyboard on to the one in its place. */
  #replaceActs(acts) {
    const at = [...this.#acts.children].indexOf(document.activeElement);
    this.#acts.replaceChildren(...acts.map((one) => (one.words ? el("span.t-warn", one.words) : actButton(one))));
    if (at >= 0) (this.#acts.children[at] ?? this.#acts.lastElementChild)?.focus();
  }
}

/** From one run to the list, where only one of them fits. */
export const backButton = (back) =>
  el("button.quiet.to-list", { type: "button", "aria-label": "Back to the list", on: { click: back } }, icon("back"));
