// All sessions: the list from the server, kept up to date by one live connection to all of them.

import * as api from "./api.js";
import { Connection } from "./connection.js";
import { applyEvent, byActivity, fromServer } from "./summaries.js";

const PACE_MS = 250;
const CHECK_MS = 5_000; // our own counting is put right by the server's so often, while something happens
const BEHIND_MS = 1_500; // a list may come before all sums are done
const PAGE = 100;

export class Sessions {
  #known = new Map();
  #connection;
  #timer = null;
  #next = null;

  /** `changed()` is called when the list is another, `heard(id)` for the session of an event. */
  constructor({ changed, heard }) {
    this.changed = changed;
    this.heard = heard;
    this.loaded = false;
    this.error = null;
    this.#connection = new Connection({
      path: "/ws/events",
      query: { poll_interval: String(PACE_MS) },
      batch_size: 1_000,
      onEvents: (events) => this.#receive(events),
      onNotice: () => this.refresh(),
      onState: (state) => state.phase === "live" && this.refresh(),
    });
  }

  /** Begin: the connection first, so that nothing falls between it and the list. */
  start() {
    this.#connection.open("now");
    return this.refresh();
  }

  retry() {
    this.#connection.retry();
  }

  get hasMore() {
    return this.#next !== null;
  }

  get size() {
    return this.#known.size;
  }

  get(id) {
    return this.#known.get(id);
  }

  /** All that are loaded, newest activity first. */
  list() {
    return [...this.#known.values()].sort(byActivity);
  }

  async refresh() {
    clearTimeout(this.#timer);
    this.#timer = null;
    await this.#fetch("", (answer) => {
      if (!this.loaded || !this.#next) this.#next = answer.next;
      if (answer.next === null) this.#keepOnly(answer.sessions);
    });
  }

  /** Take over what the server said of one session. */
  learn(told) {
    this.#take(told);
    this.changed();
  }

  async loadMore() {
    if (this.#next === null) return;
    await this.#fetch(this.#next, (answer) => (this.#next = answer.next));
  }

  async #fetch(after, then) {
    try {
      const answer = await api.listSessions({ after, limit: PAGE });
      for (const told of answer.sessions) this.#take(told);
      then(answer);
      if (answer.sessions.some((told) => told.behind)) this.#timer ??= setTimeout(() => this.refresh(), BEHIND_MS);
      this.loaded = true;
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.changed();
  }

  /** An answer may be older than what has come live meanwhile, and a sum that is behind says less than we know. */
  #take(told) {
    const known = this.#known.get(told.session_id);
    const isOlder = known && known.epoch === told.epoch && told.head < known.seq;
    if (isOlder || (known && told.behind)) return;
    this.#known.set(told.session_id, fromServer(told));
  }

  #keepOnly(sessions) {
    const there = new Set(sessions.map((told) => told.session_id));
    for (const id of this.#known.keys()) if (!there.has(id)) this.#known.delete(id);
  }

  #receive(events) {
    const now = Date.now();
    let unknown = false;
    for (const event of events) {
      const session = this.#known.get(event.session_id);
      if (session) applyEvent(session, event, now);
      else unknown = true;
    }
    for (const id of new Set(events.map((event) => event.session_id))) this.heard(id);
    if (unknown) this.#refreshIn(100);
    else this.#timer ??= setTimeout(() => this.refresh(), CHECK_MS);
    this.changed();
  }

  #refreshIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), ms);
  }
}
