// What is read of the log for one session (null: all) and one filter: single pages, and the pages around a time.

import * as api from "./api.js";
import { timeOf } from "./events.js";
import { passesHere, toServer } from "./filters.js";

const NOT_YET = Object.freeze({ events: [], before: null, cursor: "start", complete: true });

export class History {
  constructor(session, filter) {
    this.session = session;
    this.filter = filter;
  }

  /** A page {events, before, cursor, complete}; empty for a session that may yet come. */
  async page(where) {
    try {
      const page = await api.readEvents(this.session, toServer(this.filter), where);
      return { ...page, events: this.passing(page.events) };
    } catch (error) {
      if (error.status !== 404) throw error;
      return { ...NOT_YET };
    }
  }

  newest() {
    return this.page({ before: "now" });
  }

  /** The page from a time (ms) on, with the page before it in front. */
  async around(time) {
    const page = await this.page({ at: new Date(time).toISOString() });
    if (page.before === null) return page;
    const earlier = await this.page({ before: page.before });
    return { ...page, events: [...earlier.events, ...page.events], before: earlier.before };
  }

  /** The same, cut at the time: {past: a page without an end, ahead: a page of what came later}. */
  async splitAt(time) {
    const page = await this.around(time);
    let cut = page.events.length;
    while (cut > 0 && timeOf(page.events[cut - 1]) > time) cut -= 1;
    return {
      past: { events: page.events.slice(0, cut), before: page.before, cursor: null, complete: false },
      ahead: { ...page, events: page.events.slice(cut) },
    };
  }

  /** Those events that pass the part of the filter which the server does not know. */
  passing(events) {
    return this.filter.agents.length ? events.filter((event) => passesHere(this.filter, event)) : events;
  }
}
