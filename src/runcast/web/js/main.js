// Puts the page together: the address, the sessions, the feed and their views.

import { Axis } from "./axis.js";
import { el, icon } from "./dom.js";
import { MAIN_AGENT, timeOf } from "./events.js";
import { Feed } from "./feed.js";
import { NO_FILTER, sameFilter } from "./filters.js";
import { count } from "./format.js";
import { listenToKeys } from "./keyboard.js";
import { formatRoute, parseRoute } from "./route.js";
import { Sessions } from "./sessions.js";
import { nameOf } from "./summaries.js";
import { Timeline } from "./timeline.js";
import { ChartView } from "./views/chart.js";
import { asJson } from "./views/details.js";
import { emptyView } from "./views/empty.js";
import { FeedView } from "./views/feed.js";
import { HeadlineView } from "./views/headline.js";
import { helpDialog } from "./views/help.js";
import { NewSessionView } from "./views/hint.js";
import { PlayerView } from "./views/player.js";
import { signedIn } from "./views/signin.js";
import { SessionsView } from "./views/sessions.js";
import { StatusView, themeButton } from "./views/status.js";
import { Toasts } from "./views/toasts.js";
import { ToolsView } from "./views/tools.js";

const $ = (id) => document.getElementById(id);
const SECOND_MS = 1_000;
const ANNOUNCE_MS = 10_000;
const PHONE = matchMedia("(max-width: 760px)");

class Page {
  #route = parseRoute(location.search);
  #draws = new Set();
  #axis = new Axis(new Timeline());
  #announced = 0;

