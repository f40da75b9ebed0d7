// The feed's filter as a value: from and to the address, to the server, and as chips. Pure.
//
// A filter is {types, tools, statuses, agents, features: string[], cost: number}. All but `agents` go to the
// server, which applies them to history and live alike; agents are looked at here, on both, too.

export const LISTS = { types: "type", tools: "tool", statuses: "status", agents: "agent", features: "feature" };

export const NO_FILTER = Object.freeze({ types: [], tools: [], statuses: [], agents: [], features: [], cost: 0 });

/** What is chosen together: a call is not told without its result. */
const TOGETHER = { tool_call: ["tool_call", "tool_result", "error", "usage"] };

export function isEmpty(filter) {
  return !filter.cost && Object.keys(LISTS).every((name) => !filter[name].length);
}

export function sameFilter(a, b) {
  return JSON.stringify(toQuery(a)) === JSON.stringify(toQuery(b));
}

/** The filter as the server reads it, or null for all events. */
export function toServer(filter) {
  const wanted = {};
  if (filter.types.length) wanted.event_types = [...new Set(filter.types.flatMap((type) => TOGETHER[type] ?? [type]))];
  if (filter.tools.length) wanted.tool_names = filter.tools;
  if (filter.statuses.length) wanted.statuses = filter.statuses;
  if (filter.features.length) wanted.feature_ids = filter.features;
  if (filter.cost) wanted.cost_threshold_tokens = filter.cost;
  return Object.keys(wanted).length ? wanted : null;
}

/** The rest of the filter, that the server does not know. */
export function passesHere(filter, event) {
  return !filter.agents.length || filter.agents.includes(event.agent_id);
}

/** Whether results may be left out: then a call without one says nothing. */
export function hidesResults(filter) {
  const types = toServer(filter)?.event_types;
  return Boolean((types && !types.includes("tool_result")) || filter.statuses.length || filter.cost);
}

export function toggle(filter, name, value) {
  const list = filter[name];
  return { ...filter, [name]: list.includes(value) ? list.filter((one) => one !== value) : [...list, value] };
}

/** As [name, value] pairs of the address; a list is one value, with commas. */
export function toQuery(filter) {
  const pairs = Object.entries(LISTS)
    .filter(([name]) => filter[name].length)
    .map(([name, param]) => [param, filter[name].map(escapeComma).join(",")]);
  return filter.cost ? [...pairs, ["cost", String(filter.cost)]] : pairs;
}

export function fromQuery(query) {
  const filter = { ...NO_FILTER };
  for (const [name, param] of Object.entries(LISTS)) {
    filter[name] = splitCommas(query.get(param) ?? "").slice(0, 100);
  }
  const cost = Number.parseInt(query.get("cost") ?? "", 10);
  filter.cost = cost > 0 && Number.isSafeInteger(cost) ? cost : 0;
  return filter;
}

function escapeComma(text) {
  return text.replaceAll("\\", "\\\\").replaceAll(",", "\\,");
}

function splitCommas(text) {
  const found = text.match(/(?:\\.|[^,\\])+/gs) ?? [];
  return found.map((one) => one.replace(/\\(.)/gs, "$1"));
}
