// A plan in the list: from the server's answer, kept up to date by its events. Pure.

import { firstLine } from "../format.js";
import { listOf, numberOf, objectOf, own, textOf } from "../runs/values.js";

/** The events that change what the list says; progress and health do not. */
export const HEARD_TYPES = [
  "plan_started", "plan_completed", "plan_failed", "plan_cancelled", "plan_paused", "plan_resumed", "step_started", "step_completed",
  "step_failed", "step_skipped", "step_retrying", "step_added", "step_removed", "review_required", "review_resolved",
];
const PLAN_STATES = {
  plan_started: "running", plan_completed: "completed", plan_failed: "failed", plan_cancelled: "cancelled",
  plan_paused: "paused", plan_resumed: "running",
};

export function summarise(told) {
  const counts = objectOf(told.steps_by_status);
  return {
    id: told.plan_id, title: textOf(told.name) || textOf(told.query), status: textOf(told.status),
    created: Date.parse(told.created_at) || 0, touched: Date.parse(told.updated_at ?? told.created_at) || 0,
    total: numberOf(told.total_steps) ?? 0, done: (counts.completed ?? 0) + (counts.skipped ?? 0), failed: counts.failed ?? 0,
    running: counts.running ?? 0, reviews: counts.review ?? 0, doing: "", error: textOf(told.error),
  };
}

export function applyToSummary(run, event) {
  const data = objectOf(objectOf(event.data).data);
  const step = textOf(objectOf(event.data).step_id);
  run.status = own(PLAN_STATES, event.type) ?? run.status;
  if (event.type === "plan_started") {
    const total = listOf(data.steps).length || numberOf(data.total_steps) || 0;
    Object.assign(run, { title: textOf(data.name) || textOf(data.query), total, done: 0, failed: 0, running: 0, reviews: 0, doing: "", error: "" });
  }
  if (event.type === "step_started") Object.assign(run, { running: run.running + 1, doing: textOf(data.name) || step });
  if (event.type === "step_added") run.total += 1;
  if (event.type === "step_removed") run.total = Math.max(0, run.total - 1);
  if (["step_completed", "step_failed", "review_required"].includes(event.type)) run.running = Math.max(0, run.running - 1);
  if (["step_completed", "step_skipped"].includes(event.type)) run.done = Math.min(run.total, run.done + 1);
  if (event.type === "step_failed" && data.will_retry !== true) run.failed += 1;
  if (event.type === "review_required") run.reviews += 1;
  if (event.type === "review_resolved") run.reviews = Math.max(0, run.reviews - 1);
}

/** What the list shows of it: {title, state, doing, facts, percent}. */
export function describe(run) {
  const isOpen = run.status === "running" || run.status === "paused";
  return {
    title: firstLine(run.title, 160),
    state: isOpen && run.reviews ? "review" : run.status || "unknown",
    doing: run.status === "running" ? run.doing : run.status === "failed" ? firstLine(run.error, 120) : "",
    facts: [run.total ? `${run.done} of ${run.total} steps` : "", run.failed ? `${run.failed} failed` : ""].filter(Boolean),
    percent: isOpen && run.total ? Math.round((run.done / run.total) * 100) : null,
  };
}
