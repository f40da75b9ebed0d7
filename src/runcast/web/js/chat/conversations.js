// The conversations one takes part in, as the server lists them; looked up again when it tells that one has changed.

import { firstLine } from "../format.js";
import { plain } from "../markdown.js";
import { listOf, textOf } from "../runs/values.js";
import { listConversations } from "./api.js";

const SOON_MS = 250;
const EVERY_MS = 60_000; // what was not told, for whatever reason

export class Conversations {
  #known = new Map();
  #timer = null;

  constructor({ changed }) {
    this.changed = changed;
    this.loaded = false;
    this.hasMore = false;
    this.total = 0;
    this.error = null;
  }

  start() {
    setInterval(() => document.hidden || this.refresh(), EVERY_MS);
    return this.refresh();
  }

  get(id) {
    return this.#known.get(id);
  }

  /** The one first in which something was said last. */
  all() {
    return [...this.#known.values()].sort((a, b) => b.touched - a.touched || (a.id < b.id ? 1 : -1));
  }

  refreshSoon() {
    this.#timer ??= setTimeout(() => this.refresh(), SOON_MS);
  }

  async refresh() {
    clearTimeout(this.#timer);
    this.#timer = null;
    try {
      const told = listOf(await listConversations());
      this.#known = new Map(told.map((one) => [one.session_id, summarise(one)]));
      this.total = this.#known.size;
      this.loaded = true;
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.changed();
  }
}

export function summarise(told) {
  return {
    id: told.session_id, title: textOf(told.title), last: textOf(told.last), people: 1 + listOf(told.members).length,
    owner: textOf(told.owner?.name), created: Date.parse(told.created_at) || 0, touched: Date.parse(told.updated_at) || 0,
  };
}

/** What the list shows of it; see `RunListView`. */
export function describe(chat) {
  const title = firstLine(chat.title, 120) || "Conversation";
  const last = chat.last === chat.title ? "" : firstLine(plain(chat.last), 120);
  return { title, state: null, doing: last, facts: chat.people > 1 ? [`${chat.people} people`] : [], percent: null };
}
