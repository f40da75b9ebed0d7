// From the forest to rows: what stands under what, what is folded, what a call's state is, and sums. Pure.

import { addTokens, isError, isOpen, keyOf, noTokens, timeOf, tokensOf } from "./events.js";
import { sameDay } from "./format.js";

export const SHOWN_STEPS = 8;
const IDLE_MS = 10 * 60_000;

/**
 * Rows for a list, each {key, type, node, depth, version}; `version` changes whenever it looks different.
 *
 * `view`: {collapsed, unfolded, expanded: Set of keys, certain: whether a call without a result runs, filtered,
 * isMain: whether an event is of the session's own agent}.
 */
export function flatten(roots, view) {
  const rows = [];
  let before = null;
  for (const node of roots) {
    const time = timeOf(node.event);
    const note = before !== null ? separator(before, time, node.key, view) : null;
    if (note) rows.push(note);
    pushNode(rows, node, 0, view);
    before = Math.max(before ?? 0, lastTimeOf(node));
  }
  return rows;
}

function separator(before, time, key, view) {
  const idle = time - before;
  if (idle < IDLE_MS && (idle < 0 || sameDay(before, time))) return null;
  const type = sameDay(before, time) ? "idle" : "day";
  return { key: `${key}\nseparator`, type, idle, time, node: null, depth: 0, filtered: view.filtered, version: `${type}${idle}${view.filtered}` };
}

function pushNode(rows, node, depth, view) {
  const isStranger = depth === 0 && view.isMain !== undefined && !view.isMain(node.event);
  const row = { key: node.key, type: "node", node, depth, isStranger, version: "" };
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
    row.isStranger ? "s" : "",
    node.kind,
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
