// The server's endpoints for workflows: to list and begin them, to cancel, to answer what they ask.

import { get, send } from "../api.js";

/** {runs, total}, the newest first. */
export async function listWorkflows({ page, size }) {
  const answer = await get("/api/v1/workflows", { page, page_size: size });
  return { runs: answer.workflows, total: answer.total };
}

/** The workflow that was begun. `asked` is {task, workflow?, max_steps?, parent_workflow_id?}. */
export const startWorkflow = (asked) => send("/api/v1/workflows", asked);

export const readWorkflow = (id) => get(`/api/v1/workflows/${encodeURIComponent(id)}`);

export const cancelWorkflow = (id, reason) =>
  send(`/api/v1/workflows/${encodeURIComponent(id)}/cancel`, reason ? { reason } : {});

export const answerApproval = (id, approved, comment) =>
  send(`/api/v1/approvals/${encodeURIComponent(id)}`, { approved, ...(comment ? { comment } : {}) });

/** What the server can do: its model, its knowledge, the workflows there are. */
export const readSystem = () => get("/api/v1/system/status");
