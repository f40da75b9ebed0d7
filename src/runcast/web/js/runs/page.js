// A page of runs put together: the address, the list, the form for another and the one that is looked at.

import { el, icon, setText } from "../dom.js";
import { typeLabel } from "../events.js";
import { listenToKeys } from "../keyboard.js";
import { helpDialog } from "../views/help.js";
import { signedIn } from "../views/signin.js";
import { StatusView, themeButton } from "../views/status.js";
import { Toasts } from "../views/toasts.js";
import { ask } from "./ask.js";
import { oncePerFrame } from "./drawing.js";
import { RunList } from "./list.js";
import { RunListView } from "./list_view.js";
import { formatRoute, parseRoute } from "./route.js";
import { Run } from "./run.js";

const $ = (id) => document.getElementById(id);
const SECOND_MS = 1_000;
const PHONE = matchMedia("(max-width: 760px)");

/**
 * `kind` is what a page of runs is about:
 *   name ("plan"), noun, path ("/plans"), title, help; what `RunList` and `RunListView` ask of it;
 *   fold: {make(id), apply(state, event)}, nameOf(state), stateOf(state) -> a word for who cannot see;
 *   makeForm(place, tools) -> {show(query), update?()}, makeView(place, tools) -> {show(run), update(state, run, now)}.
 * `tools` is {say, go, newRun, ask, copy, attempt, list}.
 */
export class RunsPage {
  #kind;
  #route;
  #run = null;
  #announced = "";
  #formPlace;
  #runPlace;
  #draw = oncePerFrame((parts) => this.#drawParts(parts));

  constructor(kind) {
    this.#kind = kind;
    this.#route = parseRoute(kind.path, location);
    this.toasts = new Toasts($("toasts"));
    this.list = new RunList({ kind, changed: () => this.#draw("list", "status", "form"), heard: (id) => this.#heard(id) });
    const tools = this.#tools();
    this.#formPlace = el("section.panel-scroll", { id: "form", "aria-label": `Start a ${kind.noun}`, hidden: true });
    this.#runPlace = el("section.run", { id: "run", "aria-label": typeLabel(kind.noun), hidden: true });
    $("main").append(this.#formPlace, this.#runPlace);
    this.form = kind.makeForm(this.#formPlace, tools);
    this.view = kind.makeView(this.#runPlace, tools);
    this.status = new StatusView($("status"), { retry: () => this.#retry() });
    this.listView = new RunListView({
      place: $("runs"), count: $("runs-count"), search: $("search"), runs: this.list, kind,
      addressOf: (id) => formatRoute(kind.path, { id, isNew: id === null }), choose: (id) => this.#choose(id),
    });
    $("help").append(icon("help", 18));
    helpDialog($("help-dialog"), kind.help);
    themeButton($("theme"));
    this.#listen();
  }

  async start() {
    await signedIn($("signin-dialog"), $("account"));
    this.list.start();
    this.#show(this.#route);
    setInterval(() => this.#draw("list", "status", "run"), SECOND_MS);
  }

  #tools() {
    return {
      say: (text, how) => this.toasts.say(text, how),
      go: (id) => this.#go({ id }),
      newRun: (query = {}) => this.#go({ isNew: true, query }),
      back: () => this.#go({}),
      ask: (options) => ask($("ask-dialog"), options),
      copy: (text, said) => this.#copy(text, said),
      attempt: (act) => this.#attempt(act),
      addressOf: (id) => formatRoute(this.#kind.path, { id }),
      list: this.list,
    };
  }

  /** Do what asks the server; what it refuses is said. Resolves to whether it was done. */
  async #attempt(act) {
    try {
      await act();
      return true;
    } catch (error) {
      this.toasts.say(error.message, { tone: "error" });
      return false;
    }
  }

  async #copy(text, said) {
    try {
      await navigator.clipboard.writeText(text);
      this.toasts.say(said, { tone: "good" });
    } catch {
      this.toasts.say("The browser did not allow copying.", { tone: "warn" });
    }
  }

  // --- where we are ---------------------------------------------------------------------------------------

  #choose(id) {
    this.#go(id === null ? { isNew: true } : { id });
  }

  #go(route) {
    history.pushState(null, "", formatRoute(this.#kind.path, route));
    this.#show(parseRoute(this.#kind.path, location));
    $("main").scrollTop = 0;
  }

  #show(route) {
    this.#route = route;
    const { id, isNew } = route;
    document.body.dataset.view = id !== null || isNew || !PHONE.matches ? "feed" : "list";
    this.#formPlace.hidden = id !== null;
    this.#runPlace.hidden = id === null;
    if (id === null) this.form.show(route.query);
    if (id !== (this.#run?.id ?? null)) this.#follow(id);
    this.#draw("all");
  }

  #follow(id) {
    this.#run?.close();
    this.#run = null;
    this.#announced = "";
    if (id === null) return;
    const run = new Run({
      id, stream: `${this.#kind.name}:${id}`, fold: this.#kind.fold,
      changed: () => run === this.#run && this.#draw("run", "status"), say: (text, how) => this.toasts.say(text, how),
    });
    this.#run = run;
    this.view.show(run);
    run.open();
  }

  #heard(id) {
    if (id === this.#run?.id) this.#run.heard();
  }

  #retry() {
    this.list.retry();
    this.#run?.retry();
  }

  #listen() {
    addEventListener("popstate", () => this.#show(parseRoute(this.#kind.path, location)));
    addEventListener("online", () => this.#retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#retry());
    $("help").addEventListener("click", () => $("help-dialog").showModal());
    listenToKeys({
      "/": () => this.#search(), "?": () => $("help-dialog").showModal(), n: () => this.#go({ isNew: true }),
      "[": () => this.#neighbour(-1), "]": () => this.#neighbour(1),
      Escape: () => document.activeElement instanceof HTMLElement && document.activeElement.blur(),
    });
  }

  #search() {
    if (PHONE.matches) this.#go({});
    $("search").focus();
  }

  #neighbour(step) {
    const ids = this.list.all().map(({ id }) => id);
    const to = ids[ids.indexOf(this.#route.id) + step];
    if (to !== undefined) this.#go({ id: to });
  }

  // --- drawing ----------------------------------------------------------------------------------------------

  #drawParts(parts) {
    const wants = (part) => parts.has(part) || parts.has("all");
    const now = Date.now();
    if (wants("list")) this.listView.update(document.body.dataset.view === "list" ? undefined : this.#route.id, now);
    if (wants("form")) this.form.update?.();
    if (wants("status")) this.#drawStatus();
    if (wants("run") && this.#run) this.#drawRun(now);
    if (!this.#run) document.title = `${this.#kind.title} · Runcast`;
  }

  /** The worse of the two connections; a run that was refused, or is over, says so itself. */
  #drawStatus() {
    const own = this.#run?.connection;
    const isWorse = own && (own.phase === "waiting" || own.phase === "offline" || own.phase === "connecting");
    this.status.update(isWorse ? own : this.list.connection, { mode: "live", paused: false, error: null, unknown: false });
  }

  #drawRun(now) {
    const { state } = this.#run;
    this.view.update(state, this.#run, now);
    document.title = `${this.#kind.nameOf(state) || state.id} · Runcast`;
    const words = this.#run.settled ? this.#kind.stateOf(state) : "";
    if (words === this.#announced) return;
    this.#announced = words;
    setText($("announcer"), words);
  }
}
