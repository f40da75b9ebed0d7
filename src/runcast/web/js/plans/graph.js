// The graph of a plan: boxes with the state of each step in colour and in words, and the lines of who waits for whom.

import { bdi, el, icon, svg } from "../dom.js";
import { putChildren, whenChanged } from "../runs/drawing.js";
import { looksOf } from "../runs/status.js";
import { layOut, pathOf } from "./layout.js";

const SIZES = { wide: { width: 196, height: 62, gap: 54, space: 22 }, narrow: { width: 156, height: 58, gap: 34, space: 12 } };
const PADDING = 18;
const ZOOMS = [0.35, 0.5, 0.65, 0.8, 1, 1.25, 1.5];
const LEAST_FIT = 0.75; // smaller than that cannot be read: rather scroll
const GOOD_FIT = 0.9;

export class GraphView {
  #boxes = new Map();
  #steps = [];
  #layout = null;
  #isDown = false;
  #zoom = null; // null: as it fits
  #chosen = null;
  #place = whenChanged((steps) => this.#placeBoxes(steps));

  /** `choose(id)` is called for a box that is pressed; without it the graph is only looked at. */
  constructor({ label, choose = null }) {
    this.choose = choose;
    this.lines = svg("svg.graph-lines", { "aria-hidden": "true" });
    this.boxes = el("div.graph-boxes", { role: "list" });
    this.canvas = el("div.graph-canvas", this.lines, this.boxes);
    this.scroller = el("div.graph-scroll", { tabindex: choose ? -1 : 0, role: "group", "aria-label": label }, this.canvas);
    this.node = el("div.graph", this.scroller);
    this.zoom = this.#zoomButtons(); // to be placed beside its heading
    this.boxes.addEventListener("keydown", (event) => this.#move(event));
    new ResizeObserver(() => this.#arrange()).observe(this.scroller);
  }

  /** `steps` is [{id, name, dependsOn, state, word?, note, progress}]; `chosen` is the id of the one that is marked. */
  update(steps, chosen = null) {
    const isOther = chosen !== this.#chosen;
    this.#steps = steps;
    this.#chosen = chosen;
    this.#arrange();
    this.#fill();
    this.#colourLines();
    if (isOther) this.#reveal();
  }

  /** Scroll within the graph, and nothing else, until the marked box is in sight. */
  #reveal() {
    const box = this.#boxes.get(this.#chosen)?.getBoundingClientRect();
    if (!box) return;
    const { scroller } = this;
    const frame = scroller.getBoundingClientRect();
    const shift = (from, to, least, most) => (from < least ? from - least - PADDING : to > most ? Math.min(from - least, to - most + PADDING) : 0);
    scroller.scrollBy(shift(box.left, box.right, frame.left, frame.right), shift(box.top, box.bottom, frame.top, frame.bottom));
  }

  #arrange() {
    const width = this.scroller.clientWidth;
    if (!width) return;
    this.#place([width, this.#steps.map(({ id, dependsOn }) => [id, dependsOn])], this.#steps);
    this.#scale();
  }

  /** From left to right where that fits; from the top where that is larger. */
  #bestLayout(steps) {
    const across = layOut(steps, SIZES.wide);
    if (this.#fitOf(across) >= GOOD_FIT) return { layout: across, isDown: false, size: SIZES.wide };
    const down = layOut(steps, SIZES.narrow, true);
    if (this.#fitOf(down) < this.#fitOf(across)) return { layout: across, isDown: false, size: SIZES.wide };
    return { layout: down, isDown: true, size: SIZES.narrow };
  }

  #placeBoxes(steps) {
    const { layout, isDown, size } = this.#bestLayout(steps);
    this.#layout = layout;
    this.#isDown = isDown;
    const there = new Set(steps.map(({ id }) => id));
    for (const id of this.#boxes.keys()) if (!there.has(id)) this.#boxes.delete(id);
    putChildren(this.boxes, this.#layout.nodes.map(({ id, x, y }) => {
      if (!this.#boxes.has(id)) this.#boxes.set(id, this.#makeBox(id));
      const box = this.#boxes.get(id);
      const place = { "--x": x - size.width / 2, "--y": y - size.height / 2, "--w": size.width, "--h": size.height };
      for (const [name, value] of Object.entries(place)) box.style.setProperty(name, `${value}px`);
      return box;
    }));
    this.lines.replaceChildren(arrowHeads(), ...this.#layout.edges.map((edge) =>
      svg("path.line", { d: pathOf(edge, size, this.#isDown), "data-from": edge.from, "data-to": edge.to }),
    ));
  }

  #makeBox(id) {
    const tag = this.choose ? "button" : "div";
    const press = this.choose ? { click: () => this.choose(id) } : {};
    const box = el(`${tag}.box`, { ...(this.choose ? { type: "button", tabindex: -1 } : {}), "data-step": id, on: press });
    return el("div.box-place", { role: "listitem" }, box);
  }

  #fill() {
    const entry = this.#boxes.has(this.#chosen) ? this.#chosen : this.#layout?.nodes[0]?.id;
    for (const step of this.#steps) {
      const box = this.#boxes.get(step.id)?.firstChild;
      if (!box) continue;
      const isChosen = step.id === this.#chosen;
      if (this.choose) box.tabIndex = step.id === entry ? 0 : -1;
      const version = JSON.stringify([step, isChosen]);
      if (box.dataset.version === version) continue;
      box.dataset.version = version;
      fillBox(box, step, isChosen, this.choose !== null);
    }
  }

