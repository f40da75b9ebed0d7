// Starts a workflow: the task, which workflow if there are several, how many steps at most, what it follows.

import { bdi, el, icon } from "../dom.js";
import { count, firstLine, whole } from "../format.js";
import { listOf, textOf } from "../runs/values.js";
import { readSystem, readWorkflow, startWorkflow } from "./api.js";

const MOST_CHARS = 10_000;
const MOST_STEPS = 50;
const DEFAULT_WORKFLOW = "research";

export class WorkflowForm {
  #tools;
  #parent = null;
  #fields;
  #problems = new Map();

  constructor(place, tools) {
    this.#tools = tools;
    this.#fields = makeFields();
    const { task, name, steps } = this.#fields;
    this.parentPlace = el("div.follow", { hidden: true });
    this.counter = el("span.counter");
    this.names = el("datalist", { id: "workflow-names" });
    this.namePlace = el("div.field",
      el("label", { for: "workflow-name" }, "Workflow ", el("span.optional", "(optional)")), name, this.names, this.#problem("workflow"),
    );
    this.modelNote = el("p.form-note", { hidden: true });
    this.button = el("button.primary", { type: "submit" }, icon("play", 14), "Start workflow");
    this.form = el("form.start", { novalidate: true },
      el("h1", "Start a workflow"),
      el("p.lead", "Agents research the task side by side, one analyses what they found, one looks for weak points, one writes the result. You watch all of them work."),
      this.parentPlace,
      el("div.field",
        el("div.field-head", el("label", { for: "task" }, "Task"), this.counter), task, this.#problem("task"),
      ),
      el("div.field-row", this.namePlace,
        el("div.field", el("label", { for: "max-steps" }, "Steps at most ", el("span.optional", "(optional)")), steps, this.#problem("max_steps")),
      ),
      this.#problem(""),
      el("div.form-buttons", this.button, el("span.form-hint", el("kbd", "Ctrl"), " ", el("kbd", "Enter"))),
      this.modelNote,
    );
    this.#listen();
    place.append(el("div.form-page", this.form));
    this.#count();
  }

  /** `query` may name a `parent` to follow, and a `task` to begin with. */
  show(query) {
    this.#setParent(query.get("parent"));
    if (query.get("task")) this.#fields.task.value = query.get("task").slice(0, MOST_CHARS);
    this.#count();
    this.#readSystem();
    if (query.has("new") || query.has("parent")) this.#fields.task.focus();
  }

  #problem(field) {
    const node = el("p.problem-line", { role: "alert", id: field ? `problem-${field}` : null });
    this.#problems.set(field, node);
    return node;
  }

  #listen() {
    const { task } = this.#fields;
    task.addEventListener("input", () => this.#count());
    task.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  #count() {
    const length = [...this.#fields.task.value].length;
    this.counter.textContent = length > MOST_CHARS * 0.8 ? `${whole(length)} of ${whole(MOST_CHARS)}` : "";
    this.counter.classList.toggle("bad", length > MOST_CHARS);
  }

  async #setParent(id) {
    this.#parent = id;
    this.parentPlace.hidden = !id;
    if (!id) return;
    const words = el("bdi.follow-task");
    const drop = el("button.quiet", { type: "button", "aria-label": "Do not follow it", on: { click: () => this.#tools.newRun() } }, icon("close", 14));
    this.parentPlace.replaceChildren(icon("reply"), el("span", "Follows ", bdi(id, "mono")), words, drop);
    try {
      words.textContent = firstLine(textOf((await readWorkflow(id)).task), 140);
    } catch (error) {
      words.textContent = error.message;
    }
  }

  /** What there is to run, and with what; a server that does not say leaves the form as it is. */
  async #readSystem() {
    try {
      const system = await readSystem();
      this.#offer(listOf(system.workflows));
      this.#sayModel(system);
    } catch {
      this.modelNote.hidden = true;
    }
  }

  #offer(workflows) {
    const names = workflows.map((one) => textOf(one) || textOf(one?.name)).filter(Boolean);
    this.namePlace.hidden = names.length === 1;
    this.names.replaceChildren(...names.map((one) => el("option", { value: one })));
  }

  #sayModel(system) {
    const provider = textOf(system.llm_provider) || textOf(system.model);
    const documents = system.knowledge_documents;
    const known = Number.isFinite(documents) ? ` The knowledge base has ${count(documents, "document")}.` : "";
    this.modelNote.hidden = !provider;
    const words = provider === "extractive"
      ? [el("b", "extractive"), ": no language model is set up, so agents quote the knowledge base.", known, " Set ", el("code", "RUNCAST_LLM_MODEL"),
        " to have answers written, and add documents by ", el("code", "runcast knowledge add"), "."]
      : ["Runs on ", bdi(provider, "mono"), ".", known];
    this.modelNote.replaceChildren(icon("note", 15), el("span", words));
  }

  async #submit() {
    this.#say({});
    const { task, name, steps } = this.#fields;
    const asked = { task: task.value.trim() };
    if (!this.namePlace.hidden && name.value.trim()) asked.workflow = name.value.trim();
    if (steps.value !== "") asked.max_steps = Number(steps.value);
    if (this.#parent) asked.parent_workflow_id = this.#parent;
    if (!asked.task) return this.#say({ field: "task", message: "Say what is to be done." });
    this.button.disabled = true;
    try {
      const { workflow_id: id } = await startWorkflow(asked);
      task.value = "";
      this.#count();
      this.#tools.go(id);
    } catch (error) {
      this.#say(error);
    } finally {
      this.button.disabled = false;
    }
  }

  /** Show what is wrong at its field, or nothing. */
  #say({ field = "", message = "" }) {
    const inputs = { task: this.#fields.task, workflow: this.#fields.name, max_steps: this.#fields.steps };
    const at = this.#problems.has(field) && !(field === "workflow" && this.namePlace.hidden) ? field : "";
    for (const [name, node] of this.#problems) node.textContent = name === at ? message : "";
    for (const [name, input] of Object.entries(inputs)) input.setAttribute("aria-invalid", String(Boolean(message) && name === at));
    if (message) inputs[at]?.focus();
  }
}

function makeFields() {
  return {
    task: el("textarea", {
      id: "task", rows: 6, required: true, "aria-describedby": "problem-task", spellcheck: true,
      placeholder: "What do we know about how clients resume a broken connection, and what is still open?",
    }),
    name: el("input", {
      id: "workflow-name", list: "workflow-names", placeholder: DEFAULT_WORKFLOW, autocomplete: "off", spellcheck: "false", "aria-describedby": "problem-workflow",
    }),
    steps: el("input", { id: "max-steps", type: "number", min: 1, max: MOST_STEPS, step: 1, placeholder: `1 to ${MOST_STEPS}`, "aria-describedby": "problem-max_steps" }),
  };
}
