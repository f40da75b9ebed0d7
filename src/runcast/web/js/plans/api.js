// The server's endpoints for plans: to list and begin them, and to give commands to them and their steps.

import { get, send } from "../api.js";

const plan = (id) => `/api/v1/plans/${encodeURIComponent(id)}`;
const step = (id, name) => `${plan(id)}/steps/${encodeURIComponent(name)}`;

/** {runs, total}, the newest first. */
export async function listPlans({ page, size }) {
  const answer = await get("/api/v1/plans", { page, page_size: size });
  return { runs: answer.plans, total: answer.total };
}

/** The plan that was begun, by its definition. */
export const startPlan = (definition) => send("/api/v1/plans", definition);

export const readPlan = (id) => get(plan(id));

/** `command` is pause, resume or cancel. */
export const commandPlan = (id, command, reason) => send(`${plan(id)}/${command}`, reason ? { reason } : {});

/** `command` is retry, skip or remove. */
export function commandStep(id, name, command, reason) {
  if (command === "remove") return send(step(id, name), {}, "DELETE");
  return send(`${step(id, name)}/${command}`, reason ? { reason } : {});
}

export const reviewStep = (id, gate, approved, comment) =>
  send(`${plan(id)}/review/${encodeURIComponent(gate)}`, { approved, ...(comment ? { comment } : {}) });

export const addStep = (id, definition) => send(`${plan(id)}/steps`, definition);
