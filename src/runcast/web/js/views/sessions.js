// The list of sessions at the left: how each is doing, searched, the chosen one marked.

import { bdi, el, setText } from "../dom.js";
import { toolLabel, typeLabel } from "../events.js";
import { ago, compact, usd, whole } from "../format.js";
import { matchesSearch, nameOf, stateOfSession } from "../summaries.js";

const STATE_WORDS = { running: "running", idle: "idle", ended: "ended", failing: "failing" };
const SEARCH_PAGES = 10;

export class SessionsView {
  #items = new Map();
  #all;
  #more;
  #note;

  constructor({ list, count, search, sessions, choose }) {
    this.list = list;
    this.count = count;
    this.search = search;
    this.sessions = sessions;
    this.choose = choose;
    this.#all = this.#makeAll();
    this.#more = el("li", el("button.quiet", { type: "button", on: { click: () => sessions.loadMore() } }, "Load more"));
    this.#note = el("li.sessions-note");
    search.addEventListener("input", () => this.#searched());
    search.addEventListener("keydown", (event) => this.#searchKey(event));
    list.addEventListener("keydown", (event) => this.#listKey(event));
  }

  update(chosen, now) {
    const words = this.search.value.trim();
    const all = this.sessions.list();
    const shown = words ? all.filter((session) => matchesSearch(session, words)) : all;
    setText(this.count, all.length ? `${whole(all.length)}${this.sessions.hasMore ? "+" : ""}` : "");
    this.#fillAll(all, chosen, now);
    const rows = shown.map((session) => this.#item(session, chosen, now));
    const note = this.#noteFor(shown, words);
    this.#put([this.#all, ...rows, ...(this.sessions.hasMore ? [this.#more] : []), ...(note ? [note] : [])]);
    for (const id of this.#items.keys()) if (!this.sessions.get(id)) this.#items.delete(id);
  }

  /** Only what stands elsewhere is moved, so that the keyboard stays where it is. */
  #put(wanted) {
    const keep = new Set(wanted);
    for (const child of [...this.list.children]) if (!keep.has(child)) child.remove();
    wanted.forEach((item, at) => {
      if (this.list.children[at] !== item) this.list.insertBefore(item, this.list.children[at] ?? null);
    });
  }

  #noteFor(shown, words) {
    if (shown.length || !this.sessions.loaded) return null;
    setText(this.#note, words ? `No session matches “${words}”.` : "No session yet.");
    return this.#note;
  }

  #makeAll() {
    const button = el("button.session", { type: "button", on: { click: () => this.choose(null) } },
      el("div.session-line", el("span.dot"), el("span.session-name", "All activity")),
      el("div.session-facts", el("span")),
    );
    return el("li.all", button);
  }

  #fillAll(all, chosen, now) {
    const button = this.#all.firstChild;
    const running = all.filter((session) => stateOfSession(session, now) === "running").length;
    mark(button, chosen === null);
    button.querySelector(".dot").className = `dot ${running ? "running" : ""}`;
    setText(button.querySelector(".session-facts span"), running ? `${running} running now` : "Nothing running");
  }

  #item(session, chosen, now) {
    let item = this.#items.get(session.id);
    if (!item) this.#items.set(session.id, (item = this.#makeItem(session.id)));
    const button = item.firstChild;
    const state = stateOfSession(session, now);
    const version = JSON.stringify([nameOf(session), state, session.events, session.errors, session.tokens, session.usd, session.running, session.lastTool, session.lastType, ago(now - session.last), session.id === chosen]);
    if (item.dataset.version === version) return item;
    item.dataset.version = version;
    mark(button, session.id === chosen);
    button.replaceChildren(...fill(session, state, now));
    return item;
  }

  #makeItem(id) {
    return el("li", el("button.session", { type: "button", "data-session": id, on: { click: () => this.choose(id) } }));
  }

  async #searched() {
    this.sessions.changed();
    for (let pages = 0; this.search.value.trim() && this.sessions.hasMore && pages < SEARCH_PAGES; pages += 1) {
      await this.sessions.loadMore();
    }
  }

  #searchKey(event) {
    if (event.key === "Escape") {
      this.search.value = "";
      this.sessions.changed();
      this.search.blur();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      const first = this.list.querySelector("[data-session]");
      if (event.key === "Enter") first?.click();
      else first?.focus();
    }
  }

  #listKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const buttons = [...this.list.querySelectorAll("button")];
    buttons[buttons.indexOf(document.activeElement) + step]?.focus();
  }
}

function mark(button, isChosen) {
  button.setAttribute("aria-current", String(isChosen));
}

function fill(session, state, now) {
  const cost = session.usd ? usd(session.usd) : null;
  return [
    el("div.session-line",
      el(`span.dot.${state}`),
      el("span.unseen", `${STATE_WORDS[state]}: `),
      bdi(nameOf(session), "session-name"),
      el("span.session-ago", { title: session.last ? new Date(session.last).toLocaleString() : "" }, session.last ? ago(now - session.last) : ""),
    ),
    el("div.session-doing", bdi(doing(session, state))),
    el("div.session-facts",
      el("span", `${compact(session.tokens)} tok`),
      cost ? el("span", cost) : null,
      el("span", `${compact(session.events)} events`),
      session.errors ? el("span.bad", `${compact(session.errors)} ${session.errors === 1 ? "error" : "errors"}`) : null,
    ),
  ];
}

function doing(session, state) {
  const tool = session.lastTool ? toolLabel(session.lastTool) : null;
  if (state === "running" && session.running) {
    return session.running > 1 ? `${session.running} calls running${tool ? `, ${tool}` : ""}` : `Running ${tool ?? "a call"}`;
  }
  if (state === "failing") return tool ? `${tool} failed` : "Last event was an error";
  if (state === "ended") return "Ended";
  const last = session.lastType ? typeLabel(session.lastType) : "No events";
  return tool && ["tool_call", "tool_result"].includes(session.lastType) ? `${last}: ${tool}` : last;
}
