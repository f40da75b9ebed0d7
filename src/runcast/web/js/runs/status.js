// The states that runs, agents and steps have: the word for each, and the tone in which it is drawn. Pure.

import { own } from "./values.js";

const STATES = {
  pending: ["Pending", "idle"],
  waiting: ["Waiting", "idle"],
  ready: ["Ready", "idle"],
  queued: ["Queued", "idle"],
  running: ["Running", "running"],
  retrying: ["Retrying", "warn"],
  silent: ["No word", "warn"],
  review: ["Needs review", "ask"],
  approval: ["Needs approval", "ask"],
  paused: ["Paused", "paused"],
  pausing: ["Pausing", "paused"],
  completed: ["Completed", "done"],
  skipped: ["Skipped", "skipped"],
  failed: ["Failed", "failing"],
  cancelled: ["Cancelled", "ended"],
  unreached: ["Not reached", "ended"],
  unknown: ["Unknown", "idle"],
};
const OVER = new Set(["completed", "failed", "cancelled"]);

/** {word, tone}; a state that nobody has told us of is shown as it is called. */
export function looksOf(state) {
  const [word, tone] = own(STATES, state) ?? [state, "idle"];
  return { word, tone };
}

/** Whether a run in this state will do nothing more by itself. */
export const isOver = (state) => OVER.has(state);
