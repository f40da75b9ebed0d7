// What somebody may ask of a plan or a step in the state it is in; the server has the last word. Pure.

import { stateOfStep } from "./state.js";

const OVER = new Set(["completed", "failed", "cancelled"]);

/** The commands that make sense for a plan: [{command, label, icon, tone?}]. Somebody else's plan takes none. */
export function planCommands(plan) {
  if (!plan.managed || OVER.has(plan.status)) return [];
  const turn = plan.status === "paused"
    ? { command: "resume", label: "Resume", icon: "play" }
    : { command: "pause", label: "Pause", icon: "pause" };
  return [turn, { command: "cancel", label: "Cancel", icon: "close", tone: "danger" }];
}

/** Those for a step. A failed plan goes on when a step of it is retried or skipped. */
export function stepCommands(plan, step) {
  const state = stateOfStep(plan, step);
  if (!plan.managed || plan.status === "completed" || plan.status === "cancelled") return [];
  const hasBegun = step.attempt > 0 || step.state !== "waiting";
  const commands = [];
  if (hasBegun && state !== "running") commands.push({ command: "retry", label: labelOfRetry(state), icon: "retry" });
  if (state !== "completed" && state !== "skipped") commands.push({ command: "skip", label: "Skip", icon: "skip" });
  if (!hasBegun && !OVER.has(plan.status)) commands.push({ command: "remove", label: "Remove", icon: "trash", tone: "danger" });
  return commands;
}

function labelOfRetry(state) {
  if (state === "failed") return "Retry";
  return state === "retrying" ? "Retry now" : "Run again";
}
