// What a session has cost over time, as the server has added it up and live events go on. A session whose idle time
// is so long that the server's stretches say little is added up from its events, as long as these are few.

import * as api from "./api.js";
import { costOf } from "./notes.js";
import { Timeline } from "./timeline.js";

const MOST_PAGES = 8;
const PAGE = 250;

export class Ledger {
  constructor(session) {
    this.session = session;
    this.info = null; // the session's own answer
    this.timeline = new Timeline();
    this.byRequests = false; // tokens are known from requests to the model only
  }

  /** Count live events. */
  count(events) {
    for (const event of events) {
      const { time, tokens, isError } = costOf(event, this.byRequests);
      this.timeline.add(time, tokens, isError);
    }
  }

  /** Ask the server. Raises ApiError; status 404: nothing was published to it yet. */
  async read() {
    this.info = await api.readSession(this.session);
    const { summary, totals, timeline } = this.info;
    this.byRequests = (totals?.api_tokens?.cost_tokens ?? 0) > (totals?.tokens?.cost_tokens ?? 0);
    this.timeline = new Timeline(timeline, {
      first: Date.parse(summary?.first_time ?? "") || null, last: Date.parse(summary?.last_time ?? "") || null,
    });
    return this.info;
  }

  /** Whether it became finer. */
  async refine() {
    if (!this.timeline.isCoarse) return false;
    const counted = this.timeline.total().events;
    const costs = [];
    let after = "start";
    for (let pages = 0; pages < MOST_PAGES; pages += 1) {
      const page = await api.readEvents(this.session, null, { after }, PAGE);
      for (const event of page.events) costs.push(costOf(event, this.byRequests));
      after = page.cursor;
      if (!page.complete) continue;
      if (costs.length < counted) return false; // some are not kept any more
      this.timeline = Timeline.of(costs);
      return true;
    }
    return false;
  }
}
