// Cost over time, drawn: tokens per stretch, their running sum, errors, and what of it the feed shows.

import { el, setText, svg } from "../dom.js";
import { clock, compact, count, duration, moment } from "../format.js";

const W = 1000;
const H = 100;
const TOP = 12; // above it only errors

export class ChartView {
  #frame;
  #drawing;
  #seen;
  #now;
  #mark;
  #later;
  #tip;
  #left;
  #right;
  #middle;
  #empty;
  #timeline = null;

  constructor(place, { jump }) {
    this.jump = jump;
    this.#seen = svg("rect.chart-seen", { y: 0, height: H });
    this.#later = svg("rect.chart-later", { y: 0, height: H });
    this.#now = svg("line.chart-now", { y1: 0, y2: H });
    this.#mark = svg("line.chart-mark", { y1: 0, y2: H, visibility: "hidden" });
    this.#drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img" });
    this.#tip = el("div.chart-tip", { hidden: true, "aria-hidden": "true" });
    this.#empty = el("div.chart-empty", "No cost yet");
    this.#frame = el("div.chart-frame", this.#drawing, this.#empty, this.#tip);
    this.#left = el("span");
    this.#middle = el("span");
    this.#right = el("span");
    place.append(this.#frame, el("div.chart-legend", { "aria-hidden": "true" }, this.#left, this.#middle, this.#right));
    this.#drawing.addEventListener("pointermove", (event) => this.#hover(event));
    this.#drawing.addEventListener("pointerleave", () => this.#leave());
    this.#drawing.addEventListener("click", (event) => this.jump(this.#timeAt(event)));
  }

  draw(timeline) {
    this.#timeline = timeline;
    const empty = timeline.isEmpty;
    this.#empty.hidden = !empty;
    this.#drawing.toggleAttribute("hidden", empty);
    for (const label of [this.#left, this.#middle, this.#right]) setText(label, "");
    if (empty) return;
    this.#drawing.replaceChildren(...shapes(timeline), this.#seen, this.#later, this.#mark, this.#now);
    const sums = timeline.until(timeline.end);
    const span = (timeline.end - timeline.start) / 1000;
    const words = `${compact(sums.tokens)} output tokens in ${duration(span)}, ${count(sums.errors, "error")}`;
    this.#drawing.setAttribute("aria-label", `Cost over time from ${moment(timeline.start)} to ${moment(timeline.end)}: ${words}.`);
    setText(this.#left, moment(timeline.start));
    setText(this.#middle, words);
    setText(this.#right, moment(timeline.end));
  }

  /** Mark what the feed shows, from and to (ms), and the moment of time travel, if any. */
  place(from, to, travelling) {
    if (!this.#timeline || this.#timeline.isEmpty) return;
    const [a, b] = [this.#x(from), this.#x(to)];
    set(this.#seen, { x: a, width: Math.max(2, b - a) });
    const now = travelling === null ? W : this.#x(travelling);
    set(this.#later, { x: now, width: Math.max(0, W - now) });
    set(this.#now, { x1: now, x2: now, visibility: travelling === null ? "hidden" : "visible" });
  }

  #x(time) {
    const { start, end } = this.#timeline;
    return Math.max(0, Math.min(W, ((time - start) / (end - start)) * W)) || 0;
  }

  #timeAt(event) {
    const box = this.#drawing.getBoundingClientRect();
    const part = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    return this.#timeline.start + part * (this.#timeline.end - this.#timeline.start);
  }

  #hover(event) {
    const time = this.#timeAt(event);
    const bucket = this.#timeline.bucketAt(time);
    if (!bucket) return this.#leave();
    const x = this.#x(time);
    set(this.#mark, { x1: x, x2: x, visibility: "visible" });
    this.#tip.replaceChildren(
      el("b", clock(bucket.from)), ` · ${compact(bucket.tokens)} tok · ${count(bucket.events, "event")}`,
      bucket.errors ? el("span.bad", ` · ${count(bucket.errors, "error")}`) : "",
    );
    this.#tip.hidden = false;
    const most = this.#frame.clientWidth - this.#tip.offsetWidth;
    const left = Math.max(0, Math.min(most, (x / W) * this.#frame.clientWidth - this.#tip.offsetWidth / 2));
    this.#tip.style.setProperty("transform", `translate(${left}px, -6px)`);
  }

  #leave() {
    this.#tip.hidden = true;
    set(this.#mark, { visibility: "hidden" });
  }
}

function shapes(timeline) {
  const step = W / timeline.events.length;
  const heights = timeline.tokens.some(Boolean) ? timeline.tokens : timeline.events; // without cost, how busy it was
  const most = Math.max(1, ...heights);
  const bars = heights.map((height, at) => height && bar(at, step, (height / most) * (H - TOP) * 0.62));
  const errors = timeline.errors.map((errors, at) => errors && svg("rect.chart-error", {
    x: at * step + step / 2 - 1.5, y: 0, width: 3, height: 7,
  }));
  return [
    svg("rect", { x: 0, y: 0, width: W, height: H, fill: "transparent" }),
    ...bars.filter(Boolean),
    ...sumShapes(timeline, step),
    svg("line.chart-base", { x1: 0, x2: W, y1: H, y2: H }),
    ...errors.filter(Boolean),
  ];
}

function bar(at, step, height) {
  const gap = Math.min(1, step * 0.15);
  return svg("rect.chart-bar", { x: at * step + gap, y: H - height, width: Math.max(0.6, step - 2 * gap), height });
}

function sumShapes(timeline, step) {
  const sums = timeline.cumulative();
  const total = sums.at(-1);
  if (!total) return [];
  const points = sums.map((sum, at) => `${((at + 1) * step).toFixed(1)} ${(H - (sum / total) * (H - TOP)).toFixed(1)}`);
  const line = `M0 ${H}L${points.join("L")}`;
  return [svg("path.chart-area", { d: `${line}L${W} ${H}Z` }), svg("path.chart-line", { d: line })];
}

function set(node, values) {
  for (const [name, value] of Object.entries(values)) node.setAttribute(name, String(value));
}
