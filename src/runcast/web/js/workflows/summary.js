// A workflow in the list: from the server's answer, kept up to date by its events. Pure.

import { count, firstLine } from "../format.js";
import { numberOf, objectOf, textOf } from "../runs/values.js";

/** The events that change what the list says; the many pieces of output do not. */
export const HEARD_TYPES = [
  "workflow_created", "workflow_status", "workflow_progress", "workflow_complete", "workflow_error",
  "agent_spawned", "agent_completed", "approval_requested", "approval_resolved",
];

export function summarise(told) {
  const agents = Array.isArray(told.agents_spawned) ? told.agents_spawned.length : 0;
  return {
    id: told.workflow_id, title: textOf(told.task), status: textOf(told.status),
    created: Date.parse(told.created_at) || 0, touched: Date.parse(told.updated_at ?? told.completed_at ?? told.created_at) || 0,
    agents: numberOf(told.agents_in_all) ?? agents, percent: numberOf(told.progress?.percent), message: textOf(told.progress?.message),
    approvals: Array.isArray(told.approvals) ? told.approvals.length : 0, workflow: textOf(told.workflow), error: textOf(told.error),
  };
}

export function applyToSummary(run, event) {
  const data = objectOf(event.data);
  if (event.type === "workflow_created") {
    Object.assign(run, { title: textOf(data.task), workflow: textOf(data.workflow), status: "pending", agents: 0, approvals: 0, percent: null, message: "", error: "" });
  }
  if (event.type === "workflow_status") run.status = textOf(data.status) || run.status;
  if (event.type === "workflow_progress") {
    run.percent = numberOf(data.percent) ?? run.percent;
    run.message = textOf(data.message) || run.message;
  }
  if (event.type === "agent_spawned") run.agents += 1;
  if (event.type === "approval_requested") run.approvals += 1;
  if (event.type === "approval_resolved") run.approvals = Math.max(0, run.approvals - 1);
  if (event.type === "workflow_complete") run.status = "completed";
  if (event.type === "workflow_error") run.status = data.status === "cancelled" ? "cancelled" : "failed";
}

/** What the list shows of it: {title, state, doing, facts, percent}. */
export function describe(run) {
  const isRunning = run.status === "running";
  const asks = run.approvals > 0 && (isRunning || run.status === "pending");
  return {
    title: firstLine(run.title, 160),
    state: asks ? "approval" : run.status || "unknown",
    doing: isRunning ? run.message : run.status === "failed" ? firstLine(run.error, 120) : "",
    facts: [run.agents ? count(run.agents, "agent") : "", run.workflow].filter(Boolean),
    percent: isRunning ? Math.round(run.percent ?? 0) : null,
  };
}
