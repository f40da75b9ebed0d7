// Starts a plan: its definition as JSON, begun from a sample, a file or an earlier plan, with its graph beside it.

import { el, icon } from "../dom.js";
import { readPlan, startPlan } from "./api.js";
import { placeOf, readDocument, writeDocument } from "./document.js";
import { GraphView } from "./graph.js";
import { definitionOf, outlineOf } from "./outline.js";
import { SAMPLES } from "./samples.js";

const DRAW_MS = 150;
const MOST_FILE_BYTES = 1_000_000;

export class PlanForm {
  #tools;
  #timer = null;

  constructor(place, tools) {
    this.#tools = tools;
    this.editor = el("textarea.code.plan-editor", { id: "plan-json", rows: 22, spellcheck: "false", autocapitalize: "off", autocomplete: "off", "aria-describedby": "plan-problem plan-help" });
    this.problem = el("p.problem-line", { id: "plan-problem", role: "alert" });
    this.button = el("button.primary", { type: "submit" }, icon("play", 14), "Start plan");
    this.sample = el("select", { id: "plan-sample" }, SAMPLES.map(({ name }, at) => el("option", { value: String(at) }, name)));
    this.graph = new GraphView({ label: "Preview of the graph" });
    this.summary = el("p.preview-words", { role: "status" });
    this.form = el("form.start.plan-start", { novalidate: true },
      el("div.plan-intro",
        el("h1", "Start a plan"),
        el("p.lead", "Steps that depend on each other: those that wait for nothing run side by side, one that fails is tried again, and a gate may ask a person. Pause it, change it, and go on."),
      ),
      this.#editorField(),
      el("div.preview", el("div.section-head", el("h2", "Preview"), el("div.section-side", this.graph.zoom)), this.graph.node, this.summary),
    );
    place.append(el("div.form-page.wide", this.form));
    this.#listen();
    this.#set(SAMPLES[0].plan);
  }

  /** `query` may name a plan to begin `from`. */
  async show(query) {
    this.#draw();
    const from = query.get("from");
    if (!from) return;
    try {
      this.#set(definitionOf(await readPlan(from)));
      this.editor.focus();
    } catch (error) {
      this.#tools.say(error.message, { tone: "error" });
    }
  }

  #editorField() {
    const file = el("input.unseen", { type: "file", accept: ".json,application/json", tabindex: -1, "aria-hidden": "true" });
    file.addEventListener("change", () => this.#load(file));
    return el("div.field",
      el("div.editor-bar",
        el("label", { for: "plan-sample" }, "Begin with"), this.sample,
        file, el("button", { type: "button", on: { click: () => file.click() } }, icon("upload", 14), "Open a file"),
      ),
      el("label.unseen", { for: "plan-json" }, "Plan as JSON"),
      this.editor, this.problem,
      el("p.form-hint", { id: "plan-help" }, "Each step has a ", el("code", "step_id"), " and may have ", el("code", "depends_on"), ", ", el("code", "action"), ", ", el("code", "params"), ", ",
        el("code", "max_attempts"), ", ", el("code", "timeout_s"), " and a ", el("code", "quality_gate"), "."),
      el("div.form-buttons", this.button, el("span.form-hint", el("kbd", "Ctrl"), " ", el("kbd", "Enter"))),
    );
  }

  #listen() {
    this.sample.addEventListener("change", () => this.#set(SAMPLES[Number(this.sample.value)].plan));
    this.editor.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#draw(), DRAW_MS);
    });
    this.editor.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  #set(definition) {
    this.editor.value = writeDocument(definition);
    this.#say();
    this.#draw();
  }

  async #load(input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    if (file.size > MOST_FILE_BYTES) return this.#tools.say("That file is too large for a plan.", { tone: "error" });
    this.editor.value = await file.text();
    this.#say();
    this.#draw();
  }

  /** The graph of what is written, as far as it can be read. */
  #draw() {
    const { value, error } = readDocument(this.editor.value);
    if (error) {
      this.summary.textContent = `The preview waits: line ${error.line} cannot be read yet.`;
      return;
    }
    const steps = outlineOf(value);
    this.graph.update(steps);
    const first = steps.filter(({ dependsOn }) => dependsOn.length === 0).length;
    this.summary.textContent = steps.length ? `${steps.length} ${steps.length === 1 ? "step" : "steps"}, ${first} of them at once at the beginning` : "No steps yet.";
  }

  async #submit() {
    const text = this.editor.value;
    const { value, error } = readDocument(text);
    if (error) return this.#say(`${error.message} (line ${error.line}, column ${error.column})`, { start: error.at, end: error.at + 1 });
    this.#say();
    this.button.disabled = true;
    try {
      const { plan_id: id } = await startPlan(value);
      this.#tools.go(id);
    } catch (refused) {
      const place = refused.field ? placeOf(text, refused.field) : null;
      this.#say(refused.message, place);
    } finally {
      this.button.disabled = false;
    }
  }

  /** Say what is wrong, and mark the place in the text; or take it back. */
  #say(message = "", place = null) {
    const line = place ? this.editor.value.slice(0, place.start).split("\n").length : 0;
    this.problem.textContent = message && line && !/\(line \d/.test(message) ? `Line ${line}: ${message}` : message;
    this.editor.setAttribute("aria-invalid", String(Boolean(message)));
    if (!message) return;
    this.editor.focus();
    if (!place) return;
    this.editor.setSelectionRange(place.start, place.end);
    const lineHeight = this.editor.scrollHeight / this.editor.value.split("\n").length;
    this.editor.scrollTop = Math.max(0, (line - 6) * lineHeight);
  }
}
