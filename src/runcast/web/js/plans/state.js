// A plan as a fold over its stream: its steps with what they wait for and what became of them. Pure.

import { listOf, numberOf, objectOf, own, textOf, timeOf, wordsOf } from "../runs/values.js";

const MOST_STEPS = 1_000;
const MOST_LOG = 400;
const SETTLED = new Set(["completed", "skipped"]);
const DEFAULTS = { action: "research", max_attempts: 3 }; // what a definition leaves out
const OVER = new Set(["completed", "failed", "cancelled"]);

/** A plan of which nothing is known yet. */
export function makePlan(id) {
  return {
    id, seq: 0, missing: 0, status: "unknown", managed: false, name: "", query: "", created: 0, ended: 0, last: 0, steps: new Map(), error: "",
    reason: "", metrics: {}, health: {}, result: null, cancelling: false, log: [],
  };
}

export function applyToPlan(plan, event) {
  const type = event.type.toLowerCase();
  const outer = objectOf(event.data);
  const data = objectOf(outer.data);
  const context = { plan, data, time: timeOf(event), step: textOf(outer.step_id) || textOf(data.step_id) };
  plan.created ||= context.time;
  plan.last = context.time;
  own(APPLY, type)?.(context);
  const words = logWords(type, context);
  if (!words) return;
  plan.log.push({ seq: event.seq, time: context.time, type, step: context.step, ...words });
  if (plan.log.length > MOST_LOG) plan.log.shift();
}

const APPLY = {
  plan_started({ plan, data, time }) {
    if (plan.managed && !plan.ended) return; // it is running: whoever says this does not know
    Object.assign(plan, {
      status: "running", created: time, ended: 0, error: "", reason: "", result: null, managed: data.managed === true,
      name: textOf(data.name), query: textOf(data.query) || textOf(data.goal), by: textOf(data.by) || null, steps: new Map(),
    });
    for (const definition of listOf(data.steps)) define(plan, { ...DEFAULTS, ...objectOf(definition) });
  },
  plan_completed({ plan, data, time }) {
    end(plan, "completed", time);
    plan.result = data.result ?? null;
  },
  plan_failed({ plan, data, time }) {
    end(plan, "failed", time);
    plan.error = wordsOf(data.error) || wordsOf(data.reason);
  },
  plan_cancelled({ plan, data, time }) {
    end(plan, "cancelled", time);
    plan.reason = textOf(data.reason);
  },
  plan_paused({ plan, data }) {
    if (plan.ended) return;
    plan.status = "paused";
    plan.reason = textOf(data.reason);
  },
  plan_resumed({ plan }) {
    Object.assign(plan, { status: "running", ended: 0, reason: "", error: "" });
  },
  plan_command({ plan, data }) {
    if (data.command === "cancel" && !plan.ended) plan.cancelling = true;
  },
  command_refused({ plan, data }) {
    if (data.command === "cancel") plan.cancelling = false;
  },
  step_started(context) {
    const { data, time } = context;
    const step = stepOf(context);
    if (!step) return;
    const attempt = numberOf(data.attempt) ?? step.attempt + 1;
    Object.assign(step, { state: "running", attempt, started: time, ended: 0, progress: null, message: "", error: "", result: null, score: null, seconds: null });
    step.name = step.name || textOf(data.name);
  },
  step_progress(context) {
    const step = stepOf(context);
    if (!step || step.state !== "running") return;
    context.isNews = numberOf(context.data.progress) !== step.progress; // else only other words: not for the log
    step.progress = Math.min(1, Math.max(0, numberOf(context.data.progress) ?? step.progress ?? 0));
    step.message = textOf(context.data.message) || step.message;
  },
  step_completed(context) {
    const { data, time } = context;
    const step = stepOf(context);
    if (!step) return;
    Object.assign(step, {
      state: "completed", ended: time, progress: 1, error: "", review: null,
      result: "result" in data ? data.result : "result_seq" in data ? step.result : withoutFigures(data),
      seconds: numberOf(data.seconds), score: numberOf(data.quality_score) ?? step.score,
      attempt: numberOf(data.attempt) ?? Math.max(1, step.attempt),
    });
  },
  step_failed(context) {
    const { data, time } = context;
    const step = stepOf(context);
    if (!step) return;
    const willRetry = data.will_retry === true;
    Object.assign(step, {
      state: willRetry ? "retrying" : "failed", ended: time, error: wordsOf(data.error), review: null,
      attempt: numberOf(data.attempt) ?? Math.max(1, step.attempt),
    });
    step.failures.push({ attempt: step.attempt, error: step.error, time });
  },
  step_retrying(context) {
    const step = stepOf(context);
    if (!step) return;
    const delay = numberOf(context.data.delay_s) ?? 0;
    Object.assign(step, { state: "retrying", review: null, retryAt: context.time + delay * 1000 });
  },
  step_skipped(context) {
    const step = stepOf(context);
    if (step) Object.assign(step, { state: "skipped", ended: context.time, review: null, message: textOf(context.data.reason) });
  },
  quality_check(context) {
    const { data, time } = context;
    const step = stepOf(context);
    if (!step) return;
    step.score = numberOf(data.quality_score) ?? step.score;
    step.checks.push({ score: step.score, least: numberOf(data.min_score), passed: data.passed === true, time });
  },
  review_required(context) {
    const { data, time, step: id } = context;
    const step = stepOf(context);
    if (!step) return;
    step.state = "review";
    if ("result" in data) step.result = data.result;
    step.review = { gate: textOf(data.gate) || id, reason: textOf(data.reason), score: numberOf(data.quality_score), time };
  },
  review_resolved(context) {
    const step = stepOf(context) ?? stepWithGate(context.plan, textOf(context.data.gate));
    if (!step) return;
    step.review = null;
    if (step.state === "review") step.state = "running";
  },
  step_added({ plan, data, step }) {
    define(plan, { ...DEFAULTS, step_id: step, ...objectOf(data.step ?? data.definition ?? data) });
  },
  step_removed({ plan, step }) {
    plan.steps.delete(step);
    for (const other of plan.steps.values()) other.dependsOn = other.dependsOn.filter((id) => id !== step);
  },
  steps_reordered({ plan, data }) {
    const order = listOf(data.order).filter((id) => plan.steps.has(id));
    const rest = [...plan.steps.keys()].filter((id) => !order.includes(id));
    plan.steps = new Map([...order, ...rest].map((id) => [id, plan.steps.get(id)]));
  },
  dependencies_changed(context) {
    const step = stepOf(context);
    if (step) step.dependsOn = listOf(context.data.depends_on).map(String);
  },
  metrics_update({ plan, data }) {
    plan.metrics = data;
  },
  health_update({ plan, data }) {
    plan.health = data;
  },
  error({ plan, data }) {
    plan.error = wordsOf(data.error) || plan.error;
  },
};

