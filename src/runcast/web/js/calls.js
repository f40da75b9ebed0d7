// Calls that a filter leaves out though their results pass it: what failed is to be seen beside that it failed.
// A call stands shortly before its result in the log, so it is looked for there.

import { keyOf } from "./events.js";

const PAGE = 100;
const PAGES = 3;
const MOST = 2_000;

export class LostCalls {
  #found = new Map();
  #tried = new Set();
  #busy = false;

  /** `read(where, limit)` resolves to a page of all events, filtered or not. */
  constructor(read) {
    this.read = read;
  }

  get(session, id) {
    return this.#found.get(`${session}\n${id}`);
  }

  /** Look for the calls of these results, each once. Returns whether any was found. */
  async find(results) {
    if (this.#busy) return false;
    this.#busy = true;
    const wanted = results.filter((event) => event.cursor && !this.#tried.has(keyOf(event)));
    const before = this.#found.size;
    try {
      for (const event of wanted) await this.#findOne(event, wanted);
    } finally {
      this.#busy = false;
    }
    return this.#found.size > before;
  }

  async #findOne(event, wanted) {
    this.#tried.add(keyOf(event));
    let before = event.cursor;
    for (let pages = 0; pages < PAGES && before && !this.get(event.session_id, event.parent_event_id); pages += 1) {
      const page = await this.read({ before }, PAGE);
      this.#keep(page.events, wanted);
      before = page.before;
    }
  }

  #keep(events, results) {
    const ids = new Set(results.map((event) => `${event.session_id}\n${event.parent_event_id}`));
    if (this.#found.size > MOST) this.#found.clear();
    for (const event of events) {
      if (event.event_type === "tool_call" && ids.has(keyOf(event))) this.#found.set(keyOf(event), event);
    }
  }
}
