// The list of sessions: what is known of each, kept up to date by the events of all of them. Pure.

import { isErrorStatus, isOpen, kindOf, timeOf, tokensOf } from "./events.js";

const ACTIVE_MS = 60_000;
const STALLED_MS = 30 * 60_000;
const FAILING_MS = 15 * 60_000;

/** A session of the list from what the server says of it. */
export function fromServer(told) {
  const summary = told.summary ?? {};
  const tokens = summary.tokens ?? {};
  return {
    id: told.session_id,
    epoch: told.epoch,
    title: summary.title ?? null,
    agent: summary.agent ?? null,
    model: summary.model ?? null,
    cwd: summary.cwd ?? null,
    events: summary.events ?? told.events ?? told.head ?? 0,
    errors: summary.errors ?? 0,
    calls: summary.tool_calls ?? 0,
    subagents: summary.subagents ?? 0,
    tokens: tokens.cost_tokens ?? 0,
    usage: tokens,
    usd: summary.cost_usd ?? 0,
    running: summary.running ?? 0,
    lastTool: summary.last_tool ?? null,
    lastType: summary.last_event_type ?? null,
    lastStatus: summary.last_status ?? null,
    first: Date.parse(summary.first_time ?? told.created ?? told.started_at ?? "") || null,
    last: Date.parse(summary.last_time ?? told.updated ?? told.last_event_at ?? "") || 0,
    touched: Date.parse(told.updated ?? told.last_event_at ?? "") || 0,
    ended: Boolean(told.ended),
    seq: told.head ?? told.events ?? 0,
    watchers: told.live_subscribers ?? told.connected_clients ?? 0,
  };
}

/** Count one live event; `now` is when it came (ms). Returns whether the session was known to it. */
export function applyEvent(session, event, now) {
  if (event.seq <= session.seq) return;
  const kind = kindOf(event);
  session.seq = event.seq;
  session.events += 1;
  session.touched = now;
  session.last = Math.max(session.last, timeOf(event));
  if (event.event_type === "error" || isErrorStatus(event.status)) session.errors += 1;
  if (kind === "call") session.calls += 1;
  if (isOpen(event)) session.running += 1;
  if (kind === "result" || (kind === "error" && event.tool_name)) session.running = Math.max(0, session.running - 1);
  if (kind === "usage" ? event.event_type === "usage" : true) session.tokens += tokensOf(event).out;
  session.usd += tokensOf(event).usd;
  session.lastType = event.event_type;
  session.lastStatus = event.status ?? session.lastStatus;
  session.lastTool = event.tool_name ?? session.lastTool;
  session.model = event.model ?? session.model;
  session.title = session.title ?? event.title ?? null;
}

/** "running" | "idle" | "ended" | "failing" */
export function stateOfSession(session, now) {
  const quiet = now - session.last;
  if (session.ended || session.lastType === "end" || session.lastType === "session_end") return "ended";
  if (quiet < FAILING_MS && (session.lastType === "error" || isErrorStatus(session.lastStatus))) return "failing";
  if (session.running > 0 && quiet < STALLED_MS) return "running";
  return quiet < ACTIVE_MS ? "running" : "idle";
}

export function nameOf(session) {
  return session.title || session.id;
}

/** Newest activity first. */
export function byActivity(a, b) {
  return b.last - a.last || b.touched - a.touched || (a.id < b.id ? -1 : 1);
}

/** Whether a session is what somebody types for. */
export function matchesSearch(session, words) {
  const text = [session.id, session.title, session.agent, session.model, session.cwd, session.lastTool]
    .filter(Boolean).join("\n").toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
