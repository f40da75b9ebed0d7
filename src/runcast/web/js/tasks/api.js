// The server's endpoints for tasks: to list, begin and cancel them, and to read what one was begun with.

import { get, send } from "../api.js";
import { objectOf } from "../runs/values.js";

/** {runs, total}, the newest first. */
export async function listTasks({ page, size }) {
  const answer = await get("/api/v1/tasks", { page, page_size: size });
  return { runs: answer.tasks, total: answer.total };
}

/** The task that was begun: {task_id, …}. `asked` is {type, …} with the parameters of its type. */
export const startTask = (asked) => send("/api/v1/tasks", asked);

export const cancelTask = (id, reason) => send(`/api/v1/tasks/${encodeURIComponent(id)}/cancel`, reason ? { reason } : {});

/** {type, params} as a task was begun with them; empty for one that somebody else has begun. */
export async function readBeginning(id) {
  const { events } = await get(`/api/v1/streams/${encodeURIComponent(`task:${id}`)}/events`, { after: "start", limit: 1 });
  const { task_type: type, params } = objectOf(events[0]?.data);
  return { type: typeof type === "string" ? type : "", params: objectOf(params) };
}