function stepOf({ plan, step }) {
  if (!step) return null;
  return plan.steps.get(step) ?? define(plan, { step_id: step });
}

function stepWithGate(plan, gate) {
  return [...plan.steps.values()].find(({ review }) => review?.gate === gate) ?? null;
}

function define(plan, told) {
  const id = textOf(told.step_id);
  if (!id || (plan.steps.size >= MOST_STEPS && !plan.steps.has(id))) return null;
  const gate = told.quality_gate === null || told.quality_gate === undefined ? null : objectOf(told.quality_gate);
  const step = {
    id, name: textOf(told.name), description: textOf(told.description), dependsOn: listOf(told.depends_on).map(String),
    action: textOf(told.action), params: objectOf(told.params), maxAttempts: numberOf(told.max_attempts), timeout: numberOf(told.timeout_s),
    gate: gate && { least: numberOf(gate.min_score), onFail: textOf(gate.on_fail) },
    state: "waiting", attempt: 0, progress: null, message: "", result: null, error: "", failures: [], checks: [], review: null,
    score: null, seconds: null, started: 0, ended: 0, retryAt: 0,
  };
  plan.steps.set(id, step);
  return step;
}

function end(plan, status, time) {
  plan.status = status;
  plan.ended = time;
  plan.cancelling = false;
  if (status !== "cancelled") return;
  for (const step of plan.steps.values()) {
    if (["running", "retrying", "review"].includes(step.state)) Object.assign(step, { state: "cancelled", ended: time, review: null });
  }
}

/** What a step of somebody else's plan told when it was done, if it did not name its result. */
function withoutFigures({ attempt: _a, seconds: _s, quality_score: _q, ...rest }) {
  return Object.keys(rest).length ? rest : null;
}

/** Its state as it is shown: a step that waits for nothing any more is ready, one that will never begin is told apart. */
export function stateOfStep(plan, step) {
  if (step.state !== "waiting") return step.state;
  if (plan.ended) return "unreached";
  return step.dependsOn.every((id) => !plan.steps.has(id) || SETTLED.has(plan.steps.get(id).state)) ? "ready" : "waiting";
}

