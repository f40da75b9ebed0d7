// What a session spent over time: sums by stretches of equal length, only those in which something happened, and
// so few that they can be drawn. Pure.

export const MAX_BUCKETS = 240;
const COARSE_MS = 600_000;
const COARSE_BUCKETS = 24;

export class Timeline {
  #sorted = null;

  /**
   * From the server's {start, width_seconds, tokens, events, errors}; without one it begins with the first event.
   * `first` and `last` are the times of the first and last event (ms), where they are known.
   */
  constructor(told = null, { first = null, last = null } = {}) {
    this.width = Math.max(1, told?.width_seconds ?? 1) * 1000;
    this.buckets = new Map();
    const begin = told?.start ? Math.round(Date.parse(told.start) / this.width) : 0;
    (told?.events ?? []).forEach((events, at) => {
      if (!events) return;
      this.buckets.set(begin + at, { events, tokens: told.tokens?.[at] ?? 0, errors: told.errors?.[at] ?? 0 });
    });
    const sorted = this.sorted();
    this.first = first ?? sorted[0]?.from ?? null;
    this.last = last ?? sorted.at(-1)?.to ?? null;
    this.#sorted = null; // these were not cut yet
  }

  /** Of single events, each {time, tokens, isError}. */
  static of(costs) {
    const timeline = new Timeline();
    for (const { time, tokens, isError } of costs) timeline.add(time, tokens, isError);
    return timeline;
  }

  get isEmpty() {
    return this.buckets.size === 0;
  }

  /** Whether long idle time has made the buckets so wide that they say little about what happened in them. */
  get isCoarse() {
    return this.width >= COARSE_MS && this.buckets.size < COARSE_BUCKETS && this.total().events > this.buckets.size;
  }

  /** Count one event at `time` (ms). */
  add(time, tokens, isError) {
    if (!Number.isFinite(time) || time <= 0) return;
    const index = Math.floor(time / this.width);
    const bucket = this.buckets.get(index) ?? { events: 0, tokens: 0, errors: 0 };
    this.buckets.set(index, bucket);
    bucket.events += 1;
    bucket.tokens += tokens;
    bucket.errors += isError ? 1 : 0;
    this.first = Math.min(this.first ?? time, time);
    this.last = Math.max(this.last ?? time, time);
    this.#sorted = null;
    while (this.buckets.size > MAX_BUCKETS) this.#widen();
  }

  /** The buckets by time, each {from, to, tokens, events, errors}, cut to the first and the last event. */
  sorted() {
    this.#sorted ??= [...this.buckets].sort(([a], [b]) => a - b).map(([index, sums]) => ({
      from: Math.max(index * this.width, this.first ?? 0),
      to: Math.min((index + 1) * this.width, Math.max(this.last ?? Infinity, index * this.width)),
      ...sums,
    }));
    return this.#sorted;
  }

  total() {
    return sumOf(this.sorted());
  }

  /** Sums until `time` (ms): {tokens, events, errors}, as exact as the buckets are. */
  until(time) {
    return sumOf(this.sorted().filter((bucket) => bucket.from <= time));
  }

  /** The bucket with a time, or null. */
  bucketAt(time) {
    return this.sorted().find((bucket) => bucket.from <= time && time <= bucket.to) ?? null;
  }

  #widen() {
    const old = this.buckets;
    this.width *= 2;
    this.buckets = new Map();
    for (const [index, sums] of old) {
      const at = Math.floor(index / 2);
      const bucket = this.buckets.get(at);
      if (bucket) for (const name of Object.keys(sums)) bucket[name] += sums[name];
      else this.buckets.set(at, sums);
    }
  }
}

function sumOf(buckets) {
  const sums = { tokens: 0, events: 0, errors: 0 };
  for (const bucket of buckets) for (const name of Object.keys(sums)) sums[name] += bucket[name];
  return sums;
}
