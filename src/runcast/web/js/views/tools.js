// The bar over the feed: filters as menus and chips, pause, and jumping to a time.

import { bdi, el, icon } from "../dom.js";
import { toolLabel, typeLabel } from "../events.js";
import { LISTS, NO_FILTER, isEmpty, toggle } from "../filters.js";
import { compact, localInput, whole } from "../format.js";

const ALWAYS = {
  types: ["user_prompt", "message", "tool_call", "error", "delegation"],
  tools: [], statuses: ["started", "completed", "error"], agents: [], features: [],
};
const NAMES = { types: "Type", tools: "Tool", statuses: "Status", agents: "Agent", features: "Feature" };
const MENUS = ["types", "tools", "statuses", "agents"];
const WITHOUT = new Set(["tool_result", "usage", "api_request"]); // told together with what they belong to
const MOST = 100;

export class ToolsView {
  #menus = new Map();
  #chips = el("span", { hidden: true });
  #filter = NO_FILTER;
  #counts = {};
  #version = "";

  /** `counts()` gives {types, tools, statuses, agents, features}: Maps from value to how often, or 0. */
  constructor(place, { change, counts, pause, jump }) {
    this.place = place;
    this.change = change;
    this.countsNow = counts;
    for (const name of MENUS) this.#menus.set(name, this.#menu(NAMES[name], () => this.#choices(name)));
    this.#menus.set("cost", this.#menu("Min. tokens", () => this.#costForm()));
    this.pause = el("button", { type: "button", "aria-pressed": "false", on: { click: pause } }, icon("pause", 14), el("span", "Pause"));
    this.#menus.set("time", this.#menu("Jump to time", () => this.#timeForm(jump)));
    const menus = MENUS.concat("cost").map((name) => this.#menus.get(name).root);
    const right = el("div.tools-right", this.#menus.get("time").root, this.pause);
    place.append(icon("filter"), ...menus, this.#chips, right);
    document.addEventListener("pointerdown", (event) => this.#closeOutside(event.target));
    place.addEventListener("keydown", (event) => event.key === "Escape" && this.closeMenus(event));
  }

  update(filter, { paused, mode }) {
    this.#filter = filter;
    this.pause.hidden = mode === "travel";
    this.pause.setAttribute("aria-pressed", String(paused));
    this.pause.lastChild.textContent = paused ? "Paused" : "Pause";
    const version = JSON.stringify(filter);
    if (version === this.#version) return;
    this.#version = version;
    this.#showChips();
  }

  openTime() {
    this.#open(this.#menus.get("time"));
  }

  /** Returns whether one was open. */
  closeMenus(event) {
    const open = [...this.#menus.values()].find((menu) => !menu.panel.hidden);
    if (!open) return false;
    event?.stopPropagation();
    this.#close(open);
    open.button.focus();
    return true;
  }

  #menu(label, content) {
    const panel = el("div.menu-panel", { hidden: true, role: "group", "aria-label": label });
    const button = el("button.menu-open", { type: "button", "aria-expanded": "false" }, label, icon("down", 12));
    const menu = { root: el("div.menu", button, panel), button, panel, content };
    button.addEventListener("click", () => (panel.hidden ? this.#open(menu) : this.#close(menu)));
    return menu;
  }

  #open(menu) {
    for (const other of this.#menus.values()) this.#close(other);
    this.#counts = this.countsNow();
    menu.panel.replaceChildren(...[menu.content()].flat());
    menu.panel.hidden = false;
    menu.button.setAttribute("aria-expanded", "true");
    this.place.classList.add("menus-open");
    const over = menu.panel.getBoundingClientRect().right - document.documentElement.clientWidth + 8;
    menu.panel.style.setProperty("left", over > 0 ? `${-over}px` : "0");
    menu.panel.querySelector("input")?.focus();
  }

  #close(menu) {
    menu.panel.hidden = true;
    menu.button.setAttribute("aria-expanded", "false");
    this.place.classList.remove("menus-open");
  }

  #closeOutside(target) {
    for (const menu of this.#menus.values()) if (!menu.root.contains(target)) this.#close(menu);
  }

  #choices(name) {
    const known = this.#counts[name] ?? new Map();
    const values = new Set([...this.#filter[name], ...ALWAYS[name], ...known.keys()]);
    const shown = [...values].filter((value) => name !== "types" || !WITHOUT.has(value)).slice(0, MOST);
    shown.sort((a, b) => (known.get(b) ?? 0) - (known.get(a) ?? 0));
    if (!shown.length) return el("p", "None seen yet.");
    return shown.map((value) => this.#choice(name, value, known.get(value) ?? 0));
  }

  #choice(name, value, times) {
    const box = el("input", { type: "checkbox", checked: this.#filter[name].includes(value) });
    box.addEventListener("change", () => this.change(toggle(this.#filter, name, value)));
    return el("label", box, bdi(labelOf(name, value)), times ? el("span.count", compact(times)) : null);
  }

  #costForm() {
    const input = el("input", { type: "number", min: 0, step: 100, value: this.#filter.cost || "", placeholder: "e.g. 1000", "aria-label": "Least tokens" });
    const apply = () => {
      const cost = Math.floor(Number(input.value));
      this.#close(this.#menus.get("cost"));
      this.change({ ...this.#filter, cost: Number.isSafeInteger(cost) && cost > 0 ? cost : 0 });
    };
    return askFor("Only events that cost at least so many output tokens", input, "Apply", apply);
  }

  #timeForm(jump) {
    const input = el("input", { type: "datetime-local", step: 1, value: localInput(jump.around()), "aria-label": "Time" });
    const apply = () => {
      const time = new Date(input.value).getTime();
      this.#close(this.#menus.get("time"));
      if (!Number.isNaN(time)) jump.to(time);
    };
    return askFor("See what was known at this time", input, "Go", apply);
  }

  #showChips() {
    const chips = Object.keys(LISTS).flatMap((name) => this.#filter[name].map((value) =>
      this.#chip(`${NAMES[name]}: ${labelOf(name, value)}`, toggle(this.#filter, name, value))));
    if (this.#filter.cost) chips.push(this.#chip(`≥ ${whole(this.#filter.cost)} tokens`, { ...this.#filter, cost: 0 }));
    if (chips.length > 1) {
      chips.push(el("button.quiet", { type: "button", on: { click: () => this.change(NO_FILTER) } }, "Clear all"));
    }
    for (const old of this.place.querySelectorAll(":scope > .chip, :scope > .quiet")) old.remove();
    this.#chips.after(...chips);
    this.place.classList.toggle("filtered", !isEmpty(this.#filter));
  }

  #chip(label, without) {
    const remove = () => this.change(without);
    return el("button.chip", { type: "button", "aria-label": `Remove filter ${label}`, on: { click: remove } }, bdi(label), icon("close", 13));
  }
}

function askFor(words, input, button, apply) {
  input.addEventListener("keydown", (event) => event.key === "Enter" && apply());
  return el("div.ask", el("span", words),
    el("div.ask-row", input, el("button.primary", { type: "button", on: { click: apply } }, button)));
}

function labelOf(name, value) {
  if (name === "types") return value === "tool_call" ? "Tool calls" : typeLabel(value);
  if (name === "tools") return toolLabel(value);
  return name === "statuses" ? typeLabel(value) : value;
}
