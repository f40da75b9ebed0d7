// What is read of the log for one session (null: all) and one filter: single pages, and the pages around a time.

import * as api from "./api.js";
import { passesHere, toServer } from "./filters.js";

const NOT_YET = Object.freeze({ events: [], before: null, cursor: "start", complete: true, unknown: true });

export class History {
  constructor(session, filter) {
    this.session = session;
    this.filter = filter;
  }

  /** A page {events, before, cursor, complete}; empty and `unknown` for a session that may yet come. */
  async page(where) {
    try {
      const page = await api.readEvents(this.session, toServer(this.filter), where);
      return { ...page, events: this.passing(page.events) };
    } catch (error) {
      if (error.status !== 404) throw error;
      return { ...NOT_YET };
    }
  }

  /** The same, whatever passes the filter. */
  unfiltered(where, limit) {
    return api.readEvents(this.session, null, where, limit);
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

  /** Those events that pass the part of the filter which the server does not know. */
  passing(events) {
    return this.filter.agents.length ? events.filter((event) => passesHere(this.filter, event)) : events;
  }
}
