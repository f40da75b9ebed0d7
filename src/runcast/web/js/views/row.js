// One row of the feed: made from a node of the forest; what opens in it is `details.js`'s.

import { bdi, el, icon } from "../dom.js";
import {
  iconOfTool, isError, kindOf, tagOf, text, textOf, timeOf, titleOfCall, toolLabel, typeLabel,
} from "../events.js";
import { clock, compact, count, day, duration, firstLine, moment, usd, whole } from "../format.js";
import { plain } from "../markdown.js";
import { ownTokens, secondsOf, stateOf, summaryOf } from "../state.js";
import { details } from "./details.js";

const SLOW_S = 30;
const CLAMP_CHARS = 700; // no more of a text than the few lines that are shown

/** How high a row is, about, before it is measured. */
export function guessHeight(row, width) {
  if (row.type === "fold") return 28;
  if (row.type !== "node") return 40;
  const { node } = row;
  if (node.kind === "alert") return 50;
  if (["prompt", "message", "thinking", "note"].includes(node.kind)) {
    const said = readable(node.event);
    const perLine = Math.max(20, (width - 220) / 7);
    const lines = said.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / perLine)), 0);
    return 12 + 21 * Math.max(1, Math.min(node.kind === "prompt" || node.kind === "message" ? 4 : 2, lines));
  }
  return isError(node.result ?? node.event) || node.children.length ? 51 : 32;
}

export function makeRow() {
  return el("article.row", { tabindex: -1, "aria-setsize": -1 });
}

/** Put into `article` what the row is now. */
export function fillRow(article, row, view) {
  article.className = "row";
  article.style.setProperty("--depth", String(Math.min(row.depth, 4)));
  article.dataset.depth = String(row.depth);
  article.dataset.key = row.key;
  if (row.type === "fold") article.replaceChildren(foldLine(row));
  else if (row.type !== "node") article.replaceChildren(between(row));
  else fillNode(article, row, view);
}

function foldLine(row) {
  const label = `Show ${count(row.folded, "earlier step")}`;
  return el("div.fold", el("button", { type: "button", "data-act": "unfold" }, label));
}

function between(row) {
  const idle = duration(row.idle / 1000);
  const words = row.filtered ? `no matching events for ${idle}` : `${idle} without activity`;
  return el("div.between", el("span", row.type === "day" ? day(row.time) : words));
}

function fillNode(article, row, view) {
  const { node } = row;
  const open = view.expanded.has(node.key);
  const state = stateOf(node, view);
  const parts = describe(node, state, view);
  article.classList.add(`k-${node.kind}`, state);
  article.classList.toggle("bad", state === "error" || node.kind === "error");
  article.classList.toggle("open", open);
  article.classList.toggle("parent", node.children.length > 0);
  article.classList.toggle("focused", node.key === view.focused);
  article.setAttribute("aria-label", parts.label);
  const head = el("div.row-head",
    el("time.row-time", { datetime: node.event.timestamp, title: moment(timeOf(node.event)) }, clock(timeOf(node.event))),
    el("span.row-icon", icon(parts.icon)),
    el("div.row-main", parts.main),
    el("div.row-side", sideOf(row, state, view)),
    moreButton(open),
  );
  article.replaceChildren(head, ...(open ? [details(node, state, view)] : []));
}

function moreButton(open) {
  return el("button.row-more", {
    type: "button", tabindex: -1, "data-act": "toggle", "aria-expanded": String(open), "aria-label": "Details",
  }, icon("chevron", 14));
}

/** {icon, main: elements, label: for screen readers} */
function describe(node, state, view) {
  if (node.kind === "call" || node.kind === "result") return describeCall(node, state, view);
  if (node.kind === "error" && node.event.tool_name) return describeCall(node, state, view);
  if (node.kind === "group" || node.kind === "delegation") return describeGroup(node, view);
  return describeText(node);
}

function describeCall(node, state, view) {
  const { event } = node;
  const name = toolLabel(event.tool_name);
  const failure = state === "error" ? failureLine(textOf(node.result ?? event)) : "";
  const isCall = node.kind === "call";
  const title = isCall ? titleOfCall(event) : failure || `result: ${firstLine(text(event.output_summary))}`;
  const main = [titleLine(name, title)];
  if (node.children.length) main.push(stepsLine(node, state, view));
  if (failure && isCall) main.push(el("div.row-under.bad", bdi(failure)));
  const how = { running: "running", error: "failed", done: "done", unknown: "" }[state];
  const label = [name, firstLine(title, 120), how, isCall && failure && firstLine(failure, 160)].filter(Boolean).join(", ");
  return { icon: node.kind === "error" ? "error" : iconOfTool(event.tool_name), main, label };
}

/** What went wrong in one line: with an exit code, what was said besides. */
function failureLine(said) {
  const [first, ...more] = said.split("\n", 12).map((line) => line.trim()).filter(Boolean);
  return first ? firstLine(/^exit code \d+$/i.test(first) && more.length ? `${first}: ${more[0]}` : first) : "";
}

