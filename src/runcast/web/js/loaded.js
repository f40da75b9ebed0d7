// What of the log is loaded: of one session or of all, through one filter; with what is known beside it. Who extends
// it says what is read, and shows it.

import { LostCalls } from "./calls.js";
import { NO_FILTER, isEmpty } from "./filters.js";
import { Links } from "./forest.js";
import { History } from "./history.js";
import { Ledger } from "./ledger.js";
import { costOf } from "./notes.js";
import { Timeline } from "./timeline.js";
import { EventWindow, MAX_EVENTS } from "./window.js";

const PAGE_MOST = 256;
const AHEAD_PAGES = 8; // at once

export class Loaded {
  #generation = 0; // of what is asked for: an answer to an older question is not used any more

  /** `changed(what, detail)` and `say(text, {tone})` are told; `mainOf(session)` names a session's own agent. */
  constructor({ changed, say, mainOf }) {
    Object.assign(this, { changed, say, mainOf });
    this.session = null;
    this.filter = NO_FILTER;
    this.history = new History(null, NO_FILTER);
    this.window = new EventWindow();
    this.loaded = false;
    this.loading = { older: false, newer: false };
    this.error = null;
    this.unknown = false; // nothing was published to this session yet
    this.ledger = new Ledger(null);
    this.travel = null; // a moment of the past up to which it is shown
    this.follows = true; // whether the reader looks at the end
  }

  /** Begin with something else; returns the number of this generation. */
  begin(session, filter) {
    this.#generation += 1;
    if (session !== this.session || !this.links) {
      this.links = new Links(this.mainOf);
      this.ledger = new Ledger(session);
    }
    Object.assign(this, { session, filter, loaded: false, error: null, unknown: false });
    this.history = new History(session, filter);
    this.lost = new LostCalls((where, limit) => this.history.unfiltered(where, limit));
    this.loading = { older: false, newer: false };
    this.window.clear();
    return this.#generation;
  }

  isCurrent(generation) {
    return generation === this.#generation;
  }

  /** Read something else of the same; what was being read is not used any more. */
  async reopen(act) {
    const generation = (this.#generation += 1);
    this.loading = { older: false, newer: false };
    try {
      await act(generation);
    } catch (error) {
      this.failed(generation, error);
    }
  }

  /** Returns whether it went well; if not, the reader was told. */
  async load(which, act) {
    const generation = this.#generation;
    this.loading[which] = true;
    this.changed("state");
    try {
      await act(generation);
      return true;
    } catch (error) {
      if (this.isCurrent(generation)) this.say(error.message, { tone: "error" });
      return false;
    } finally {
      if (this.isCurrent(generation)) {
        this.loading[which] = false;
        this.changed("state");
      }
    }
  }

  /** What was to be shown could not be read. */
  failed(generation, error) {
    if (!this.isCurrent(generation)) return;
    this.loaded = true;
    this.error = error;
    this.changed("state");
  }

  /** Look for the calls of results that stand alone because of the filter. */
  async findCalls(results) {
    const generation = this.#generation;
    try {
      if ((await this.lost.find(results)) && this.isCurrent(generation)) this.changed("events");
    } catch (error) {
      if (this.isCurrent(generation)) this.say(error.message, { tone: "warn" });
    }
  }

  /** What the server has added up, for the chart and the head. */
  async readInfo(generation) {
    if (this.session === null) return;
    const { ledger } = this;
    try {
      const info = await ledger.read();
      if (this.isCurrent(generation)) this.changed("timeline", info);
      if ((await ledger.refine()) && this.isCurrent(generation)) this.changed("timeline", info);
    } catch (error) {
      if (this.isCurrent(generation) && error.status !== 404) this.say(error.message, { tone: "warn" });
    }
  }

  /** Of a session what the server says and what came since; of all of them, what is loaded. */
  get costs() {
    if (this.session !== null) return this.ledger.timeline;
    return Timeline.of(this.window.events.map((event) => costOf(event)));
  }

  /** What is loaded and to be seen: in time travel, what had happened by then. */
  get shown() {
    const { events } = this.window;
    return this.travel ? events.filter((event) => this.travel.isKnown(event)) : events;
  }

  /** Sums of what had happened by the moment of time travel: {tokens, events, errors}; null: not known. */
  get sumsByThen() {
    if (!this.travel) return null;
    const isWhole = this.window.atStart && (this.window.atEnd || this.travel.next) && isEmpty(this.filter);
    if (isWhole) return Timeline.of(this.shown.map((event) => costOf(event, this.ledger.byRequests))).total();
    return this.costs.isEmpty ? null : this.costs.until(this.travel.until);
  }

  /** Tell time travel what is loaded. */
  look() {
    this.travel?.look(this.window.events, this.window.atEnd);
  }

  /** Load what lies ahead of time travel; not in place of what somebody reads, unless that is `wanted`. */
  async loadAhead(wanted = false) {
    const hasRoom = () => wanted || this.follows || this.window.events.length + PAGE_MOST <= MAX_EVENTS;
    if (this.loading.newer || !this.travel?.needsMore || !hasRoom()) return;
    const isDone = await this.load("newer", async (generation) => {
      for (let pages = 0; pages < AHEAD_PAGES && this.travel?.needsMore && hasRoom(); pages += 1) {
        const page = await this.history.page({ after: this.window.after });
        if (!this.isCurrent(generation)) return;
        this.window.append(page);
        this.window.trim("front");
        this.look();
        this.changed("events");
      }
    });
    if (!isDone) this.travel?.pause();
  }
}
