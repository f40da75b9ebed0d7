// One step of a plan: what it is to do, how its attempts went, what it gave, and what can be asked of it.

import { bdi, el, icon } from "../dom.js";
import { clock, duration, whole } from "../format.js";
import { whenChanged } from "../runs/drawing.js";
import { modelNote } from "../runs/model.js";
import { actButton, badge } from "../runs/parts.js";
import { sourcesView } from "../runs/sources_view.js";
import { isObject, listOf, own, textOf, wordsOf } from "../runs/values.js";
import { prose } from "../views/prose.js";
import { commandStep, reviewStep } from "./api.js";
import { stepCommands } from "./commands.js";
import { give } from "./give.js";
import { nameOfStep, secondsOfStep, stateOfStep } from "./state.js";

const MOST_CHARS = 60_000;
const MOST_COMMENT_CHARS = 2_000;
const WORDS_OF_GATE = { retry: "else it is tried again", review: "else a person decides", fail: "else it fails" };
const SHOWN = new Set(["sources", "model", "tokens", "quality_score"]); // elsewhere
const TEXTS = ["content", "summary", "text", "answer", "result", "output"];

export class StepView {
  #tools;
  #choose;
  #asking = { key: "", node: null }; // kept while it is drawn anew, with what somebody has written into it
  #draw = whenChanged((plan, step) => this.#drawStep(plan, step));
  #took = el("dd");
  #message = el("span");
  #doing = el("p.step-doing", el("span.spinner", { "aria-hidden": "true" }), this.#message);
  #drawMessage = whenChanged((message) => this.#message.replaceChildren(bdi(message)));

  constructor({ tools, choose }) {
    this.#tools = tools;
    this.#choose = choose;
    this.node = el("section.step", { "aria-label": "Step", "aria-live": "off" });
  }

  update(plan, step, now) {
    this.node.hidden = step === null;
    if (!step) return;
    const needed = [...plan.steps.values()].filter(({ dependsOn }) => dependsOn.includes(step.id)).map(({ id }) => id);
    const settled = { ...step, progress: null, message: step.state === "skipped" ? step.message : "" }; // what runs may tell more many times a second
    this.#draw([plan.id, plan.status, plan.managed, settled, stateOfStep(plan, step), needed], plan, step);
    this.#doing.hidden = step.state !== "running" || !step.message;
    this.#drawMessage(step.message, step.message);
    this.#took.textContent = step.started ? duration(secondsOfStep(step, now)) : "";
  }

