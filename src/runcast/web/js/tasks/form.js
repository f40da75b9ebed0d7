// Starts a task: which sort, if the server has several, and the text that is to be looked at.

import { bdi, el, icon } from "../dom.js";
import { whole } from "../format.js";
import { textOf } from "../runs/values.js";
import { readBeginning, startTask } from "./api.js";
import { SAMPLES } from "./samples.js";

const MOST_CHARS = 50_000;
const SCAM_ANALYSIS = "scam_analysis";

export class TaskForm {
  #tools;
  #problems = new Map();
  #from = null;

  constructor(place, tools) {
    this.#tools = tools;
    this.text = el("textarea", {
      id: "task-text", rows: 8, required: true, "aria-describedby": "problem-text", spellcheck: true, dir: "auto",
      placeholder: "Paste a message, an e-mail or an offer that you are not sure about.",
    });
    this.counter = el("span.counter");
    this.button = el("button.primary", { type: "submit" }, icon("play", 14), "Analyse");
    this.form = el("form.start", { novalidate: true },
      el("h1", "Is it a scam?"),
      el("p.lead", "The analysis takes out phone numbers, addresses and e-mail, checks each with its tools, and says what it found, step by step as it works."),
      el("div.field",
        el("div.field-head", el("label", { for: "task-text" }, "Text"), this.counter), this.text, this.#problem("text"),
        el("div.samples", el("span", "Try one: "), SAMPLES.map(({ name, text }) => el("button.quiet", { type: "button", on: { click: () => this.#use(text) } }, name))),
      ),
      this.#problem(""),
      el("div.form-buttons", this.button, el("span.form-hint", el("kbd", "Ctrl"), " ", el("kbd", "Enter"))),
      el("p.form-note", icon("note", 15), el("span", "The text is kept in this server's log and goes nowhere else, but to the web search and the language model that are configured here. Tasks of your own run the same way: ",
        el("code", "POST /api/v1/tasks"), ", or any program that publishes its progress.")),
    );
    this.#listen();
    place.append(el("div.form-page", this.form));
    this.#count();
  }

  /** `query` may name a task `from` which to take the text, or a `text` to begin with. */
  show(query) {
    if (query.get("text")) this.#use(query.get("text").slice(0, MOST_CHARS));
    const from = query.get("from");
    if (from && from !== this.#from) this.#take(from);
    this.#from = from;
    if (query.has("new") || from) this.text.focus();
  }

  async #take(id) {
    try {
      const { params } = await readBeginning(id);
      if (textOf(params.text)) this.#use(params.text);
    } catch (error) {
      this.#say(error);
    }
  }

  #use(text) {
    this.text.value = text;
    this.#count();
    this.#say({});
    this.text.focus();
  }

  #problem(field) {
    const node = el("p.problem-line", { role: "alert", id: field ? `problem-${field}` : null });
    this.#problems.set(field, node);
    return node;
  }

  #listen() {
    this.text.addEventListener("input", () => this.#count());
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  #count() {
    const length = [...this.text.value].length;
    this.counter.textContent = length > MOST_CHARS * 0.8 ? `${whole(length)} of ${whole(MOST_CHARS)}` : "";
    this.counter.classList.toggle("bad", length > MOST_CHARS);
  }

  async #submit() {
    this.#say({});
    const text = this.text.value.trim();
    if (!text) return this.#say({ field: "text", message: "Paste the text that is to be looked at." });
    this.button.disabled = true;
    try {
      const task = await startTask({ type: SCAM_ANALYSIS, text });
      this.text.value = "";
      this.#count();
      this.#tools.list.refresh();
      this.#tools.go(task.task_id);
    } catch (error) {
      this.#say(error);
    } finally {
      this.button.disabled = false;
    }
  }

  /** Show what is wrong at its field, or nothing. */
  #say({ field = "", message = "" }) {
    const at = this.#problems.has(field) ? field : "";
    for (const [name, node] of this.#problems) node.replaceChildren(...(name === at && message ? [bdi(message)] : []));
    this.text.setAttribute("aria-invalid", String(Boolean(message) && at === "text"));
    if (message) this.text.focus();
  }
}
