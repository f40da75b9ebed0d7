// Time travel through the log: what was known at a moment, and what becomes known as its clock goes on.
//
// The log has events in the order in which they were stored, and their times may go backwards: of what is loaded,
// all is known that is not later than the moment, wherever it stands. What was stored much later than it
// happened is known once it is loaded, so more is loaded ahead than is needed next.

import { timeOf } from "./events.js";
import { PlayClock } from "./player.js";

const AHEAD = 1_000; // later events that should be loaded
const SOON = 150; // with fewer than that, it is time to load while it plays
const STEP_MS = 60;

export class Travel {
  #later = []; // the next one last
  #timer = null;

  /**
   * `changed(what, events)` tells "tick", "known" (of events), "skipped", or "present" (nothing is later);
   * `more()` is to load what follows, and to call `look`.
   */
  constructor({ at, speed, changed, more, now = () => performance.now() }) {
    this.clock = new PlayClock(at, speed);
    this.until = at; // what is known now; the clock may be a few milliseconds ahead
    this.complete = false;
    this.skipIdle = true;
    this.skipped = null;
    this.changed = changed;
    this.more = more;
    this.now = now;
  }

  get time() {
    return this.clock.time(this.now());
  }

  get playing() {
    return this.clock.playing;
  }

  get next() {
    return this.#later.at(-1) ?? null;
  }

  /** Nothing is later, neither by its time nor by its place in the log. */
  get isAtPresent() {
    return this.complete && !this.#later.length;
  }

  get needsMore() {
    return !this.complete && this.#later.length < AHEAD;
  }

  /** These events are loaded; `complete` if the log ends with them. */
  look(events, complete) {
    this.complete = complete;
    this.#later = events.filter((event) => !this.isKnown(event)).sort((a, b) => timeOf(b) - timeOf(a));
  }

  isKnown(event) {
    return timeOf(event) <= this.until;
  }

  play() {
    this.clock.play(this.now());
    this.#timer ??= setInterval(() => this.#tick(), STEP_MS);
  }

  pause() {
    this.clock.pause(this.now());
    clearInterval(this.#timer);
    this.#timer = null;
  }

  stop() {
    this.pause();
    this.changed = () => {};
  }

  setSpeed(speed) {
    this.clock.setSpeed(speed, this.now());
  }

  /** Go to the next event, whenever it was. */
  async step() {
    if (!this.next) await this.more();
    if (!this.next) return this.isAtPresent && this.changed("present");
    this.clock.moveTo(Math.max(this.time, timeOf(this.next)), this.now());
    this.#learn();
  }

  #tick() {
    if (!this.playing) return;
    this.#skipIdle();
    this.#learn();
    if (!this.complete && this.#later.length < SOON) this.more();
    if (!this.isAtPresent) return;
    this.pause();
    this.changed("present");
  }

  #learn() {
    this.until = this.time;
    const known = [];
    while (this.next && this.isKnown(this.next)) known.push(this.#later.pop());
    if (known.length) this.changed("known", known);
    this.changed("tick");
  }

  #skipIdle() {
    if (!this.next || !this.skipIdle) return;
    const to = this.clock.skip(timeOf(this.next), this.now());
    if (to === null) return;
    this.skipped = to - this.time;
    this.clock.moveTo(to, this.now());
    this.changed("skipped");
  }
}