function titleLine(name, what, prose = false) {
  return el("div.row-title", bdi(name, "row-name"), what ? bdi(what, prose ? "row-what prose" : "row-what") : null);
}

function describeGroup(node, view) {
  const { event } = node;
  const name = typeof event.agent_type === "string" ? event.agent_type : "Subagent";
  const told = plain(text(event.title) || textOf(event));
  const what = node.kind === "delegation" ? firstLine(told) : view.filtered ? "" : "began earlier";
  return {
    icon: "agent",
    main: [titleLine(name, what, true), node.children.length ? stepsLine(node, "done", view) : null],
    label: [name, what].filter(Boolean).join(", "),
  };
}

function stepsLine(node, state, view) {
  const { steps, errors, tokens, last } = summaryOf(node);
  const words = [count(steps, "step"), errors ? count(errors, "error") : null, tokens.out ? `${compact(tokens.out)} tokens` : null];
  const now = state === "running" && last ? ` · now ${toolLabel(last.event.tool_name ?? last.event.event_type)}` : "";
  const hidden = view.collapsed.has(node.key);
  return el(`div.row-under${state === "running" ? ".live" : ""}`,
    el("button.fold-steps", { type: "button", tabindex: -1, "data-act": "collapse", "aria-expanded": String(!hidden) },
      `${words.filter(Boolean).join(" · ")}${now}`, icon(hidden ? "chevron" : "down", 12)),
  );
}

const TEXT_ICONS = { prompt: "prompt", message: "message", thinking: "thinking", error: "error", start: "start", end: "end", usage: "usage", gap: "alert" };

function describeText(node) {
  const { event, kind } = node;
  const said = readable(event);
  const name = nameOfText(event, kind);
  const main = [];
  if (kind === "alert") main.push(el("div.row-name", name), el("div.row-text", bdi(said || alertWords(event))));
  else if (name && said) main.push(titleLine(name, said, true));
  else main.push(said ? el("div.row-text", { dir: "auto" }, bdi(said)) : el("div.row-title", el("span.row-what.prose", name || typeLabel(event.event_type))));
  const who = { prompt: "Prompt", message: "Message", thinking: "Thinking" }[kind] ?? name;
  const iconName = event.event_type === "bottleneck" ? "clock" : kind === "alert" ? "alert" : TEXT_ICONS[kind] ?? "note";
  return { icon: iconName, main, label: `${who || typeLabel(event.event_type)}: ${firstLine(said, 200)}` };
}

const readables = new WeakMap();

/** The beginning of a text, without marks, for the few lines it gets. */
function readable(event) {
  let said = readables.get(event);
  if (said === undefined) {
    said = plain(textOf(event)).slice(0, CLAMP_CHARS).trim().replace(/\n\s*\n/g, "\n");
    readables.set(event, said);
  }
  return said;
}

function nameOfText(event, kind) {
  if (["prompt", "message", "thinking"].includes(kind)) return "";
  if (event.event_type === "cost_alert") return "Token budget";
  if (event.event_type === "bottleneck") return `Slow call${event.tool_name ? `: ${toolLabel(event.tool_name)}` : ""}`;
  const tag = tagOf(event);
  return tag?.startsWith("command-") ? "Command" : typeLabel(tag ?? event.event_type);
}

function alertWords(event) {
  if (event.event_type === "cost_alert") return `${event.percent ?? "Part"} % of the session's token budget is spent.`;
  return `${toolLabel(event.tool_name)} takes longer than it usually does.`;
}

/** What stands at the right: the session where there are several, the agent, tokens, how long. */
function sideOf({ node, isStranger }, state, view) {
  const { event } = node;
  return [
    view.session === null ? bdi(view.nameOf(event.session_id), "tag") : null,
    isStranger ? bdi(event.agent_id, "tag agent") : null,
    state === "error" ? el("span.failed", "failed") : null,
    state === "running" ? el("span.spinner", { "aria-hidden": "true" }) : null,
    spentNote(node),
    tookNote(node, state, view),
  ];
}

function spentNote(node) {
  const sum = ownTokens(node);
  if (!sum.out && !sum.usd) return null;
  const full = [
    ["output", sum.out], ["input", sum.input], ["cache read", sum.cacheRead], ["cache written", sum.cacheWrite],
  ].filter(([, amount]) => amount).map(([name, amount]) => `${whole(amount)} ${name}`).join(", ");
  const said = sum.usd ? `${usd(sum.usd)}` : `${compact(sum.out)} tok`;
  return el("span.spent", { title: `Tokens: ${full}` }, said);
}

function tookNote(node, state, view) {
  if (state === "running") {
    const since = timeOf(node.event);
    return el("span.took", { "data-since": since }, duration(Math.max(0, (view.time - since) / 1000)));
  }
  if (kindOf(node.event) === "usage") return null;
  const seconds = secondsOf(node);
  if (!seconds) return null;
  return el(`span.took${seconds >= SLOW_S && node.kind === "call" ? ".slow" : ""}`, duration(seconds));
}