  /** A line is done when what it comes from is, and moves while it leads to what runs. */
  #colourLines() {
    const states = new Map(this.#steps.map(({ id, state }) => [id, state]));
    for (const line of this.lines.querySelectorAll(".line")) {
      const from = states.get(line.dataset.from);
      const isDone = from === "completed" || from === "skipped";
      const kind = !isDone ? (from === "failed" ? "failed" : "") : ["running", "review", "retrying"].includes(states.get(line.dataset.to)) ? "busy" : "done";
      line.setAttribute("class", `line ${kind}`);
      line.setAttribute("marker-end", `url(#arrow-${kind || "open"})`);
    }
  }

  // --- how large --------------------------------------------------------------------------------------------

  #fitOf({ width }) {
    return Math.min(1, this.scroller.clientWidth / (width + 2 * PADDING));
  }

  #fit() {
    return this.#layout ? Math.max(LEAST_FIT, this.#fitOf(this.#layout)) : 1;
  }

  #scale() {
    if (!this.#layout) return;
    const zoom = this.#zoom ?? this.#fit();
    const [width, height] = [this.#layout.width + 2 * PADDING, this.#layout.height + 2 * PADDING];
    this.lines.setAttribute("viewBox", `${-PADDING} ${-PADDING} ${width} ${height}`);
    for (const [name, value] of [["--zoom", zoom], ["--width", `${width}px`], ["--height", `${height}px`], ["--pad", `${PADDING}px`]]) {
      this.canvas.style.setProperty(name, String(value));
    }
  }

  #zoomButtons() {
    const button = (name, label, act) => el("button.quiet", { type: "button", "aria-label": label, title: label, on: { click: act } }, icon(name, 15));
    return el("div.zoom", { role: "group", "aria-label": "Size of the graph" },
      button("minus", "Smaller", () => this.#zoomBy(-1)), button("fit", "As it fits", () => this.#zoomTo(null)), button("plus", "Larger", () => this.#zoomBy(1)),
    );
  }

  #zoomBy(step) {
    const now = this.#zoom ?? this.#fit();
    const next = step > 0 ? ZOOMS.find((zoom) => zoom > now + 0.01) : ZOOMS.findLast((zoom) => zoom < now - 0.01);
    if (next) this.#zoomTo(next);
  }

  #zoomTo(zoom) {
    this.#zoom = zoom;
    this.#scale();
    this.#reveal();
  }

  // --- the keyboard: along the lines, and to the neighbours -----------------------------------------------

  #move(event) {
    const id = event.target.dataset?.step;
    if (!id || !event.key.startsWith("Arrow")) return;
    const along = this.#isDown ? { ArrowDown: 1, ArrowUp: -1 } : { ArrowRight: 1, ArrowLeft: -1 };
    const across = this.#isDown ? { ArrowRight: 1, ArrowLeft: -1 } : { ArrowDown: 1, ArrowUp: -1 };
    const { nodes } = this.#layout;
    const here = nodes.find((node) => node.id === id);
    const to = event.key in along ? nearest(nodes, here, here.layer + along[event.key]) : beside(nodes, here, across[event.key]);
    event.preventDefault();
    event.stopPropagation();
    if (!to) return;
    const box = this.#boxes.get(to.id).firstChild;
    box.focus();
    this.choose?.(to.id);
  }
}

function nearest(nodes, here, layer) {
  const distance = ({ x, y }) => Math.hypot(x - here.x, y - here.y);
  return nodes.filter((node) => node.layer === layer).sort((a, b) => distance(a) - distance(b))[0];
}

function beside(nodes, here, step) {
  const row = nodes.filter(({ layer }) => layer === here.layer);
  return row[row.indexOf(here) + step];
}

function fillBox(box, { id, name, state, word = looksOf(state).word, note, progress, dependsOn }, isChosen, isButton) {
  const { tone } = looksOf(state);
  box.className = `box s-${tone}${isChosen ? " chosen" : ""}`;
  if (isButton) {
    box.setAttribute("aria-pressed", String(isChosen));
    const after = dependsOn.length ? `, after ${dependsOn.join(", ")}` : "";
    box.setAttribute("aria-label", `Step ${name}, ${[word, note].filter(Boolean).join(", ")}${after}`);
  }
  box.title = name === id ? id : `${name} (${id})`;
  box.replaceChildren(...[
    bdi(name, "box-name"),
    el("span.box-line", el(`span.dot.${tone}`), el("span.box-word", word), note ? bdi(note, "box-note") : null),
    progress === null ? null : el("span.box-progress", { vars: { "--part": `${Math.round(progress * 100)}%` } }),
  ].filter(Boolean));
}

function arrowHeads() {
  return svg("defs", ["open", "done", "busy", "failed"].map((kind) =>
    svg(`marker.arrow.${kind}`, { id: `arrow-${kind}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" },
      svg("path", { d: "M0.5 0.8L7.2 4 0.500 7.200" }),
    ),
  ));
}
