// The steps of a task as a line through time: what was done, by which tool, what was said, how long it took.

import { bdi, el, icon, setText } from "../dom.js";
import { clock, count, duration, moment } from "../format.js";
import { Keyed, whenChanged } from "../runs/drawing.js";
import { section } from "../runs/parts.js";
import { wordsOf } from "../runs/values.js";
import { attemptsOf } from "./state.js";
import { iconOfStep, labelOfStep } from "./steps.js";

const TOOL_IS_STEP = new Set(["scam_database", "exa_search", "phone_validator", "domain_reputation"]); // said by the step's name

export class TimelineView {
  constructor() {
    const part = section("Steps", ".timeline-part");
    this.node = part.node;
    this.setCount = part.setCount;
    this.attempts = el("div.attempts");
    part.body.append(this.attempts);
    this.keyed = new Keyed(this.attempts, () => makeAttempt());
  }

  update(task, now) {
    const several = task.attempt > 1;
    const attempts = several ? attemptsOf(task) : [{ attempt: 0, worker: "", steps: task.steps }];
    const left = task.missing + task.stepsLeftOut;
    this.setCount(left ? `${count(left, "earlier one")} not shown` : "");
    this.keyed.update(attempts.map((one) => ({ ...one, task })), ({ attempt, steps }) => [task.id, task.created, several, attempt, attempt ? "" : steps[0]?.key].join("\n"), now);
  }
}

function makeAttempt() {
  const head = el("h3.attempt-head");
  const list = el("ol.timeline");
  const node = el("div.attempt", head, list);
  const drawHead = whenChanged((attempt, worker, most) => head.replaceChildren(
    el("span", `Attempt ${attempt}${most > 1 ? ` of ${most}` : ""}`), worker ? bdi(worker, "mono attempt-worker") : null,
  ));
  const steps = new Keyed(list, () => makeStep());
  return {
    node,
    update({ attempt, worker, steps: told, task }, now) {
      head.hidden = attempt === 0;
      drawHead([attempt, worker, task.maxAttempts], attempt, worker, task.maxAttempts);
      steps.update(told, ({ key }) => key, task, now);
    },
  };
}

function makeStep() {
  const mark = el("span.step-mark", { "aria-hidden": "true" });
  const head = el("div.step-line");
  const took = el("span.step-took");
  const messages = el("ul.step-messages");
  const node = el("li.timeline-step", mark, el("div.step-said", head, messages));
  const drawHead = whenChanged((step, state) => {
    node.className = `timeline-step s-${state}`;
    node.dataset.step = step.step;
    mark.replaceChildren(icon(iconOfStep(step.step), 14));
    const tool = step.tool && !TOOL_IS_STEP.has(step.tool) && step.tool !== step.step ? bdi(step.tool, "mono step-tool") : null;
    head.replaceChildren(...[el("h3.step-name", bdi(labelOfStep(step.step))), tool, state === "failed" ? el("span.t-failing.step-word", "error") : null, took].filter(Boolean));
  });
  const lines = new Keyed(messages, ({ message, label }) => ({ node: line(message, label), update() {} }));
  return {
    node,
    update(step, task, now) {
      const isLast = task.steps.at(-1) === step;
      drawHead([step.step, step.tool, looksOf(step, task, isLast)], step, looksOf(step, task, isLast));
      const seconds = ((step.ended || (isLast && task.status === "running" ? now : step.began)) - step.began) / 1000;
      setText(took, seconds >= 0.001 && !task.ended || step.ended - step.began > 0 ? duration(step.ended ? seconds : Math.floor(seconds)) : "");
      const label = labelOfStep(step.step);
      lines.update(step.messages.map((message) => ({ message, label })), ({ message }) => message.seq);
    },
  };
}

function looksOf(step, task, isLast) {
  if (step.error || step.step === "failed") return "failed";
  if (step.step === "retrying") return "warn";
  return isLast && !task.ended ? (task.status === "running" ? "running" : "waiting") : "done";
}

function line({ time, text, error, more }, label) {
  return el("li", { class: error ? "bad" : null },
    el("time", { datetime: new Date(time).toISOString(), title: moment(time) }, clock(time)),
    el("div", text === label ? null : bdi(text || "(no message)"), more ? details(more) : null),
  );
}

function details(more) {
  const names = Object.keys(more);
  if (names.length === 1 && typeof more[names[0]] !== "object") return el("span.step-fact", `${names[0]} `, bdi(wordsOf(more[names[0]])));
  return el("details.step-more", el("summary", bdi(names.join(", "))), el("pre", { tabindex: 0 }, bdi(wordsOf(more))));
}