  constructor() {
    const toasts = new Toasts($("toasts"));
    this.say = (text, how) => toasts.say(text, how);
    this.sessions = new Sessions({ changed: () => this.#draw("sessions"), heard: (id) => this.feed.heard(id) });
    this.feed = new Feed({
      changed: (what, detail) => this.#feedChanged(what, detail), say: this.say, mainOf: (id) => this.#agentOf(id),
    });
    this.#makeViews();
    this.#listen();
  }

  async start() {
    await signedIn($("signin-dialog"), $("account"));
    await this.sessions.start();
    await this.#show(this.#chosenFirst());
    setInterval(() => this.#draw("status", "sessions", "head"), SECOND_MS);
    setInterval(() => this.#announce(), ANNOUNCE_MS);
  }

  #makeViews() {
    const { feed, sessions } = this;
    this.status = new StatusView($("status"), { retry: () => this.#retry() });
    this.list = new SessionsView({
      list: $("sessions"), count: $("sessions-count"), search: $("search"), sessions,
      choose: (id) => this.go({ session: id, chosen: true, filter: this.#route.filter, at: null, event: null }),
    });
    this.headline = new HeadlineView($("headline"), { back: () => this.#showList() });
    this.hint = new NewSessionView($("hint"), {
      sessions, show: (id) => this.go({ session: id, chosen: true, filter: this.#route.filter, at: null, event: null }),
    });
    this.chart = new ChartView($("chart"), { jump: (time) => this.travelTo(time) });
    this.tools = new ToolsView($("tools"), {
      change: (filter) => this.filter(filter),
      counts: () => this.#counts(),
      pause: () => feed.togglePause(),
      jump: { to: (time) => this.travelTo(time), around: () => this.#around() },
    });
    this.rows = new FeedView({
      scroller: $("feed"), rows: $("rows"), top: $("feed-top"), bottom: $("feed-bottom"), note: $("feed-note"),
      feed, nameOf: (id) => this.#nameOf(id), acts: this.#acts(),
    });
    this.player = new PlayerView($("player"), feed);
    $("empty").append(emptyView((text, said) => this.copy(text, said)));
    $("help").append(icon("help", 18));
    helpDialog($("help-dialog"));
    themeButton($("theme"));
  }

  // --- where we are -----------------------------------------------------------------------------------

  /** Go somewhere by a new entry of the history. */
  go(route) {
    history.pushState(null, "", formatRoute(route));
    this.#show(route);
  }

  filter(filter) {
    if (sameFilter(filter, this.#route.filter)) return;
    const at = this.feed.travel ? this.feed.travel.time : null;
    this.go({ ...this.#route, filter, at, event: null });
  }

  travelTo(time) {
    history.pushState(null, "", formatRoute({ ...this.#route, at: time, event: null }));
    this.#route = { ...this.#route, at: time, event: null };
    this.feed.travelTo(time);
  }

  #chosenFirst() {
    const newest = this.sessions.list()[0];
    if (this.#route.chosen || !newest || PHONE.matches) return this.#route;
    return { ...this.#route, session: newest.id, chosen: true };
  }

  async #show(route) {
    this.#route = route;
    const isFeed = route.chosen || !PHONE.matches;
    document.body.dataset.view = isFeed ? "feed" : "list";
    document.title = route.session === null ? "Runcast" : `${this.#nameOf(route.session)} · Runcast`;
    this.#draw("all");
    this.#showParts();
    await this.feed.open(route);
  }

  /** Keep the address of the moment that is shown, without an entry for each. */
  #keepAddress() {
    const { travel } = this.feed;
    const at = travel ? Math.round(travel.time) : this.#route.event === null ? null : this.#route.at;
    if (travel?.playing || at === this.#route.at) return;
    this.#route = { ...this.#route, at };
    history.replaceState(null, "", formatRoute(this.#route));
  }

  #showList() {
    document.body.dataset.view = "list";
    history.pushState(null, "", "/");
    this.#route = { ...parseRoute(""), filter: this.#route.filter };
  }

  #listen() {
    addEventListener("popstate", () => this.#show(parseRoute(location.search)));
    addEventListener("online", () => this.#retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#retry());
    $("help").addEventListener("click", () => this.#help());
    $("home").addEventListener("click", (event) => {
      event.preventDefault();
      if (PHONE.matches) this.#showList();
      else this.go({ session: null, chosen: true, filter: NO_FILTER, at: null, event: null });
    });
    listenToKeys(this.#keys());
  }

  #keys() {
    const { feed, rows } = this;
    return {
      j: () => rows.move(1), ArrowDown: () => rows.move(1),
      k: () => rows.move(-1), ArrowUp: () => rows.move(-1),
      Enter: () => rows.toggleActive(), o: () => rows.collapseActive(),
      g: () => feed.goToStart(), Home: () => feed.goToStart(),
      G: () => feed.goLive(), End: () => feed.goLive(), l: () => feed.goLive(),
      p: () => feed.togglePause(), ".": () => feed.step(), t: () => this.tools.openTime(),
      "/": () => this.#search(), "?": () => this.#help(),
      "[": () => this.#neighbour(-1), "]": () => this.#neighbour(1),
      Escape: () => this.#escape(),
    };
  }

  #search() {
    document.body.dataset.view = PHONE.matches ? "list" : document.body.dataset.view;
    $("search").focus();
  }

  #help() {
    $("help-dialog").showModal();
  }

  #escape() {
    if (this.tools.closeMenus()) return;
    if (this.feed.travel) this.feed.goLive();
    else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  }

  #neighbour(step) {
    const ids = this.sessions.list().map((session) => session.id);
    const to = ids[ids.indexOf(this.#route.session) + step];
    if (to !== undefined) this.go({ ...this.#route, session: to, chosen: true, at: null, event: null });
  }

  #retry() {
    this.sessions.retry();
    this.feed.retry();
  }

  // --- what can be done with an event -------------------------------------------------------------------

  #acts() {
    const open = (node, filter) => ({
      session: node.event.session_id, chosen: true, filter, at: timeOf(node.event), event: node.event.event_id,
    });
    return {
      "copy-link": (node) => this.copy(new URL(formatRoute(open(node, NO_FILTER)), location.href).href, "Link copied."),
      "copy-id": (node) => this.copy(node.event.event_id, "Id copied."),
      "copy-json": (node) => this.copy(asJson(node), "Copied as JSON."),
      "play-from": async (node) => {
        this.travelTo(timeOf(node.event));
      },
      "only-tool": (node) => this.filter({ ...NO_FILTER, tools: [node.event.tool_name] }),
      context: (node) => this.go(open(node, NO_FILTER)),
      "open-session": (node) => this.go(open(node, NO_FILTER)),
    };
  }

  async copy(text, said) {
    try {
      await navigator.clipboard.writeText(text);
      this.say(said, { tone: "good" });
    } catch {
      this.say("The browser did not allow copying.", { tone: "warn" });
    }
  }

  // --- drawing ------------------------------------------------------------------------------------------

  #feedChanged(what, detail) {
    if (what === "reset") this.rows.reset();
    if (what === "events") this.rows.update(detail);
    if (what === "end") this.rows.toEnd();
    if (what === "start") this.rows.toStart();
    if (what === "focus") this.rows.focus(this.feed.focus);
    if (what === "timeline") this.sessions.learn(detail);
    if (what === "state") this.rows.updateState();
    this.#keepAddress();
    this.#draw("status", "tools", "player", "brush", ...(["events", "timeline", "reset"].includes(what) ? ["chart", "head"] : []));
  }

  /** Once per frame, however often something changes. */
  #draw(...parts) {
    const isFirst = this.#draws.size === 0;
    for (const part of parts) this.#draws.add(part);
    if (!isFirst) return;
    const draw = () => {
      if (!this.#draws.size) return;
      const wanted = new Set(this.#draws);
      this.#draws.clear();
      this.#drawParts((part) => wanted.has(part) || wanted.has("all"));
    };
    requestAnimationFrame(draw);
    setTimeout(draw, 300);
  }

  #drawParts(wants) {
    const { feed } = this;
    const now = Date.now() + feed.skew;
    this.#showParts();
    if (wants("sessions")) this.list.update(this.#route.chosen || !PHONE.matches ? this.#route.session : undefined, now);
    if (wants("status")) this.status.update(feed.connection, feed);
    if (wants("chart")) this.#drawChart();
    if (wants("head") || wants("sessions") || wants("player")) this.#drawHeadline(now);
    if (wants("tools")) this.tools.update(feed.filter, feed);
    if (wants("sessions")) this.hint.update(this.#route.session, now, feed.travel !== null);
    if (wants("chart") || wants("brush")) this.chart.place(...this.rows.span(), feed.travel ? feed.travel.time : null);
    if (wants("player")) this.player.update(this.#axis);
  }

  /** The feed, or what helps to get one; at once, because a list that is hidden cannot be scrolled. */
  #showParts() {
    const isEmpty = this.sessions.loaded && this.sessions.size === 0 && this.#route.session === null;
    $("empty").hidden = !isEmpty;
    $("content").hidden = isEmpty;
  }

  #drawChart() {
    const { feed } = this;
    const timeline = feed.costs;
    this.#axis = new Axis(timeline);
    this.chart.draw(timeline, this.#axis, feed.session === null ? `${count(feed.window.events.length, "event")} loaded here` : "");
  }

  #drawHeadline(now) {
    const id = this.#route.session;
    const unknown = { id, unknown: this.feed.unknown, tokens: 0, errors: 0, calls: 0, running: 0, last: 0 };
    const session = id === null ? null : this.sessions.get(id) ?? unknown;
    const then = this.feed.session === id ? this.feed.sumsByThen : null;
    this.headline.update(session, this.sessions.list(), now, { then, axis: this.#axis });
  }

  #around() {
    if (this.feed.travel) return this.feed.travel.time;
    return this.rows.span()[0] || Date.now();
  }

  #agentOf(id) {
    const agent = this.sessions.get(id)?.agent;
    return agent && agent !== "unknown" ? agent : null;
  }

  #nameOf(id) {
    const session = this.sessions.get(id);
    return session ? nameOf(session) : id;
  }

  #counts() {
    const counts = { types: new Map(), tools: new Map(), statuses: new Map(), agents: new Map(), features: new Map() };
    const add = (map, value, times = 1) => value && map.set(value, (map.get(value) ?? 0) + times);
    const totals = this.feed.ledger.info?.totals;
    for (const [type, times] of Object.entries(totals?.by_type ?? {})) add(counts.types, type, times);
    for (const [tool, { calls }] of Object.entries(totals?.tools ?? {})) add(counts.tools, tool, calls);
    for (const agent of Object.keys(totals?.tokens_by_agent ?? {})) add(counts.agents, agent, 0);
    for (const event of this.feed.window.events) {
      if (!totals) add(counts.types, event.event_type);
      if (!counts.tools.has(event.tool_name)) add(counts.tools, event.tool_name);
      add(counts.statuses, event.status);
      add(counts.agents, event.agent_id || MAIN_AGENT);
    }
    return counts;
  }

  /** A word now and then for who cannot see it move. */
  #announce() {
    const { pending, mode, window } = this.feed;
    const last = window.events.at(-1);
    if (!last || last === this.#announced) return;
    this.#announced = last;
    const words = pending ? `${pending} new events.` : mode === "live" ? `Latest: ${last.tool_name ?? last.event_type}.` : "";
    $("announcer").replaceChildren(el("span", words));
  }
}

const page = new Page();
page.start();
