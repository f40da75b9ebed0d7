// What has happened in a run, event by event, in words: the newest below, followed unless somebody reads further up.

import { bdi, el } from "../dom.js";
import { clock, count, moment } from "../format.js";
import { section } from "./parts.js";

export class LogView {
  #last = 0;
  #run = null;

  constructor() {
    this.list = el("ol.log", { tabindex: 0, "aria-label": "Events, oldest first" });
    const part = section("Events", ".log-part");
    part.body.append(this.list);
    this.node = part.node;
    this.setCount = part.setCount;
  }

  /** `entries` is [{seq, time, text, tone?, who?, step?}]; of another run or another state than before, all are new. */
  update(entries, state, missing = 0) {
    const { list } = this;
    if (this.#run !== state) {
      list.replaceChildren();
      this.#last = 0;
      this.#run = state;
    }
    const fresh = entries.filter(({ seq }) => seq > this.#last);
    if (!fresh.length) return;
    const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 30;
    list.append(...fresh.map(line));
    while (list.children.length > entries.length) list.firstChild.remove();
    this.#last = fresh.at(-1).seq;
    this.setCount(missing ? `${count(missing, "event")} before these not kept any more` : "");
    if (follows) list.scrollTop = list.scrollHeight;
  }
}

function line({ time, text, tone, who, step }) {
  return el("li", { class: tone || null },
    el("time", { datetime: new Date(time).toISOString(), title: moment(time) }, clock(time)),
    el("span", step ? [bdi(step, "log-step"), " "] : null, bdi(text), who ? el("span.log-who", " by ", bdi(who)) : null),
  );
}