/** Its state as it is shown: that somebody is asked comes before that it runs. */
export function stateOfPlan(plan) {
  if (OVER.has(plan.status)) return plan.status;
  return reviewsOf(plan).length ? "review" : plan.status;
}

/** The steps that wait for somebody's review. */
export const reviewsOf = (plan) => [...plan.steps.values()].filter(({ review }) => review);

export const nameOfStep = (step) => step.name || step.id;
export const nameOfPlan = (plan) => plan.name || plan.query;

/** {total, done, running, failed, attempts, fraction, seconds}; a running step counts for the part that it has told. */
export function figuresOf(plan, now) {
  const steps = [...plan.steps.values()];
  const count = (...states) => steps.filter((step) => states.includes(step.state)).length;
  const done = count("completed", "skipped");
  const parts = steps.reduce((sum, { state, progress }) => sum + (state === "running" ? progress ?? 0 : 0), 0);
  return {
    total: steps.length, done, running: count("running"), failed: count("failed"), review: reviewsOf(plan).length,
    attempts: steps.reduce((sum, { attempt }) => sum + attempt, 0),
    fraction: steps.length ? Math.min(1, (done + parts) / steps.length) : 0,
    seconds: plan.created ? ((plan.ended || now) - plan.created) / 1000 : null,
  };
}

/** For how many seconds a step has worked, or did at last. */
export function secondsOfStep(step, now) {
  if (step.seconds !== null && step.state === "completed") return step.seconds;
  return step.started ? Math.max(0, ((step.ended || now) - step.started) / 1000) : 0;
}

function logWords(type, { data, step, isNews }) {
  const attempt = numberOf(data.attempt) > 1 ? `, attempt ${data.attempt}` : "";
  const who = textOf(data.by);
  switch (type) {
    case "plan_started": return { text: `Started with ${listOf(data.steps).length || numberOf(data.total_steps) || "its"} steps`, who };
    case "plan_completed": return { text: "Completed", tone: "good" };
    case "plan_failed": return { text: `Failed${wordsOf(data.error) ? `: ${wordsOf(data.error)}` : ""}`, tone: "bad" };
    case "plan_cancelled": return { text: `Cancelled${textOf(data.reason) ? `: ${data.reason}` : ""}`, who, tone: "warn" };
    case "plan_paused": return { text: `Paused${textOf(data.reason) ? `: ${data.reason}` : ""}`, who, tone: "warn" };
    case "plan_resumed": return { text: "Resumed", who };
    case "step_started": return { text: `began${attempt}`, tone: attempt ? "warn" : "" };
    case "step_completed": return { text: `completed${attempt}`, tone: "good" };
    case "step_failed": return { text: `failed${attempt}: ${wordsOf(data.error)}${data.will_retry === true ? ", will be tried again" : ""}`, tone: "bad" };
    case "step_retrying": return { text: `will be tried again${textOf(data.reason) ? `: ${data.reason}` : ""}`, who, tone: "warn" };
    case "step_skipped": return { text: `skipped${textOf(data.reason) ? `: ${data.reason}` : ""}`, who };
    case "step_progress": return isNews && textOf(data.message) ? { text: `${Math.round((numberOf(data.progress) ?? 0) * 100)} %: ${data.message}` } : null;
    case "quality_check": return { text: checkWords(data), tone: data.passed === true ? "good" : "warn" };
    case "review_required": return { text: `needs a review${textOf(data.reason) ? `: ${data.reason}` : ""}`, tone: "warn" };
    case "review_resolved": {
      const comment = textOf(data.comment) ? `: ${data.comment}` : "";
      return data.approved === true ? { text: `approved${comment}`, who, tone: "good" } : { text: `rejected${comment}`, who, tone: "bad" };
    }
    case "plan_command": return { text: `Asked to ${textOf(data.command).replaceAll("_", " ")}`, who };
    case "command_refused": return { text: `Refused to ${textOf(data.command).replaceAll("_", " ")}: ${textOf(data.reason)}`, tone: "bad" };
    case "metrics_update": case "health_update": case "ping": case "pong": return null;
    default: return { text: step ? type.replace(/^step_/, "").replaceAll("_", " ") : type.replaceAll("_", " ") };
  }
}

function checkWords({ quality_score: score, min_score: least, passed }) {
  const said = numberOf(score) === null ? "checked" : `scored ${Math.round(score * 100)} %`;
  const wanted = numberOf(least) === null ? "" : `, ${Math.round(least * 100)} % wanted`;
  return `${said}${wanted}: ${passed === true ? "passed" : "not passed"}`;
}
