// Where a time stands on the chart and on the scrubber: active stretches by their length, and of the idle time
// between them only a narrow break. Pure.

const IDLE_MS = 600_000;
const BREAK = 0.022; // of the whole, each
const BREAKS = 0.3; // all of them, at most
const LEAST = 0.012; // of the active part: what a stretch gets, however short

export class Axis {
  /** Stretches {from, to, a, b}: times in ms, places as parts of 1. */
  constructor(timeline) {
    this.stretches = stretchesOf(timeline);
    this.first = this.stretches[0]?.from ?? 0;
    this.last = this.stretches.at(-1)?.to ?? 0;
    place(this.stretches);
  }

  /** How long something happened, in ms. */
  get active() {
    return this.stretches.reduce((sum, { from, to }) => sum + to - from, 0);
  }

  /** The breaks {from, to, a, b}. */
  get breaks() {
    return this.stretches.slice(1).map((next, at) => {
      const before = this.stretches[at];
      return { from: before.to, to: next.from, a: before.b, b: next.a };
    });
  }

  /** A time's place, 0 to 1. */
  partOf(time) {
    for (const piece of this.#pieces()) if (time <= piece.to) return between(time, piece.from, piece.to, piece.a, piece.b);
    return 1;
  }

  /** The time of a place. */
  timeAt(part) {
    for (const piece of this.#pieces()) if (part <= piece.b) return between(part, piece.a, piece.b, piece.from, piece.to);
    return this.last;
  }

  #pieces() {
    const { breaks } = this;
    return this.stretches.flatMap((stretch, at) => (breaks[at] ? [stretch, breaks[at]] : [stretch]));
  }
}

function stretchesOf(timeline) {
  const idle = Math.max(IDLE_MS, timeline.width);
  const stretches = [];
  for (const { from, to } of timeline.sorted()) {
    const last = stretches.at(-1);
    if (last && from - last.to <= idle) last.to = Math.max(last.to, to);
    else stretches.push({ from, to, a: 0, b: 0 });
  }
  return stretches;
}

function place(stretches) {
  const gap = stretches.length > 1 ? Math.min(BREAK, BREAKS / (stretches.length - 1)) : 0;
  const active = stretches.reduce((sum, { from, to }) => sum + to - from, 0) || 1;
  const weights = stretches.map(({ from, to }) => Math.max(to - from, active * LEAST));
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  const room = 1 - gap * (stretches.length - 1);
  let at = 0;
  stretches.forEach((stretch, index) => {
    stretch.a = at;
    stretch.b = index === stretches.length - 1 ? 1 : at + (weights[index] / all) * room;
    at = stretch.b + gap;
  });
}

function between(value, from, to, a, b) {
  const part = to > from ? (value - from) / (to - from) : 0;
  return a + Math.max(0, Math.min(1, part)) * (b - a);
}
