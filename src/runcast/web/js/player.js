// The clock of time travel: which moment of the past is shown while it plays at 1x to 60x. Pure: it is told
// what time it really is.

export const SPEEDS = [1, 2, 5, 10, 30, 60];
const LONG_WAIT_MS = 2_500; // of real time, for nothing
const LEAD_IN_MS = 700;

export class PlayClock {
  constructor(at, speed = 1) {
    this.speed = speed;
    this.playing = false;
    this.#at = at;
  }

  #at;
  #since = 0;

  time(now) {
    return this.playing ? this.#at + (now - this.#since) * this.speed : this.#at;
  }

  play(now) {
    if (this.playing) return;
    this.#since = now;
    this.playing = true;
  }

  pause(now) {
    this.#at = this.time(now);
    this.playing = false;
  }

  setSpeed(speed, now) {
    this.moveTo(this.time(now), now);
    this.speed = speed;
  }

  moveTo(at, now) {
    this.#at = at;
    this.#since = now;
  }

  /** Where to jump if nothing would happen for long: shortly before the next event; else null. */
  skip(next, now) {
    if (!this.playing) return null;
    const wait = (next - this.time(now)) / this.speed;
    return wait > LONG_WAIT_MS ? next - LEAD_IN_MS * this.speed : null;
  }
}