  #drawStep(plan, step) {
    const state = stateOfStep(plan, step);
    const held = this.node.contains(document.activeElement) ? document.activeElement : null;
    this.node.replaceChildren(...[
      el("div.step-head", el("h2", bdi(nameOfStep(step))), badge(state)),
      el("p.mono.step-id", bdi(step.id)),
      step.review ? this.#review(plan, step) : null,
      this.#acts(plan, step),
      step.description ? el("p.step-description", { dir: "auto" }, bdi(step.description)) : null,
      this.#doing,
      step.error ? el("p.problem", icon("error"), bdi(step.error)) : null,
      this.#facts(plan, step, state),
      failuresOf(step),
      resultOf(step),
      Object.keys(step.params).length ? [el("h3", "Parameters"), el("pre.box-text", { tabindex: 0 }, bdi(JSON.stringify(step.params, null, 2)))] : null,
    ].flat().filter(Boolean));
    if (held && document.activeElement !== held) this.#handOn(held);
  }

  /** The keyboard stays where it was: in the same field, at the button of the same name, or at the first there is. */
  #handOn(held) {
    const buttons = [...this.node.querySelectorAll("button")];
    const to = held.isConnected ? held : buttons.find(({ textContent }) => textContent === held.textContent) ?? buttons[0];
    to?.focus();
  }

  #acts(plan, step) {
    const buttons = stepCommands(plan, step).map(({ command, ...looks }) => actButton({ ...looks, act: () => this.#command(plan, step, command) }));
    return buttons.length ? el("div.acts", buttons) : null;
  }

  async #command(plan, step, command) {
    const name = nameOfStep(step);
    if (command === "retry") return give(this.#tools, () => commandStep(plan.id, step.id, command));
    const isSkip = command === "skip";
    const answer = await this.#tools.ask({
      title: isSkip ? `Skip “${name}”?` : `Remove “${name}”?`,
      words: isSkip ? "It counts as done, without a result. The steps after it can begin." : "It leaves the plan. That can only be done before it has begun, and while nothing depends on it.",
      label: isSkip ? "Skip it" : "Remove it", tone: isSkip ? "primary" : "danger", field: isSkip ? "Reason (optional)" : null,
    });
    if (answer) await give(this.#tools, () => commandStep(plan.id, step.id, command, answer.text));
  }

  #review(plan, step) {
    const key = JSON.stringify([plan.id, step.id, step.review]);
    if (this.#asking.key !== key) this.#asking = { key, node: this.#makeReview(plan, step) };
    return this.#asking.node;
  }

  #makeReview(plan, step) {
    const { gate, reason, score } = step.review;
    const comment = el("textarea", { rows: 2, maxlength: MOST_COMMENT_CHARS, "aria-label": "Comment on your decision", placeholder: "Comment (optional)" });
    const decide = (approved) => give(this.#tools, () => reviewStep(plan.id, gate, approved, comment.value.trim()));
    return el("div.review",
      el("p.review-head", icon("alert"), el("b", "A person is to decide"), score === null ? null : el("span", `scored ${Math.round(score * 100)} %`)),
      reason ? el("p", { dir: "auto" }, bdi(reason)) : null,
      comment,
      el("div.acts",
        actButton({ label: "Approve", icon: "check", tone: "primary", act: () => decide(true) }),
        actButton({ label: "Reject", icon: "close", tone: "danger", act: () => decide(false) }),
      ),
    );
  }

  #facts(plan, step, state) {
    const { gate, attempt, maxAttempts, checks } = step;
    const rows = [
      ["Action", step.action ? bdi(step.action, "mono") : null],
      ["Attempts", attempt ? `${attempt}${maxAttempts ? ` of ${Math.max(attempt, maxAttempts)}` : ""}` : maxAttempts ? `up to ${maxAttempts}` : null],
      ["Time", step.started ? this.#took : null],
      ["Next try", state === "retrying" && step.retryAt ? clock(step.retryAt) : null],
      ["After", step.dependsOn.length ? this.#links(step.dependsOn, plan) : null],
      ["Before", this.#links([...plan.steps.values()].filter(({ dependsOn }) => dependsOn.includes(step.id)).map(({ id }) => id), plan)],
      ["Quality", gate ? `at least ${Math.round((gate.least ?? 0.7) * 100)} %, ${own(WORDS_OF_GATE, gate.onFail) ?? WORDS_OF_GATE.retry}` : null],
      ["Score", scoreOf(step.score, checks.at(-1))],
      ["Model", isObject(step.result) && textOf(step.result.model) ? modelNote(step.result.model) : null],
      ["Tokens", isObject(step.result) && Number.isFinite(step.result.tokens) ? whole(step.result.tokens) : null],
      ["Skipped", state === "skipped" && step.message ? bdi(step.message) : null],
    ];
    return el("dl.fields", rows.filter(([, value]) => value).map(([name, value]) => [el("dt", name), value === this.#took ? value : el("dd", value)]));
  }

  #links(ids, plan) {
    if (!ids.length) return null;
    return el("span.links", ids.map((id) => (plan.steps.has(id)
      ? el("button.link", { type: "button", on: { click: () => this.#choose(id) } }, bdi(nameOfStep(plan.steps.get(id))))
      : bdi(id))));
  }
}

function scoreOf(score, check) {
  if (score === null) return null;
  const percent = `${Math.round(score * 100)} %`;
  if (!check) return el("span", percent);
  return el("span", { class: check.passed ? "t-done" : "t-warn" }, `${percent}, ${check.passed ? "passed" : "not passed"}`);
}

function failuresOf({ failures, error }) {
  const earlier = failures.filter((one, at) => at < failures.length - 1 || !error);
  if (!earlier.length) return null;
  return [el("h3", "Failed attempts"), el("ol.failures", earlier.map((one) => el("li", el("b", `Attempt ${one.attempt}`), " ", bdi(one.error))))];
}

/** A text of the result is read as Markdown, all else is shown as JSON. */
function resultOf({ result }) {
  if (result === null || result === undefined || result === "") return null;
  const name = isObject(result) ? TEXTS.find((key) => typeof result[key] === "string" && result[key]) : null;
  const text = name ? result[name] : typeof result === "string" ? result : null;
  const rest = name ? Object.fromEntries(Object.entries(result).filter(([key]) => key !== name && !SHOWN.has(key))) : {};
  return [
    el("h3", "Result"),
    text === null
      ? el("pre.box-text", { tabindex: 0 }, bdi(wordsOf(result).slice(0, MOST_CHARS)))
      : el("div.prose-block.box-text", { tabindex: 0, dir: "auto" }, prose(text.slice(0, MOST_CHARS))),
    text === null ? null : sourcesView(text, listOf(result.sources)),
    Object.keys(rest).length ? el("details.more-result", el("summary", "More of it"), el("pre.box-text", { tabindex: 0 }, bdi(wordsOf(rest).slice(0, MOST_CHARS)))) : null,
  ];
}
