// What a session spent over time, in a bounded number of buckets that widen as it grows. Pure.

export const MAX_BUCKETS = 240;

export class Timeline {
  /** From the server's {start, width_seconds, tokens, events, errors}; without one it begins with the first event. */
  constructor(told = null) {
    this.start = told?.start ? Date.parse(told.start) : null;
    this.width = Math.max(1, (told?.width_seconds ?? 1) * 1000);
    this.tokens = [...(told?.tokens ?? [])];
    this.events = [...(told?.events ?? [])];
    this.errors = [...(told?.errors ?? [])];
  }

  /** Of the latest stretch of some events, back to the first long silence. */
  static ofLatest(list, silence) {
    let first = list.length - 1;
    while (first > 0 && Math.abs(list[first].time - list[first - 1].time) < silence) first -= 1;
    const timeline = new Timeline();
    for (const { time, tokens, isError } of list.slice(Math.max(0, first))) timeline.add(time, tokens, isError);
    return timeline;
  }

  get isEmpty() {
    return this.start === null || !this.events.some(Boolean);
  }

  get end() {
    return this.start + this.width * this.events.length;
  }

  /** Count one event at `time` (ms). */
  add(time, tokens, isError) {
    if (!Number.isFinite(time) || time <= 0) return;
    this.start ??= Math.floor(time / 1000) * 1000;
    let at = Math.max(0, Math.floor((time - this.start) / this.width)); // an earlier one counts at the start
    while (at >= MAX_BUCKETS) {
      this.#widen();
      at = Math.floor((time - this.start) / this.width);
    }
    while (this.events.length <= at) {
      this.tokens.push(0);
      this.events.push(0);
      this.errors.push(0);
    }
    this.tokens[at] += tokens;
    this.events[at] += 1;
    this.errors[at] += isError ? 1 : 0;
  }

  /** Sums until `time` (ms): {tokens, events, errors}. */
  until(time) {
    const sums = { tokens: 0, events: 0, errors: 0 };
    const last = Math.min(this.events.length - 1, Math.floor((time - this.start) / this.width));
    for (let at = 0; at <= last; at += 1) {
      sums.tokens += this.tokens[at] ?? 0;
      sums.events += this.events[at] ?? 0;
      sums.errors += this.errors[at] ?? 0;
    }
    return sums;
  }

  /** One bucket: {from, to, tokens, events, errors}, or null. */
  bucketAt(time) {
    const at = Math.floor((time - this.start) / this.width);
    if (this.start === null || at < 0 || at >= this.events.length) return null;
    const from = this.start + at * this.width;
    return {
      from, to: from + this.width,
      tokens: this.tokens[at] ?? 0, events: this.events[at] ?? 0, errors: this.errors[at] ?? 0,
    };
  }

  /** The running sum of tokens at the end of each bucket. */
  cumulative() {
    let sum = 0;
    return this.tokens.map((tokens) => (sum += tokens));
  }

  #widen() {
    this.width *= 2;
    for (const name of ["tokens", "events", "errors"]) {
      const old = this[name];
      this[name] = Array.from({ length: Math.ceil(old.length / 2) }, (_, at) => old[2 * at] + (old[2 * at + 1] ?? 0));
    }
  }
}
