// The list of runs at the left: the state of each by colour and by word, searched, the chosen one marked.

import { bdi, el, icon, setText } from "../dom.js";
import { ago, moment, whole } from "../format.js";
import { putChildren } from "./drawing.js";
import { looksOf } from "./status.js";

export class RunListView {
  #items = new Map();
  #new;
  #more;
  #note = el("li.sessions-note");

  /** `kind` has {noun, describe(summary, now)}, whose `state` may be null; `choose(id)` opens one, null the form for another. */
  constructor({ place, count, search, runs, kind, addressOf, choose }) {
    Object.assign(this, { place, count, search, runs, kind, addressOf, choose });
    this.#new = el("li.all", this.#link(null, el("div.session-line", icon("plus"), el("span.session-name", `New ${kind.noun}`))));
    this.#more = el("li", el("button.quiet", { type: "button", on: { click: () => runs.loadMore() } }, "Load more"));
    search.addEventListener("input", () => runs.changed());
    search.addEventListener("keydown", (event) => this.#searchKey(event));
    place.addEventListener("keydown", (event) => this.#listKey(event));
  }

  /** `chosen` is an id, or null where the form is shown; undefined for neither. */
  update(chosen, now) {
    const words = this.search.value.trim().toLowerCase();
    const all = this.runs.all().map((run) => ({ run, looks: this.kind.describe(run, now) }));
    const shown = words ? all.filter((one) => matches(one, words)) : all;
    setText(this.count, all.length ? whole(Math.max(all.length, this.runs.total)) : "");
    mark(this.#new.firstChild, chosen === null);
    const items = shown.map(({ run, looks }) => this.#item(run, looks, chosen, now));
    const note = this.#noteFor(shown, words);
    putChildren(this.place, [this.#new, ...items, ...(this.runs.hasMore ? [this.#more] : []), ...(note ? [note] : [])]);
    for (const id of this.#items.keys()) if (!this.runs.get(id)) this.#items.delete(id);
  }

  #noteFor(shown, words) {
    if (this.runs.error && !this.runs.loaded) setText(this.#note, this.runs.error.message);
    else if (shown.length || !this.runs.loaded) return null;
    else setText(this.#note, words ? `No ${this.kind.noun} matches “${this.search.value.trim()}”.` : `No ${this.kind.noun} yet.`);
    return this.#note;
  }

  #link(id, ...content) {
    const choose = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      this.choose(id);
    };
    return el("a.session", { href: this.addressOf(id), "data-run": id, on: { click: choose } }, content);
  }

  #item(run, looks, chosen, now) {
    let item = this.#items.get(run.id);
    if (!item) this.#items.set(run.id, (item = el("li", this.#link(run.id))));
    const when = ago(now - (run.touched || run.created));
    const version = JSON.stringify([looks, when, run.id === chosen]);
    if (item.dataset.version === version) return item;
    item.dataset.version = version;
    mark(item.firstChild, run.id === chosen);
    item.firstChild.replaceChildren(...content(run, looks, when));
    return item;
  }

  #searchKey(event) {
    if (event.key === "Escape") {
      this.search.value = "";
      this.runs.changed();
      this.search.blur();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      const first = this.place.querySelector("[data-run]");
      if (event.key === "Enter") first?.click();
      else first?.focus();
    }
  }

  #listKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const links = [...this.place.querySelectorAll("a, button")];
    links[links.indexOf(document.activeElement) + step]?.focus();
  }
}

function matches({ run, looks }, words) {
  const text = [run.id, looks.title, looks.state ? looksOf(looks.state).word : "", looks.doing].filter(Boolean).join("\n").toLowerCase();
  return words.split(/\s+/).every((word) => text.includes(word));
}

function mark(link, isChosen) {
  if (isChosen) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

function content(run, { title, state, doing, facts, percent }, when) {
  const { word, tone } = state ? looksOf(state) : { word: "", tone: "" };
  return [
    el("div.session-line",
      state ? el(`span.dot.${tone}`) : null, bdi(title || run.id, "session-name"),
      el("span.session-ago", { title: run.created ? `Created ${moment(run.created)}` : "" }, when),
    ),
    el("div.session-doing", state ? el(`b.word.t-${tone}`, word) : null, doing ? bdi(doing) : null),
    percent === null ? null : el("div.bar", { "aria-hidden": "true", vars: { "--part": `${percent}%` } }),
    facts.length ? el("div.session-facts", facts.map((fact) => el("span", bdi(fact)))) : null,
  ].filter(Boolean);
}
