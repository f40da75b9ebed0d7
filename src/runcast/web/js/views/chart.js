// Cost over time, drawn: tokens per stretch, their running sum, errors, and what of it the feed shows.

import { el, setText, svg } from "../dom.js";
import { compact, count, duration, moment } from "../format.js";

const W = 1000;
const H = 100;
const TOP = 12; // above it only errors
const WIDEST = 16; // of a bar: one event is no more than that

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
  #axis = null;

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

  /** `covers` says which events these are, if not all of a session. */
  draw(timeline, axis, covers = "") {
    this.#timeline = timeline;
    this.#axis = axis;
    const empty = timeline.isEmpty;
    this.#empty.hidden = !empty;
    this.#drawing.toggleAttribute("hidden", empty);
    for (const label of [this.#left, this.#middle, this.#right]) setText(label, "");
    if (empty) return;
    this.#drawing.replaceChildren(...shapes(timeline, this.#axis), this.#seen, this.#later, this.#mark, this.#now);
    const { first, last } = this.#axis;
    const words = wordsOf(timeline, this.#axis, covers);
    this.#drawing.setAttribute("aria-label", `Cost over time from ${moment(first)} to ${moment(last)}: ${words}.`);
    setText(this.#left, moment(first));
    setText(this.#middle, words);
    setText(this.#right, moment(last, first)); // the day only if it is another
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
    return this.#axis.partOf(time) * W;
  }

  #timeAt(event) {
    const box = this.#drawing.getBoundingClientRect();
    return this.#axis.timeAt(Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)));
  }

  #hover(event) {
    const time = this.#timeAt(event);
    const bucket = this.#timeline.bucketAt(time);
    const x = this.#x(time);
    set(this.#mark, { x1: x, x2: x, visibility: "visible" });
    this.#tip.replaceChildren(...(bucket ? tipOf(bucket) : [el("b", moment(time)), ` · ${this.#idleAt(time)}`]));
    this.#tip.hidden = false;
    const most = this.#frame.clientWidth - this.#tip.offsetWidth;
    const left = Math.max(0, Math.min(most, (x / W) * this.#frame.clientWidth - this.#tip.offsetWidth / 2));
    this.#tip.style.setProperty("transform", `translate(${left}px, -6px)`);
  }

  #idleAt(time) {
    const idle = this.#axis.breaks.find((one) => one.from <= time && time <= one.to);
    return idle ? `${duration((idle.to - idle.from) / 1000)} without activity` : "nothing";
  }

  #leave() {
    this.#tip.hidden = true;
    set(this.#mark, { visibility: "hidden" });
  }
}

function wordsOf(timeline, axis, covers) {
  const { tokens, errors } = timeline.total();
  const during = axis.active >= 1000 ? ` in ${duration(axis.active / 1000)}${axis.breaks.length ? " of activity" : ""}` : "";
  return [covers, `${compact(tokens)} output tokens${during}`, count(errors, "error")].filter(Boolean).join(" · ");
}

function tipOf(bucket) {
  return [
    el("b", moment(bucket.from)), ` · ${compact(bucket.tokens)} tok · ${count(bucket.events, "event")}`,
    bucket.errors ? el("span.bad", ` · ${count(bucket.errors, "error")}`) : "",
  ];
}

function shapes(timeline, axis) {
  const buckets = timeline.sorted();
  const measure = buckets.some(({ tokens }) => tokens) ? "tokens" : "events"; // without cost, how busy it was
  const most = Math.max(1, ...buckets.map((bucket) => bucket[measure]));
  const at = (time) => axis.partOf(time) * W;
  const bars = buckets.filter((bucket) => bucket[measure]).map((bucket) =>
    bar(at(bucket.from), at(bucket.to), (bucket[measure] / most) * (H - TOP) * 0.62));
  const errors = buckets.filter((bucket) => bucket.errors).map((bucket) => svg("rect.chart-error", {
    x: Math.min(W - 3, (at(bucket.from) + Math.min(at(bucket.to), at(bucket.from) + WIDEST)) / 2 - 1.5), y: 0, width: 3, height: 7,
  }));
  return [
    svg("rect", { x: 0, y: 0, width: W, height: H, fill: "transparent" }),
    ...axis.breaks.flatMap(breakShapes),
    ...bars,
    ...sumShapes(buckets, at),
    ...baseShapes(axis),
    ...errors,
  ];
}

function bar(from, to, height) {
  const width = Math.min(WIDEST, to - from);
  const gap = Math.min(1, width * 0.15);
  const x = Math.min(from + gap, W - 2);
  return svg("rect.chart-bar", { x, y: H - height, width: Math.max(1.4, width - 2 * gap), height });
}

function breakShapes({ a, b }) {
  return [
    svg("rect.chart-break", { x: a * W, y: 0, width: (b - a) * W, height: H }),
    ...[a, b].map((edge) => svg("line.chart-edge", { x1: edge * W, x2: edge * W, y1: 0, y2: H })),
  ];
}

function baseShapes(axis) {
  return axis.stretches.map(({ a, b }) => svg("line.chart-base", { x1: a * W, x2: b * W, y1: H, y2: H }));
}

function sumShapes(buckets, at) {
  const total = buckets.reduce((all, { tokens }) => all + tokens, 0);
  if (!total) return [];
  let sum = 0;
  const height = () => (H - (sum / total) * (H - TOP)).toFixed(1);
  const points = [];
  for (const { from, to, tokens } of buckets) {
    points.push(`${at(from).toFixed(1)} ${height()}`);
    sum += tokens;
    points.push(`${Math.min(at(to), at(from) + WIDEST).toFixed(1)} ${height()}`);
  }
  const line = `M0 ${H}L${points.join("L")}L${W} ${height()}`;
  return [svg("path.chart-area", { d: `${line}L${W} ${H}Z` }), svg("path.chart-line", { d: line })];
}

function set(node, values) {
  for (const [name, value] of Object.entries(values)) node.setAttribute(name, String(value));
}
