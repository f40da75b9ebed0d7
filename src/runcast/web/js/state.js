// From events to rows: a call with its result, a subagent under the call that started it, usage as a note
// on what it paid for. Pure: the same events give the same rows, whichever page they came with.

import {
  MAIN_AGENT, addTokens, isError, isOpen, keyOf, kindOf, noTokens, timeOf, tokensOf,
} from "./events.js";
import { sameDay } from "./format.js";

export const SHOWN_STEPS = 8;
const IDLE_MS = 10 * 60_000;
const MAX_LINKS = 5_000;

/** What is remembered beyond the loaded events: which call started which agent. */
export class Links {
  #callOf = new Map();

  learn(session, agent, call) {
    const name = `${session}\n${agent}`;
    if (this.#callOf.has(name)) return;
    if (this.#callOf.size >= MAX_LINKS) this.#callOf.delete(this.#callOf.keys().next().value);
    this.#callOf.set(name, call);
  }

  callOf(session, agent) {
    return this.#callOf.get(`${session}\n${agent}`);
  }
}

/** Nodes of a forest, by order of their first event. */
export function buildForest(events, links = new Links()) {
  const forest = new Forest(links);
  for (const event of events) forest.add(event);
  return forest.roots;
}

class Forest {
  constructor(links) {
    this.links = links;
    this.roots = [];
    this.nodes = new Map();
    this.waiting = new Map(); // results that came before their call
    this.groups = new Map();
    this.last = new Map(); // by agent: what a usage event is about
  }

  add(event) {
    const kind = kindOf(event);
    const parent = event.parent_event_id ? this.nodes.get(`${event.session_id}\n${event.parent_event_id}`) : undefined;
    if (kind === "usage") return this.addUsage(event);
    if (kind === "result" || (kind === "error" && event.tool_name)) return this.addResult(event, parent);
    if (kind === "delegation") return this.addDelegation(event, parent);
    if (parent?.kind === "call" && event.agent_id !== parent.event.agent_id) this.link(event, event.parent_event_id);
    this.place(this.node(event, kind));
  }

  node(event, kind) {
    const node = makeNode(keyOf(event), kind, event);
    this.nodes.set(node.key, node);
    if (kind === "call") {
      const result = this.waiting.get(node.key);
      if (result) {
        node.result = result.event;
        remove(result);
      }
      this.adoptGroup(node);
    }
    return node;
  }

  /** A group that stood for this call, which was not there yet, becomes the call's own children. */
  adoptGroup(node) {
    const group = this.groups.get(node.key);
    if (!group || group === node) return;
    this.groups.set(node.key, node);
    node.children = group.children;
    for (const child of node.children) child.siblings = node.children;
    remove(group);
  }

  addUsage(event) {
    const id = event.event_id.replace(/:usage$/, "");
    const payer = this.nodes.get(`${event.session_id}\n${id}`) ?? this.last.get(agentKey(event));
    if (payer) payer.usage.push(event);
    else this.place(this.node(event, "usage"));
  }

  addResult(event, call) {
    if (call?.kind === "call" && !call.result) {
      call.result = event;
      return;
    }
    const node = this.node(event, event.tool_name ? "result" : "error");
    if (event.parent_event_id) this.waiting.set(`${event.session_id}\n${event.parent_event_id}`, node);
    this.place(node);
  }

  addDelegation(event, call) {
    if (event.parent_event_id && event.agent_id) this.link(event, event.parent_event_id);
    if (call?.kind === "call") call.delegation = event;
    else this.place(this.node(event, "delegation"));
  }

  link(event, callId) {
    this.links.learn(event.session_id, event.agent_id, callId);
  }

  place(node) {
    const home = this.homeOf(node.event);
    node.siblings = home;
    home.push(node);
    if (node.kind !== "alert") this.last.set(agentKey(node.event), node);
  }

  homeOf(event) {
    const callId = this.links.callOf(event.session_id, event.agent_id);
    if (callId === undefined && !isSubagent(event)) return this.roots;
    const key = `${event.session_id}\n${callId ?? `agent:${event.agent_id}`}`;
    const call = this.nodes.get(key);
    if (call && call.event !== event && call.event.agent_id !== event.agent_id) return call.children;
    let group = this.groups.get(key);
    if (!group) {
      group = makeNode(`${key}\ngroup`, "group", event);
      this.groups.set(key, group);
      group.siblings = this.roots;
      this.roots.push(group);
    }
    return group.children;
  }
}

function makeNode(key, kind, event) {
  return { key, kind, event, result: null, delegation: null, usage: [], children: [], siblings: null };
}

function remove(node) {
  const at = node.siblings.indexOf(node);
  if (at >= 0) node.siblings.splice(at, 1);
}

const agentKey = (event) => `${event.session_id}\n${event.agent_id}`;

/** An agent known to be somebody's, though the call that started it is not loaded. */
function isSubagent(event) {
  if (event.agent_id === MAIN_AGENT) return false;
  return typeof event.agent_type === "string" || event.source === "transcript" || event.source === "hook";
}

/**
 * Rows for a list, each {key, type, node, depth, version}; `version` changes whenever it looks different.
 *
 * `view`: {collapsed, unfolded, expanded: Set of keys, certain: whether a call without a result runs, now: ms
 * (of the last event known, for separators only)}.
 */
export function flatten(roots, view) {
  const rows = [];
  let before = null;
  for (const node of roots) {
    const time = timeOf(node.event);
    const note = before !== null ? separator(before, time, node.key) : null;
    if (note) rows.push(note);
    pushNode(rows, node, 0, view);
    before = Math.max(before ?? 0, lastTimeOf(node));
  }
  return rows;
}

function separator(before, time, key) {
  const idle = time - before;
  if (idle < IDLE_MS && (idle < 0 || sameDay(before, time))) return null;
  const type = sameDay(before, time) ? "idle" : "day";
  return { key: `${key}\nseparator`, type, idle, time, node: null, depth: 0, version: `${type}${idle}` };
}

function pushNode(rows, node, depth, view) {
  const row = { key: node.key, type: "node", node, depth, version: "" };
  rows.push(row);
  if (node.children.length) pushChildren(rows, node, depth, view);
  row.version = versionOf(row, view);
}

function pushChildren(rows, node, depth, view) {
  if (view.collapsed.has(node.key)) return;
  const all = node.children;
  const folded = all.length > SHOWN_STEPS + 2 && !view.unfolded.has(node.key) ? all.length - SHOWN_STEPS : 0;
  if (folded) {
    rows.push({ key: `${node.key}\nfold`, type: "fold", node, folded, depth: depth + 1, version: String(folded) });
  }
  for (const child of folded ? all.slice(folded) : all) pushNode(rows, child, depth + 1, view);
}

function versionOf(row, view) {
  const { node } = row;
  const last = node.children.at(-1);
  return [
    row.depth,
    node.result ? node.result.seq : "",
    node.delegation ? 1 : 0,
    node.usage.length,
    node.children.length ? `${countEvents(node)}${last.key}${last.result ? 1 : 0}` : "",
    view.expanded.has(node.key) ? "x" : "",
    view.collapsed.has(node.key) ? "c" : "",
    stateOf(node, view),
  ].join("|");
}

/** "running" | "error" | "done" | "unknown" (its result is not loaded) */
export function stateOf(node, view) {
  if (node.kind === "result" || node.kind === "error") return isError(node.event) ? "error" : "done";
  if (node.kind !== "call") return isError(node.event) ? "error" : "done";
  if (node.result) return isError(node.result) ? "error" : "done";
  if (isError(node.event)) return "error";
  if (!isOpen(node.event)) return "done";
  return view.certain && !view.ended?.has(node.event.session_id) ? "running" : "unknown";
}

/** Seconds that a call took, or null. */
export function secondsOf(node) {
  for (const event of [node.result, node.event]) {
    const told = event?.execution_duration_seconds;
    if (typeof told === "number" && told > 0) return told;
  }
  return node.result ? Math.max(0, (timeOf(node.result) - timeOf(node.event)) / 1000) : null;
}

/** What a node cost by itself: its own events, and the usage noted on it. */
export function ownTokens(node) {
  const sum = addTokens(noTokens(), tokensOf(node.event));
  if (node.result) addTokens(sum, tokensOf(node.result));
  for (const event of node.usage) addTokens(sum, tokensOf(event));
  return sum;
}

/** What is under a node, added up: {steps, tools, errors, tokens, last: node}. */
export function summaryOf(node) {
  const sum = { steps: 0, tools: 0, errors: 0, tokens: noTokens(), last: null };
  for (const child of node.children) visit(child, sum);
  return sum;
}

function visit(node, sum) {
  sum.steps += 1;
  if (node.kind === "call") sum.tools += 1;
  if (isError(node.result ?? node.event)) sum.errors += 1;
  addTokens(sum.tokens, ownTokens(node));
  if (!sum.last || timeOf(node.event) >= timeOf(sum.last.event)) sum.last = node;
  for (const child of node.children) visit(child, sum);
}

function countEvents(node) {
  let sum = 0;
  for (const child of node.children) {
    sum += 1 + (child.result ? 1 : 0) + child.usage.length + (child.children.length ? countEvents(child) : 0);
  }
  return sum;
}

function lastTimeOf(node) {
  let last = timeOf(node.result ?? node.event);
  for (const child of node.children) last = Math.max(last, lastTimeOf(child));
  return last;
}

/** The keys of the nodes that a node stands under, so that it can be shown. */
export function pathTo(roots, key) {
  for (const node of roots) {
    if (node.key === key || keysOf(node).includes(key)) return [node.key];
    const below = node.children.length ? pathTo(node.children, key) : null;
    if (below) return [node.key, ...below];
  }
  return null;
}

function keysOf(node) {
  return [node.result, node.delegation, ...node.usage].filter(Boolean).map(keyOf);
}
