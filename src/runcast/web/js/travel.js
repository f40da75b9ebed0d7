// Time travel through the log: what was known at a moment, and what comes next, from pages after it.
//
// It owns the clock and the queue of what lies ahead; who uses it owns what is shown.

import { timeOf } from "./events.js";
import { PlayClock } from "./player.js";

const AHEAD = 120; // events that should be there before they are due
const STEP_MS = 60;

export class Travel {
  #queue = [];
  #after = null;
  #complete = false;
  #fetching = false;
  #timer = null;

  /**
   * `fetch(after)` resolves to a page; `reveal(events)` shows what has become due; `changed(what)` tells
   * "tick", "skipped", "error" or "present" (nothing is left).
   */
  constructor({ at, speed, fetch, reveal, changed, now = () => performance.now() }) {
    this.clock = new PlayClock(at, speed);
    this.skipIdle = true;
    this.skipped = null;
    this.fetch = fetch;
    this.reveal = reveal;
    this.changed = changed;
    this.now = now;
  }

  get time() {
    return this.clock.time(this.now());
  }

  get playing() {
    return this.clock.playing;
  }

  get next() {
    return this.#queue[0] ?? null;
  }

  get isAtPresent() {
    return this.#complete && !this.#queue.length;
  }

  /** What lies ahead, as far as it is loaded; the log goes on after `page.cursor`. */
  load(page) {
    this.#queue = page.events;
    this.#after = page.cursor;
    this.#complete = page.complete;
  }

  /** Everything that was queued, and where to go on: for who does not want to wait for the clock. */
  release() {
    this.stop();
    return { events: this.#queue, cursor: this.#after, complete: this.#complete };
  }

  /** The log has grown: what was its end is not any more. */
  more() {
    this.#complete = false;
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
    this.reveal = () => {};
    this.changed = () => {};
  }

  setSpeed(speed) {
    this.clock.setSpeed(speed, this.now());
  }

  /** Show the next event, whenever it was. */
  async step() {
    if (!this.#queue.length) await this.#refill();
    const event = this.#queue.shift();
    if (!event) return this.changed("present");
    this.clock.moveTo(Math.max(this.time, timeOf(event)), this.now());
    this.reveal([event]);
    this.changed("tick");
  }

  #tick() {
    this.#skipIdle();
    const time = this.time;
    let due = 0;
    while (due < this.#queue.length && timeOf(this.#queue[due]) <= time) due += 1;
    if (due) this.reveal(this.#queue.splice(0, due));
    if (this.#queue.length < AHEAD && !this.#complete) this.#refill();
    if (this.isAtPresent) {
      this.pause();
      this.changed("present");
    } else {
      this.changed("tick");
    }
  }

  #skipIdle() {
    const next = this.next;
    if (!next || !this.skipIdle) return;
    const to = this.clock.skip(timeOf(next), this.now());
    if (to === null) return;
    this.skipped = to - this.time;
    this.clock.moveTo(to, this.now());
    this.changed("skipped");
  }

  async #refill() {
    if (this.#fetching) return;
    this.#fetching = true;
    try {
      const page = await this.fetch(this.#after);
      this.#queue.push(...page.events);
      this.#after = page.cursor;
      this.#complete = page.complete;
    } catch (error) {
      this.pause();
      this.changed("error", error);
    } finally {
      this.#fetching = false;
    }
  }
}
