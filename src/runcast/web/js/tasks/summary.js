// A task in the list: from the server's answer, kept up to date by its events. Pure.

import { firstLine } from "../format.js";
import { numberOf, objectOf, textOf } from "../runs/values.js";
import { SILENT_MS } from "./state.js";
import { labelOfType } from "./steps.js";

/** The set of steps is open, so all events are heard. */
export const HEARD_TYPES = null;

const STATUSES = { queued: "queued", retrying: "retrying", completed: "completed", failed: "failed" };
const OVER = new Set(["completed", "failed", "cancelled"]);
const SHORT_ID = 8;

export function summarise(told) {
  return {
    id: told.task_id, title: textOf(told.title), type: textOf(told.type), status: textOf(told.status), message: textOf(told.message),
    percent: numberOf(told.percent) ?? 0, attempt: numberOf(told.attempt) ?? 0, most: numberOf(told.max_attempts),
    tool: textOf(told.tool), created: Date.parse(told.created_at) || 0, touched: Date.parse(told.updated_at ?? told.created_at) || 0,
  };
}

export function applyToSummary(run, event) {
  const data = objectOf(event.data);
  if (event.type === "queued") {
    Object.assign(run, { type: textOf(data.task_type) || run.type, title: firstLine(textOf(objectOf(data.params).text), 160) || run.title, attempt: 0, most: numberOf(data.max_attempts) });
  } else if (OVER.has(run.status) || event.type === "task_command") {
    return; // late words of a run that is over; a command changes nothing by itself
  }
  run.status = Object.hasOwn(STATUSES, event.type) ? STATUSES[event.type] : "running";
  run.message = textOf(data.message);
  run.tool = textOf(data.tool);
  run.percent = event.type === "completed" ? 100 : numberOf(data.percent) ?? run.percent;
  if (event.type === "failed" && data.status === "cancelled") run.status = "cancelled";
  if (event.type === "started") {
    run.attempt += 1;
    run.type ||= textOf(data.task_type);
  }
}

/** What the list shows of it: {title, state, doing, facts, percent}. */
export function describe(run, now) {
  const isRunning = run.status === "running";
  const isSilent = isRunning && now - run.touched >= SILENT_MS;
  const id = run.id.length > 20 ? `${run.id.slice(0, SHORT_ID)}…` : run.id;
  const again = run.attempt > 1 ? `attempt ${run.attempt}${run.most ? ` of ${run.most}` : ""}` : "";
  return {
    title: run.title || (run.type ? labelOfType(run.type) : run.id),
    state: isSilent ? "silent" : run.status || "unknown",
    doing: run.status === "completed" || run.status === "queued" ? "" : firstLine(run.message, 140),
    facts: [isRunning ? `${Math.round(run.percent)} %` : "", again, run.title && run.type ? labelOfType(run.type) : "", run.title || run.type ? id : ""].filter(Boolean),
    percent: isRunning ? Math.round(run.percent) : null,
  };
}
