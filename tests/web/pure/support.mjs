// Where the page's modules are, and events to feed them with.

const web = new URL("../../../src/runcast/web/js/", import.meta.url);
export const load = (name) => import(new URL(name, web));

let seq = 0;

/** An event as the server tells it; each has a number and a second of its own. */
export function event(event_id, fields = {}) {
  seq += 1;
  return {
    event_id, event_type: "message", session_id: "s", agent_id: "claude-code", seq, cursor: `c${seq}`,
    timestamp: new Date(Date.UTC(2026, 0, 1, 12, 0, seq)).toISOString(), status: "recorded", cost_tokens: 0, ...fields,
  };
}

export const call = (id, fields) => event(id, { event_type: "tool_call", tool_name: "Bash", status: "started", ...fields });

export const result = (id, fields) =>
  event(`${id}:result`, { event_type: "tool_result", tool_name: "Bash", status: "completed", parent_event_id: id, ...fields });
