// The feed's list: rows of the forest in a virtual list, its edges, its messages, the keyboard within it.

import { el, icon, setText } from "../dom.js";
import { kindOf, timeOf } from "../events.js";
import { hidesResults, isEmpty } from "../filters.js";
import { buildForest, mainAgents } from "../forest.js";
import { count, duration, whole } from "../format.js";
import { flatten, pathTo } from "../state.js";
import { VirtualList } from "../virtual_list.js";
import { fillRow, guessHeight, makeRow } from "./row.js";

const NEAR_PX = 1_200;
const FRESH_MOST = 12; // more at once are not animated
const SEARCH_PAGES = 4; // for the beginning of what a subagent did
const SEARCH_EVENTS = 2_000; // loaded ones, with which that is not looked for

export class FeedView {
  #list;
  #roots = [];
  #queued = false;
  #atStart = false; // of what is drawn
  #view = {};
  #events = []; // that are drawn
  #searched = 0;
  #fresh = new Set();

  /** `acts` maps the names of `data-act` to functions of a node. */
  constructor({ scroller, rows, top, bottom, note, feed, nameOf, acts }) {
    Object.assign(this, { scroller, rows, top, bottom, note, feed, nameOf, acts });
    this.expanded = new Set();
    this.collapsed = new Set();
    this.unfolded = new Set();
    this.focused = null;
    this.#list = new VirtualList(scroller, rows, {
      make: () => makeRow(),
      fill: (article, row) => this.#fill(article, row),
      guess: (row) => guessHeight(row, scroller.clientWidth),
      scrolled: () => this.#scrolled(),
    });
    rows.addEventListener("click", (event) => this.#clicked(event));
    rows.addEventListener("focusin", (event) => this.#focusIn(event));
    setInterval(() => this.#tick(), 250);
  }

  get list() {
    return this.#list;
  }

  /** What the rows need to know; made once for all of them. */
  #makeView() {
    return {
      expanded: this.expanded, collapsed: this.collapsed, unfolded: this.unfolded, focused: this.focused,
      certain: (this.feed.mode !== "browse" || this.feed.window.atEnd) && !hidesResults(this.feed.filter),
      ended: this.#ended(), time: this.feed.time, session: this.feed.session,
      filtered: !isEmpty(this.feed.filter), nameOf: this.nameOf,
      isMain: mainAgents(this.#events, this.feed.links),
    };
  }

  reset() {
    this.expanded.clear();
    this.collapsed.clear();
    this.unfolded.clear();
    this.focused = null;
    this.#searched = 0;
    this.#list.active = null;
    this.#list.follows = true;
    this.#showEdges();
  }

  /** Draw the events that are loaded, at the next frame. */
  update(fresh = []) {
    for (const event of fresh) this.#fresh.add(event);
    if (this.#queued) return;
    this.#queued = true;
    const draw = () => this.#queued && this.#draw();
    requestAnimationFrame(draw);
    setTimeout(draw, 200); // a page in the background gets no frames
  }

  toEnd() {
    this.#draw();
    this.#list.scrollToEnd();
    this.feed.follows = true;
  }

  toStart() {
    this.#draw();
    this.#list.scrollToStart();
    this.feed.follows = false;
  }

  /** Show an event that a link names, opened. */
  focus(key) {
    this.#grow();
    const path = pathTo(this.#roots, key);
    if (!path) return;
    for (const parent of path.slice(0, -1)) this.unfolded.add(parent);
    this.focused = path.at(-1);
    this.expanded.add(this.focused);
    this.#draw();
    this.#list.active = this.focused;
    this.#list.scrollToKey(this.focused, "middle");
    this.feed.follows = false;
    this.#list.nodeOf(this.focused)?.focus({ preventScroll: true });
  }

  /** Edges, messages, what is pending: all but the rows. */
  updateState() {
    this.rows.setAttribute("aria-busy", String(!this.feed.loaded));
    this.#showEdges();
    this.#showNote();
  }

  /** The times of the first and the last event in sight. */
  span() {
    const [first, last] = this.#list.visible().map((row) => row && (row.node ? timeOf(row.node.event) : row.time));
    return [first ?? 0, last ?? 0];
  }

  // --- keyboard ---------------------------------------------------------------------------------------

  move(step) {
    const { rows } = this.#list;
    if (!rows.length) return;
    const at = this.#list.indexOf(this.#list.active);
    let to = at < 0 ? this.#list.indexOf(this.#list.visible()[step > 0 ? 0 : 1]?.key) : at + step;
    while (rows[to] && rows[to].type !== "node") to += step;
    if (!rows[to]) return;
    this.#activate(rows[to].key);
    this.#list.scrollToKey(rows[to].key);
    this.feed.follows = this.#list.follows;
    this.#list.nodeOf(rows[to].key)?.focus({ preventScroll: true });
  }

  toggleActive() {
    const row = this.#activeRow();
    if (row) this.#toggle(row.node);
  }

  collapseActive() {
    const row = this.#activeRow();
    if (row?.node.children.length) this.#collapse(row.node);
  }

  #activeRow() {
    return this.#list.rows[this.#list.indexOf(this.#list.active)];
  }

  // --- within -----------------------------------------------------------------------------------------

  #draw() {
    this.#queued = false;
    this.#grow();
    this.#view = this.#makeView();
    const rows = flatten(this.#roots, this.#view);
    this.#atStart = this.feed.window.atStart && rows.length > 0;
    this.#list.setRows(rows);
    this.#markFresh();
    this.updateState();
    this.#loadMore();
  }

  #grow() {
    const { shown, links, lost } = this.feed;
    this.#events = shown;
    this.#roots = buildForest(shown, links, lost);
  }

  #markFresh() {
    const few = this.#fresh.size <= FRESH_MOST && this.feed.follows;
    for (const event of few ? this.#fresh : []) {
      this.#list.nodeOf(`${event.session_id}\n${event.event_id}`)?.classList.add("fresh");
    }
    this.#fresh.clear();
  }

  #ended() {
    const ended = new Set();
    for (const event of this.#events) {
      if (kindOf(event) === "end" && event.event_type !== "subagent_end") ended.add(event.session_id);
      else if (kindOf(event) === "start" || kindOf(event) === "prompt") ended.delete(event.session_id);
    }
    return ended;
  }

  #fill(article, row) {
    fillRow(article, row, this.#view);
    article.tabIndex = row.key === this.#list.active ? 0 : -1;
    if (this.#list.active === null && row.type === "node") this.#activate(row.key);
  }

  #activate(key) {
    const before = this.#list.nodeOf(this.#list.active);
    if (before) before.tabIndex = -1;
    this.#list.active = key;
    const node = this.#list.nodeOf(key);
    if (node) node.tabIndex = 0;
  }

  #scrolled() {
    this.feed.follows = this.#list.follows;
    if (this.feed.follows && this.feed.mode === "live" && this.feed.window.atEnd) this.feed.pending = 0;
    this.#showNote();
    this.#loadMore();
    this.feed.changed("scroll");
  }

  #loadMore() {
    if (!this.feed.loaded || this.feed.error) return;
    if (this.#list.distanceToStart < NEAR_PX) this.feed.loadOlder();
    if (this.#list.distanceToEnd < NEAR_PX) this.feed.loadNewer();
    this.#findBeginnings();
    this.#findCalls();
  }

  /** A subagent whose call is not far back is shown under it. */
  #findBeginnings() {
    const { feed } = this;
    if (this.#searched >= SEARCH_PAGES || feed.window.atStart || feed.loading.older || !isEmpty(feed.filter)) return;
    if (feed.window.events.length > SEARCH_EVENTS || !this.#roots.some((node) => node.kind === "group")) return;
    this.#searched += 1;
    feed.loadOlder();
  }

  /** Results in sight whose calls do not pass the filter. */
  #findCalls() {
    if (isEmpty(this.feed.filter)) return;
    const [first, last] = this.#list.visible().map((row) => (row ? this.#list.indexOf(row.key) : 0));
    const events = this.#list.rows.slice(first, last + 1).map((row) => row.node).filter(isAlone).map((node) => node.event);
    if (events.length) this.feed.findCalls(events);
  }

  /** Running calls show how long they run by now. */
  #tick() {
    const now = this.feed.time;
    for (const node of this.rows.querySelectorAll("[data-since]")) {
      setText(node, duration(Math.max(0, (now - Number(node.dataset.since)) / 1000)));
    }
  }

  #showEdges() {
    const { loaded, loading, error, mode } = this.feed;
    const known = loaded && !error;
    const top = loading.older ? "Loading earlier events…" : this.#atStart ? this.#beginning() : "";
    setText(this.top, known ? top : "");
    setText(this.bottom, loading.newer && mode === "browse" ? "Loading later events…" : "");
  }

  #beginning() {
    if (!isEmpty(this.feed.filter)) return "No earlier event passes the filter";
    return this.feed.session === null ? "The beginning of the log" : "The beginning of the session";
  }

  #showNote() {
    const { feed, note } = this;
    const version = JSON.stringify([feed.loaded, feed.error?.message, feed.pending, feed.mode, feed.paused, feed.unknown, feed.shown.length > 0, feed.follows, feed.loading.older, feed.travel?.isAtPresent]);
    if (note.dataset.version === version) return;
    note.dataset.version = version;
    note.replaceChildren(...[this.#message() ?? this.#newButton()].filter(Boolean));
  }

  #message() {
    const { feed } = this;
    if (feed.error) {
      return el("div.feed-message", { role: "alert" }, icon("error", 28), el("p", feed.error.message),
        el("button", { type: "button", on: { click: () => feed.retry() } }, "Try again"));
    }
    if (feed.shown.length || feed.loading.older) return null;
    if (!feed.loaded) return el("div.feed-message", el("span.spinner"), el("p", "Loading"));
    return el("div.feed-message", this.#emptyWords().map((words) => el("p", words)));
  }

  #emptyWords() {
    const { feed } = this;
    if (feed.unknown) return ["Nothing was published to this session yet.", "This page shows it as soon as something comes."];
    if (feed.travel) return ["Nothing had happened by then."];
    return [isEmpty(feed.filter) ? "No events yet. They appear here as they happen." : "No event passes the filter."];
  }

  #newButton() {
    const { feed } = this;
    const away = feed.mode === "browse" || !feed.follows;
    if (feed.mode === "travel" || !away) return null;
    const words = feed.pending ? `${whole(feed.pending)} new` : feed.paused ? "Go on live" : "To the newest";
    return el("button", { class: feed.pending ? "primary" : "", type: "button", "aria-label": feed.pending ? `Show ${count(feed.pending, "new event")}` : words, on: { click: () => feed.goLive() } },
      icon("down", 14), words);
  }

  #focusIn(event) {
    const key = event.target.closest(".row")?.dataset.key;
    if (key && key !== this.#list.active) this.#activate(key);
  }

  #clicked(event) {
    const article = event.target.closest(".row");
    const row = article && this.#list.rows[this.#list.indexOf(article.dataset.key)];
    if (!row?.node) return;
    const act = event.target.closest("[data-act]")?.dataset.act;
    this.#activate(row.key);
    if (act === "toggle") this.#toggle(row.node);
    else if (act === "collapse") this.#collapse(row.node);
    else if (act === "unfold") this.#unfold(row.node);
    else if (act) this.acts[act]?.(row.node);
    else if (event.target.closest(".row-head") && !getSelection()?.toString()) this.#toggle(row.node);
  }

  #toggle(node) {
    const opens = !this.expanded.delete(node.key);
    if (opens) this.expanded.add(node.key);
    this.#hold();
    this.#redraw();
    if (opens) this.#list.scrollToKey(node.key);
    this.#list.nodeOf(node.key)?.focus({ preventScroll: true });
  }

  #collapse(node) {
    if (!this.collapsed.delete(node.key)) this.collapsed.add(node.key);
    this.#hold();
    this.#redraw();
  }

  #unfold(node) {
    this.unfolded.add(node.key);
    this.#hold();
    this.#redraw();
  }

  /** Who opens something wants to read it: the end is not followed any more, if that would move it away. */
  #hold() {
    this.#list.follows = false;
    this.feed.follows = false;
  }

  #redraw() {
    this.#view = this.#makeView();
    this.#list.setRows(flatten(this.#roots, this.#view));
    this.#showNote();
  }
}

/** Whether it is a result without the call that it belongs to. */
function isAlone(node) {
  return node && (node.kind === "result" || node.kind === "error") && node.event.tool_name && node.event.parent_event_id;
}
