// What one event is, in words and numbers: its kind, its one-line title, its tokens. Pure.

import { firstLine, shortPath } from "./format.js";

export const MAIN_AGENT = "claude-code";

const KINDS = {
  tool_call: "call",
  tool_result: "result",
  user_prompt: "prompt",
  message: "message",
  completion: "message",
  thinking: "thinking",
  start: "start",
  session_start: "start",
  end: "end",
  session_end: "end",
  delegation: "delegation",
  task_delegation: "delegation",
  usage: "usage",
  api_request: "usage",
  cost_alert: "alert",
  bottleneck: "alert",
  error: "error",
  gap: "gap",
};
const ERROR_STATUSES = new Set(["error", "failed", "timeout"]);
const OPEN_STATUSES = new Set(["started", "running", "in_progress", "pending"]);

const ICONS = {
  Bash: "terminal", BashOutput: "terminal", KillShell: "terminal", PowerShell: "terminal",
  Read: "file", NotebookRead: "file", Write: "pencil", Edit: "pencil", MultiEdit: "pencil", NotebookEdit: "pencil",
  Grep: "search", Glob: "search", LS: "search", ToolSearch: "search", WebFetch: "globe", WebSearch: "globe",
  Task: "agent", Agent: "agent", TaskOutput: "agent", TodoWrite: "list", TaskCreate: "list", TaskUpdate: "list",
};

export function kindOf(event) {
  const kind = KINDS[event.event_type] ?? "note";
  return kind === "prompt" && tagOf(event) ? "note" : kind;
}

/** The name of the tag that a prompt is wrapped in, if a program wrote it, and no person. */
export function tagOf(event) {
  return /^\s*<([a-z]+-[a-z-]{1,40})>/.exec(text(event.input_summary).slice(0, 80))?.[1] ?? null;
}

export const isError = (event) => event.event_type === "error" || ERROR_STATUSES.has(event.status);
export const isErrorStatus = (status) => ERROR_STATUSES.has(status);
export const isOpen = (event) => event.event_type === "tool_call" && OPEN_STATUSES.has(event.status);
export const keyOf = (event) => `${event.session_id}\n${event.event_id}`;
export const iconOfTool = (tool) => ICONS[tool] ?? (tool?.startsWith("mcp__") ? "plug" : "tool");

const times = new WeakMap();

/** When, in milliseconds since 1970. */
export function timeOf(event) {
  let time = times.get(event);
  if (time === undefined) times.set(event, (time = Date.parse(event.timestamp) || 0));
  return time;
}

/** What an event cost: {out, input, cacheRead, cacheWrite, usd}. */
export function tokensOf(event) {
  const usage = isObject(event.usage) ? event.usage : {};
  return {
    out: amount(event.cost_tokens) || amount(usage.output_tokens),
    input: amount(usage.input_tokens),
    cacheRead: amount(usage.cache_read_input_tokens),
    cacheWrite: amount(usage.cache_creation_input_tokens),
    usd: amount(event.cost_usd),
  };
}

export function addTokens(sum, more) {
  for (const name of Object.keys(sum)) sum[name] += more[name];
  return sum;
}

export const noTokens = () => ({ out: 0, input: 0, cacheRead: 0, cacheWrite: 0, usd: 0 });

function amount(value) {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : 0;
}

const inputs = new WeakMap();

/** A call's input as an object, where it is one; else null. */
export function inputOf(event) {
  let input = inputs.get(event);
  if (input === undefined) inputs.set(event, (input = parseInput(event)));
  return input;
}

function parseInput(event) {
  if (isObject(event.tool_input)) return event.tool_input;
  const text = event.input_summary;
  if (typeof text !== "string" || !text.startsWith("{")) return null;
  try {
    const value = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return salvage(text);
  }
}

/** The first fields of a JSON object that was cut somewhere. */
function salvage(text) {
  const found = {};
  for (const [, name, value] of text.matchAll(/"(\w{1,40})": ?"((?:[^"\\]|\\.)*)"?/g)) {
    found[name] ??= unescape(value);
  }
  return Object.keys(found).length ? found : null;
}

function unescape(text) {
  try {
    return JSON.parse(`"${text.replace(/\\u?[0-9a-fA-F]{0,3}$/, "")}"`);
  } catch {
    return text;
  }
}

/** A tool's name for people: "mcp__github__get_issue" -> "github · get_issue". */
export function toolLabel(tool) {
  if (!tool) return "tool";
  const mcp = /^mcp__(.+?)__(.+)$/.exec(tool);
  return mcp ? `${mcp[1]} · ${mcp[2]}` : tool;
}

const TITLES = {
  Bash: (i) => i.command,
  Read: (i) => i.file_path && shortPath(i.file_path) + lines(i),
  Write: (i) => i.file_path && shortPath(i.file_path),
  Edit: (i) => i.file_path && shortPath(i.file_path),
  MultiEdit: (i) => i.file_path && shortPath(i.file_path),
  Grep: (i) => i.pattern && i.pattern + (i.path ? `  in ${shortPath(i.path)}` : ""),
  Glob: (i) => i.pattern && i.pattern + (i.path ? `  in ${shortPath(i.path)}` : ""),
  WebFetch: (i) => i.url,
  WebSearch: (i) => i.query,
  Task: (i) => i.description ?? i.prompt,
  Agent: (i) => i.description ?? i.prompt,
  TodoWrite: (i) => Array.isArray(i.todos) && todoTitle(i.todos),
  Skill: (i) => i.skill,
  ExitPlanMode: (i) => i.plan,
};
const SALIENT = ["description", "command", "file_path", "path", "query", "pattern", "url", "prompt", "name", "title", "id"];

const titles = new WeakMap();

/** The one line that says what a call does. */
export function titleOfCall(event) {
  let title = titles.get(event);
  if (title === undefined) titles.set(event, (title = makeTitle(event)));
  return title;
}

function makeTitle(event) {
  const input = inputOf(event);
  if (!input) return firstLine(text(event.input_summary) || text(event.output_summary));
  const known = TITLES[event.tool_name]?.(input);
  const name = SALIENT.find((one) => typeof input[one] === "string" && input[one]);
  const other = name ? input[name] : Object.values(input).find((one) => typeof one === "string" && one);
  return firstLine(text(known) || text(other));
}

function lines(input) {
  if (!Number.isInteger(input.offset)) return "";
  return Number.isInteger(input.limit) ? `:${input.offset}–${input.offset + input.limit - 1}` : `:${input.offset}`;
}

function todoTitle(todos) {
  const done = todos.filter((one) => one?.status === "completed").length;
  const now = todos.find((one) => one?.status === "in_progress");
  return `${done} of ${todos.length} done${now ? `, now: ${now.activeForm ?? now.content ?? ""}` : ""}`;
}

/** What an event says, whole: its input or output, whichever it has. */
export function textOf(event) {
  return text(event.output_summary) || text(event.input_summary) || text(event.message) || text(event.title);
}

export function text(value) {
  return typeof value === "string" ? value : "";
}

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** "turn_duration" -> "Turn duration". */
export function typeLabel(type) {
  const words = type.replace(/[_.-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
