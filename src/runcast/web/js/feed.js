// The feed that is shown: live, read back, paused, or travelling in time. It owns the loaded window, the live
// connection and the travel, and tells its views by `changed(what)`.
//
// mode "live": the window ends where the log ends, and live events are put behind it
// mode "browse": the window ends somewhere in the past; live events are counted
// mode "travel": as it was at a moment; what is later is loaded, but not shown; live events are counted

import { LostCalls } from "./calls.js";
import { Connection } from "./connection.js";
import { keyOf, timeOf } from "./events.js";
import { NO_FILTER, toServer } from "./filters.js";
import { Links } from "./forest.js";
import { History } from "./history.js";
import { Ledger } from "./ledger.js";
import { costOf, gapEvent, resumedWords } from "./notes.js";
import { Timeline } from "./timeline.js";
import { Travel } from "./travel.js";
import { EventWindow, MAX_EVENTS } from "./window.js";

const ENDED = 1000; // the close code of a session's end
const SEARCH_PAGES = 60;
const PAGE_MOST = 256;
const AHEAD_PAGES = 8; // at once
const REPLAY_MOST = 1_500; // more than that is not replayed one by one, but read as the newest page

export class Feed {
  #generation = 0;
  #connection = null;

  /** `mainOf(session)` names a session's own agent, where it is known. */
  constructor({ changed, say, mainOf }) {
    this.changed = changed; // ("reset" | "events" | "state" | "timeline" | "focus", detail)
    this.say = say; // (text, {tone})
    this.mainOf = mainOf;
    this.session = null;
    this.filter = NO_FILTER;
    this.history = new History(null, NO_FILTER);
    this.window = new EventWindow();
    this.mode = "live";
    this.paused = false;
    this.pending = 0;
    this.loaded = false;
    this.loading = { older: false, newer: false };
    this.error = null;
    this.travel = null;
    this.speed = 1;
    this.focus = null; // the key of an event that a link names
    this.follows = true; // whether the reader looks at the end
    this.unknown = false; // nothing was published to this session yet
    this.ledger = new Ledger(null);
    this.skew = 0; // server's clock minus ours, ms
  }

  get connection() {
    return this.#connection?.state ?? { phase: "closed", reason: "" };
  }

  /** What time it is in what is shown. */
  get time() {
    return this.mode === "travel" ? this.travel.time : Date.now() + this.skew;
  }

  /** Show a session (null: all), from now, from a time, or around an event. */
  async open({ session, filter, at = null, event = null }) {
    const generation = this.#begin(session, filter);
    this.changed("reset");
    try {
      if (event !== null) await this.#openAtEvent(generation, at, event);
      else if (at !== null) await this.#openAtTime(generation, at);
      else await this.#openLive(generation);
    } catch (error) {
      this.#failed(generation, error);
    }
    this.#readInfo(generation);
  }

  /** Something happened in a session: if it had ended, it goes on. */
  heard(session) {
    const { phase, code } = this.connection;
    if (session === this.session && phase === "closed" && code === ENDED && this.mode === "live") {
      this.open({ session, filter: this.filter });
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
    const isWhole = this.window.atStart && (this.window.atEnd || this.travel.next) && toServer(this.filter) === null;
    if (isWhole && !this.filter.agents.length) {
      return Timeline.of(this.shown.map((event) => costOf(event, this.ledger.byRequests))).total();
    }
    return this.costs.isEmpty ? null : this.costs.until(this.travel.until);
  }

  /** Look for the calls of results that stand alone because of the filter. */
  async findCalls(results) {
    const generation = this.#generation;
    try {
      if ((await this.lost.find(results)) && this.#is(generation)) this.changed("events");
    } catch (error) {
      if (this.#is(generation)) this.say(error.message, { tone: "warn" });
    }
  }

  retry() {
    if (this.error) this.open({ session: this.session, filter: this.filter });
    else this.#connection?.retry();
  }

  // --- back and forth ---------------------------------------------------------------------------------

  async loadOlder() {
    if (this.loading.older || !this.loaded || this.window.atStart) return;
    await this.#load("older", async (generation) => {
      const page = await this.history.page({ before: this.window.before });
      if (!this.#is(generation)) return;
      this.window.prepend(page);
      if (this.window.trim("back") && this.mode === "live") this.mode = "browse";
      this.#look();
      this.changed("events");
    });
  }

  async loadNewer() {
    if (this.mode === "travel") return this.#loadAhead(true);
    const stopped = this.mode !== "browse" || this.paused;
    if (this.loading.newer || !this.loaded || this.window.atEnd || stopped) return;
    await this.#load("newer", async (generation) => {
      const page = await this.history.page({ after: this.window.after });
      if (!this.#is(generation)) return;
      this.window.append(page);
      this.window.trim("front");
      if (page.complete) this.#attach();
      this.changed("events");
    });
  }

  /** To the newest, and stay there. */
  async goLive() {
    if (this.mode === "live" && !this.paused && this.window.atEnd && !this.pending) return this.changed("end");
    const isWhole = this.window.atEnd || this.window.after === this.#pausedAt; // but for what is pending
    const near = this.mode !== "live" && this.window.after && this.pending < REPLAY_MOST && isWhole;
    this.paused = false;
    this.#leaveTravel();
    if (near) {
      this.#attach();
      this.changed("end");
    } else {
      await this.#reopen((generation) => this.#openLive(generation));
    }
  }

  /** To the first event there is. */
  async goToStart() {
    await this.#reopen(async (generation) => {
      const page = await this.history.page({ after: "start" });
      if (!this.#is(generation)) return;
      this.#leaveTravel();
      this.#show({ ...page, before: null }, page.complete ? "live" : "browse");
      this.changed("start");
      this.#listen(page.complete ? page.cursor : "now");
    });
  }

