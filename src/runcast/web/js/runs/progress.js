// How far a run is: a bar, and the words beside it.

import { bdi, el, setText } from "../dom.js";
import { whenChanged } from "./drawing.js";

export class ProgressBar {
  #bar;
  #words = el("span.progress-message");
  #left = el("span");
  #percent = el("b");
  #drawWords = whenChanged((words) => this.#words.replaceChildren(bdi(words)));
  #drawBar = whenChanged((told) => this.#fill(told));

  constructor(label) {
    this.#bar = el("div.progress", { role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 });
    this.line = el("div.progress-words", this.#words, this.#left, this.#percent);
    this.node = el("div.progress-row", this.#bar, this.line);
  }

  /** `percent` of the whole, `failed` of it in vain; `still` while it waits for somebody; without `words` there is the bar alone. */
  update({ percent, failed = 0, still = false, words = null, left = "" }) {
    this.#drawBar([percent, failed, still], { percent, failed, still });
    this.line.hidden = words === null;
    this.#drawWords(words, words ?? "");
    setText(this.#left, left);
    setText(this.#percent, `${Math.round(percent)} %`);
  }

  #fill({ percent, failed, still }) {
    this.#bar.setAttribute("aria-valuenow", String(Math.round(percent)));
    this.#bar.classList.toggle("still", still);
    this.#bar.style.setProperty("--part", `${percent}%`);
    this.#bar.style.setProperty("--failed", `${failed}%`);
  }
}
