// The feed that is shown: live, read back, paused, or travelling in time. It owns the loaded window, the live
// connection and the travel, and tells its views by `changed(what)`.
//
// mode "live": the window ends where the log ends, and live events are put behind it
// mode "browse": the window ends somewhere in the past; live events are counted
// mode "travel": as it was at a moment; what is later is loaded, but not shown; live events are counted

import { Connection } from "./connection.js";
import { keyOf, timeOf } from "./events.js";
import { toServer } from "./filters.js";
import { Loaded } from "./loaded.js";
import { gapEvent, resumedWords } from "./notes.js";
import { Travel } from "./travel.js";

const ENDED = 1000; // the close code of a session's end
const SEARCH_PAGES = 60;
const REPLAY_MOST = 1_500; // more than that is not replayed one by one, but read as the newest page

export class Feed extends Loaded {
  #connection = null;

  /** `changed` is told ("reset" | "events" | "state" | "tick" | "timeline" | "start" | "end" | "focus", detail). */
  constructor(options) {
    super(options);
    this.mode = "live";
    this.paused = false;
    this.pending = 0;
    this.speed = 1;
    this.focus = null; // the key of an event that a link names
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
      this.failed(generation, error);
    }
    this.readInfo(generation);
  }

  /** Something happened in a session: if it had ended, it goes on. */
  heard(session) {
    const { phase, code } = this.connection;
    if (session === this.session && phase === "closed" && code === ENDED && this.mode === "live") {
      this.open({ session, filter: this.filter });
    }
  }

  retry() {
    if (this.error) this.open({ session: this.session, filter: this.filter });
    else this.#connection?.retry();
  }

  // --- back and forth ---------------------------------------------------------------------------------

  async loadOlder() {
    if (this.loading.older || !this.loaded || this.window.atStart) return;
    await this.load("older", async (generation) => {
      const page = await this.history.page({ before: this.window.before });
      if (!this.isCurrent(generation)) return;
      this.window.prepend(page);
      if (this.window.trim("back") && this.mode === "live") this.mode = "browse";
      this.look();
      this.changed("events");
    });
  }

  async loadNewer() {
    if (this.mode === "travel") return this.loadAhead(true);
    const stopped = this.mode !== "browse" || this.paused;
    if (this.loading.newer || !this.loaded || this.window.atEnd || stopped) return;
    await this.load("newer", async (generation) => {
      const page = await this.history.page({ after: this.window.after });
      if (!this.isCurrent(generation)) return;
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
      await this.reopen((generation) => this.#openLive(generation));
    }
  }

  /** To the first event there is. */
  async goToStart() {
    await this.reopen(async (generation) => {
      const page = await this.history.page({ after: "start" });
      if (!this.isCurrent(generation)) return;
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
    await this.reopen(async (generation) => {
      await this.#openAtTime(generation, time);
      if (playing && this.isCurrent(generation)) this.travel.play();
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
    this.#connection?.close();
    this.#leaveTravel();
    Object.assign(this, { mode: "live", pending: 0, paused: false, focus: null });
    return this.begin(session, filter);
  }

  async #openLive(generation) {
    const page = await this.history.newest();
    if (!this.isCurrent(generation)) return;
    this.#show({ ...page, complete: true }, "live");
    this.changed("end");
    this.#listen(page.cursor);
  }

  async #openAtTime(generation, time) {
    const page = await this.history.around(time);
    if (!this.isCurrent(generation)) return;
    this.#leaveTravel();
    this.travel = this.#makeTravel(time);
    this.#show(page, "travel");
    this.changed("end");
    if (this.connection.phase === "closed") this.#listen("now");
    await this.loadAhead();
  }

  async #openAtEvent(generation, at, id) {
    const page = await (at === null ? this.history.newest() : this.history.around(at));
    if (!this.isCurrent(generation)) return;
    const complete = at === null || page.complete;
    this.#show({ ...page, complete }, complete ? "live" : "browse");
    this.#listen(complete ? page.cursor : "now");
    await this.#find(generation, id);
  }

  /** Page back until the event is there. */
  async #find(generation, id) {
    for (let pages = 0; pages < SEARCH_PAGES && this.isCurrent(generation); pages += 1) {
      const event = this.window.events.find((one) => one.event_id === id);
      if (event) {
        this.focus = keyOf(event);
        return this.changed("focus");
      }
      if (this.window.atStart) break;
      await this.loadOlder();
    }
    if (this.isCurrent(generation)) this.say("That event is not in this session, or not near this time.", { tone: "warn" });
  }

  #show(page, mode) {
    this.mode = mode;
    this.pending = 0;
    this.loaded = true;
    this.error = null;
    this.unknown = Boolean(page.unknown);
    this.window.replace(page);
    this.look();
    this.changed("events");
  }

  #makeTravel(time) {
    return new Travel({
      at: time,
      speed: this.speed,
      more: () => this.loadAhead(),
      changed: (what, events) => this.#travelled(what, events),
    });
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
      this.look();
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
}
