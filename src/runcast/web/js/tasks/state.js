// A task as a fold over its stream: its attempts, the steps of each with what was said in them, what came of it. Pure.

import { firstLine } from "../format.js";
import { numberOf, objectOf, own, textOf, timeOf } from "../runs/values.js";
import { labelOfStep, labelOfType } from "./steps.js";

export const SILENT_MS = 60_000; // nothing for so long: the documented time after which a client is let go
const MOST_STEPS = 300;
const MOST_MESSAGES = 60; // of one step
const KNOWN = new Set(["message", "percent", "error", "tool", "attempt", "worker", "task_type", "params", "executor", "max_attempts", "by", "due_at", "reason", "result", "command", "status"]);

/** A task of which nothing is known yet. */
export function makeTask(id) {
  return {
    id, seq: 0, missing: 0, status: "unknown", type: "", params: {}, executor: "", worker: "", by: "", managed: false, cancelling: false,
    attempt: 0, maxAttempts: 1, percent: 0, message: "", created: 0, started: 0, ended: 0, last: 0, due: 0,
    steps: [], stepsLeftOut: 0, result: undefined, error: "",
  };
}

export function applyToTask(task, event) {
  if (task.ended) return; // what comes after its end changes nothing
  const data = objectOf(event.data);
  const time = timeOf(event);
  task.created ||= time;
  task.last = Math.max(time, task.last);
  task.message = textOf(data.message);
  (own(APPLY, event.type) ?? atWork)(task, data, time);
  addToSteps(task, event, data, time);
}

const APPLY = {
  queued(task, data) {
    if (task.managed || task.attempt) return;
    Object.assign(task, {
      status: "queued", managed: textOf(data.task_type) !== "", type: textOf(data.task_type), params: objectOf(data.params),
      executor: textOf(data.executor), by: textOf(data.by), maxAttempts: numberOf(data.max_attempts) ?? 1,
    });
  },
  started(task, data, time) {
    Object.assign(task, { status: "running", attempt: task.attempt + 1, worker: textOf(data.worker), percent: percentOf(data) });
    task.started ||= time;
    if (!task.managed) Object.assign(task, { type: textOf(data.task_type) || task.type, executor: textOf(data.executor) || task.executor });
  },
  task_command(task, data) {
    task.cancelling ||= data.command === "cancel";
  },
  retrying(task, data) {
    Object.assign(task, { status: "retrying", due: (numberOf(data.due_at) ?? 0) / 1000 });
  },
  completed(task, data, time) {
    Object.assign(task, { status: "completed", ended: time, percent: 100, result: data.result ?? undefined });
  },
  failed(task, data, time) {
    const status = data.status === "cancelled" ? "cancelled" : "failed";
    Object.assign(task, { status, ended: time, error: textOf(data.message) || "It failed without a word." });
  },
};

function atWork(task, data, time) {
  task.status = "running";
  task.started ||= time;
  task.percent = percentOf(data);
}

const percentOf = (data) => Math.min(100, Math.max(0, numberOf(data.percent) ?? 0));

/** What follows on itself is one step, with several messages: the order in which things were told stays. */
function addToSteps(task, { type, seq }, data, time) {
  const attempt = numberOf(data.attempt) ?? task.attempt;
  const tool = textOf(data.tool);
  const last = task.steps.at(-1);
  const isSame = last && last.step === type && last.tool === tool && last.attempt === attempt;
  const step = isSame ? last : { key: seq, step: type, tool, attempt, began: time, ended: 0, percent: 0, error: false, worker: "", messages: [], messagesLeftOut: 0 };
  if (!isSame) {
    if (last) last.ended = time;
    task.steps.push(step);
    if (task.steps.length > MOST_STEPS) task.stepsLeftOut += task.steps.splice(0, 1).length;
  }
  if (task.ended) step.ended = time;
  step.percent = percentOf(data);
  step.error ||= data.error === true;
  step.worker = textOf(data.worker) || step.worker;
  step.messages.push({ seq, time, text: textOf(data.message), error: data.error === true, more: moreOf(data) });
  if (step.messages.length > MOST_MESSAGES) step.messagesLeftOut += step.messages.splice(0, 1).length;
}

/** What the publisher told beside what every message has; null for nothing. */
function moreOf(data) {
  const more = Object.entries(data).filter(([name, value]) => !KNOWN.has(name) && value !== null);
  return more.length ? Object.fromEntries(more) : null;
}

/** Whether a task that should be at work has said nothing for long. `heard` is when this page heard of it last. */
export function isSilent({ status, last }, now, heard = 0) {
  return status === "running" && now - Math.max(last, heard) >= SILENT_MS;
}

/** Whether somebody would hear of it: our own runners, and Celery tasks of our base class. */
export const canBeCancelled = ({ ended, managed, executor, status }) => !ended && status !== "unknown" && (managed || executor === "celery");

/** What to call its state. */
export const stateOfTask = (task, now = 0, heard = 0) => (isSilent(task, now, heard) ? "silent" : task.status);

/** What it is about: the beginning of its text, or else what sort of task it is; empty for somebody else's. */
export const nameOfTask = ({ params, type }) => firstLine(textOf(params.text), 160) || labelOfType(type);

/** The steps by attempt, in order: [{attempt, worker, began, steps}]; what came before the first one has 0. */
export function attemptsOf({ steps }) {
  const attempts = [];
  for (const step of steps) {
    if (attempts.at(-1)?.attempt !== step.attempt) attempts.push({ attempt: step.attempt, worker: "", began: step.began, steps: [] });
    const last = attempts.at(-1);
    last.worker ||= step.worker;
    last.steps.push(step);
  }
  return attempts;
}

/** For how many seconds it has been at work, or was. */
export function secondsOfTask({ started, ended }, now) {
  return started ? Math.max(0, ((ended || now) - started) / 1000) : null;
}

/** The tools that were used, each once. */
export const toolsOf = ({ steps }) => [...new Set(steps.map(({ tool }) => tool).filter(Boolean))];

/** In a sentence, for who cannot see: its state and where it is. */
export function wordsOfTask(task, word) {
  const step = task.steps.at(-1);
  return [`${word}.`, task.status === "running" && step ? `${labelOfStep(step.step)}, ${Math.round(task.percent)} %.` : task.error].filter(Boolean).join(" ");
}
