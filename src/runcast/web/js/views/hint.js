// On the page of a session that has ended: that another one has begun, and the way to it.

import { bdi, el, icon } from "../dom.js";
import { nameOf, stateOfSession } from "../summaries.js";

export class NewSessionView {
  #shown = null;
  #dismissed = new Set();

  constructor(place, { sessions, show }) {
    Object.assign(this, { place, sessions, show });
  }

  /** `travelling`: whoever looks into the past is not called away. */
  update(id, now, travelling) {
    const ended = this.sessions.get(id);
    const isOver = ended && !travelling && stateOfSession(ended, now) === "ended";
    const next = isOver ? this.#newAfter(ended, now) : null;
    const version = next && JSON.stringify([next.id, nameOf(next)]);
    if (version === this.#shown) return;
    this.#shown = version;
    this.place.hidden = !next;
    this.place.replaceChildren(...(next ? this.#content(next) : []));
  }

  /** The newest one that runs, begun since that one ended. */
  #newAfter(ended, now) {
    const isNew = (one) => one.id !== ended.id && one.first >= ended.last && !this.#dismissed.has(one.id);
    return this.sessions.list().find((one) => isNew(one) && stateOfSession(one, now) === "running") ?? null;
  }

  #content(next) {
    const dismiss = () => {
      this.#dismissed.add(next.id);
      this.update(null, 0, false);
    };
    return [
      el("span.dot.running"),
      el("span.hint-words", "A new session has begun: ", bdi(nameOf(next))),
      el("button.primary", { type: "button", on: { click: () => this.show(next.id) } }, "Show it"),
      el("button.quiet", { type: "button", "aria-label": "Stay here", on: { click: dismiss } }, icon("close")),
    ];
  }
}