  togglePause() {
    if (this.mode === "travel") return this.togglePlay();
    if (this.paused) return this.goLive();
    this.paused = true;
    if (this.mode === "live") this.mode = "browse";
    this.#pausedAt = this.window.after;
    this.changed("state");
  }

  // --- time travel ------------------------------------------------------------------------------------

  async travelTo(time) {
    const playing = this.travel?.playing ?? false;
    await this.#reopen(async (generation) => {
      await this.#openAtTime(generation, time);
      if (playing && this.#is(generation)) this.travel.play();
    });
  }

  async togglePlay() {
    const last = this.window.events.at(-1);
    if (!this.travel) await this.travelTo(last ? timeOf(last) : Date.now());
    if (!this.travel) return;
    if (this.travel.playing) this.travel.pause();
    else if (this.travel.isAtPresent) return this.goLive();
    else await this.#play();
    this.changed("state");
  }

  setSpeed(speed) {
    this.speed = speed;
    this.travel?.setSpeed(speed);
    this.changed("state");
  }

  step() {
    return this.travel?.step();
  }

  /** Stay where it is, but show what came later, too. */
  showFollowing() {
    if (!this.travel) return;
    this.#leaveTravel();
    this.mode = "browse";
    if (this.window.atEnd) this.#attach();
    this.changed("events");
  }

  // --- within -----------------------------------------------------------------------------------------

  #pausedAt = null;

  #begin(session, filter) {
    this.#generation += 1;
    this.#connection?.close();
    this.#leaveTravel();
    if (session !== this.session || !this.links) {
      this.links = new Links(this.mainOf);
      this.ledger = new Ledger(session);
    }
    Object.assign(this, { session, filter, pending: 0, paused: false, loaded: false, error: null, focus: null });
    Object.assign(this, { mode: "live", unknown: false });
    this.history = new History(session, filter);
    this.lost = new LostCalls((where, limit) => this.history.unfiltered(where, limit));
    this.loading = { older: false, newer: false };
    this.window.clear();
    return this.#generation;
  }

  #is(generation) {
    return generation === this.#generation;
  }

  async #reopen(act) {
    const generation = (this.#generation += 1);
    this.loading = { older: false, newer: false };
    try {
      await act(generation);
    } catch (error) {
      this.#failed(generation, error);
    }
  }

  async #openLive(generation) {
    const page = await this.history.newest();
    if (!this.#is(generation)) return;
    this.#show({ ...page, complete: true }, "live");
    this.changed("end");
    this.#listen(page.cursor);
  }

  async #openAtTime(generation, time) {
    const page = await this.history.around(time);
    if (!this.#is(generation)) return;
    this.#leaveTravel();
    this.travel = this.#makeTravel(time);
    this.#show(page, "travel");
    this.changed("end");
    if (this.connection.phase === "closed") this.#listen("now");
    await this.#loadAhead();
  }

  async #openAtEvent(generation, at, id) {
    const page = await (at === null ? this.history.newest() : this.history.around(at));
    if (!this.#is(generation)) return;
    const complete = at === null || page.complete;
    this.#show({ ...page, complete }, complete ? "live" : "browse");
    this.#listen(complete ? page.cursor : "now");
    await this.#find(generation, id);
  }

  /** Page back until the event is there. */
  async #find(generation, id) {
    for (let pages = 0; pages < SEARCH_PAGES && this.#is(generation); pages += 1) {
      const event = this.window.events.find((one) => one.event_id === id);
      if (event) {
        this.focus = keyOf(event);
        return this.changed("focus");
      }
      if (this.window.atStart) break;
      await this.loadOlder();
    }
    if (this.#is(generation)) this.say("That event is not in this session, or not near this time.", { tone: "warn" });
  }

  #show(page, mode) {
    this.mode = mode;
    this.pending = 0;
    this.loaded = true;
    this.error = null;
    this.unknown = Boolean(page.unknown);
    this.window.replace(page);
    this.#look();
    this.changed("events");
  }

  #makeTravel(time) {
    return new Travel({
      at: time,
      speed: this.speed,
      more: () => this.#loadAhead(),
      changed: (what, events) => this.#travelled(what, events),
    });
  }

  /** Tell time travel what is loaded. */
  #look() {
    this.travel?.look(this.window.events, this.window.atEnd);
  }

  /** Load what lies ahead of time travel; not in place of what somebody reads, unless that is `wanted`. */
  async #loadAhead(wanted = false) {
    const hasRoom = () => wanted || this.follows || this.window.events.length + PAGE_MOST <= MAX_EVENTS;
    if (this.loading.newer || !this.travel?.needsMore || !hasRoom()) return;
    const isDone = await this.#load("newer", async (generation) => {
      for (let pages = 0; pages < AHEAD_PAGES && this.travel?.needsMore && hasRoom(); pages += 1) {
        const page = await this.history.page({ after: this.window.after });
        if (!this.#is(generation)) return;
        this.window.append(page);
        this.window.trim("front");
        this.#look();
        this.changed("events");
      }
    });
    if (!isDone) this.travel?.pause();
  }

  #travelled(what, events) {
    if (what === "present") {
      this.say("This is the present: live again.", {});
      this.goLive();
    } else {
      this.changed(what === "known" ? "events" : "tick", events);
    }
  }

  async #play() {
    // Whoever has scrolled far back has dropped what came just before now.
    if (!this.window.atEnd && !this.travel.next) await this.travelTo(this.travel.time);
    this.travel?.play();
  }

  #leaveTravel() {
    this.travel?.stop();
    this.travel = null;
    if (this.mode === "travel") this.mode = "browse";
  }

  /** From reading back to live: what came meanwhile is replayed by the connection, without a hole. */
  #attach() {
    this.mode = "live";
    this.pending = 0;
    this.window.atEnd = true;
    this.#listen(this.window.after);
  }

  #listen(after) {
    this.#connection?.close();
    const filter = toServer(this.filter);
    const path = this.session === null ? "/ws/events" : `/ws/events/${encodeURIComponent(this.session)}`;
    this.#connection = new Connection({
      path,
      query: filter ? { filter } : {},
      onEvents: (events, frame) => this.#receive(events, frame),
      onNotice: (frame) => this.#notice(frame),
      onState: (state) => this.#connectionChanged(state),
    });
    this.#connection.open(after ?? "now");
  }

  #receive(events, frame) {
    this.skew = Date.parse(frame.timestamp) - Date.now() || 0;
    const passing = this.history.passing(events);
    this.ledger.count(passing);
    this.unknown = false;
    if (this.mode === "live" && !this.paused) {
      this.pending = this.follows ? 0 : this.pending + passing.length;
      this.window.append({ events: passing, cursor: this.#connection.cursor });
      if (this.follows) this.window.trim("front");
      else if (this.window.trim("back")) this.mode = "browse";
      this.changed("events", passing);
    } else {
      this.pending += passing.length;
      if (this.travel) this.window.atEnd = false;
      this.#look();
      this.changed("state");
    }
  }

  #notice(frame) {
    if (frame.type === "reset") {
      this.say("The log was begun anew or restored: the feed was loaded again.", { tone: "warn" });
      this.open({ session: this.session, filter: this.filter });
    } else if (frame.type === "gap") {
      const gap = gapEvent(frame, this.session);
      this.say(gap.output_summary, { tone: "warn" });
      this.#receive([gap], frame);
    }
  }

  #connectionChanged(state) {
    if (state.phase === "live" && state.resumed?.settled) {
      this.say(resumedWords(state.resumed), { tone: state.resumed.missed ? "warn" : "good" });
    }
    this.changed("state");
  }

  async #readInfo(generation) {
    if (this.session === null) return;
    const { ledger } = this;
    try {
      const info = await ledger.read();
      if (this.#is(generation)) this.changed("timeline", info);
      if ((await ledger.refine()) && this.#is(generation)) this.changed("timeline", info);
    } catch (error) {
      if (this.#is(generation) && error.status !== 404) this.say(error.message, { tone: "warn" });
    }
  }

  /** Returns whether it went well; if not, the reader was told. */
  async #load(which, act) {
    const generation = this.#generation;
    this.loading[which] = true;
    this.changed("state");
    try {
      await act(generation);
      return true;
    } catch (error) {
      if (this.#is(generation)) this.say(error.message, { tone: "error" });
      return false;
    } finally {
      if (this.#is(generation)) {
        this.loading[which] = false;
        this.changed("state");
      }
    }
  }

  #failed(generation, error) {
    if (!this.#is(generation)) return;
    this.loaded = true;
    this.error = error;
    this.changed("state");
  }
}
