// What opens in a row: input and output as they are best read, all fields, and what can be done with it.

import { bdi, el, icon } from "../dom.js";
import { inputOf, isObject, text, timeOf, typeLabel } from "../events.js";
import { count, duration, moment, usd, whole } from "../format.js";
import { ownTokens, secondsOf } from "../state.js";
import { prose } from "./prose.js";

const SHOWN_CHARS = 12_000;
const SHOWN_ELSEWHERE = new Set([
  "input_summary", "output_summary", "tool_input", "event_id", "event_type", "timestamp", "session_id", "seq", "cursor",
  "agent_id", "tool_name", "status", "model", "parent_event_id", "execution_duration_seconds", "cost_tokens",
  "usage", "cost_usd", "feature_id",
]);

export function details(node, state, view) {
  const failed = state === "error";
  const output = node.result ?? (node.kind === "call" ? null : node.event);
  return el("div.detail",
    node.kind === "call" ? inputBlocks(node.event) : proseBlock(inputHeading(node), text(node.event.input_summary)),
    node.kind === "call" && text(node.event.output_summary) ? textBlock("Output", node.event.output_summary, "pre") : null,
    output ? outputBlock(node, text(output.output_summary), failed) : null,
    node.kind === "call" && !node.result && state !== "done" ? el("h3", state === "running" ? "Still running" : "Its result is not loaded") : null,
    el("h3", "Event"),
    fieldList(node),
    actions(node, view),
  );
}

const PROSE = new Set(["prompt", "message", "thinking", "alert", "delegation", "group"]);
const isProse = (node) => PROSE.has(node.kind);
const inputHeading = (node) => (node.kind === "prompt" ? "Prompt" : "Input");
const outputHeading = (node, failed) =>
  failed ? "Error" : isProse(node) ? typeLabel(node.event.event_type) : "Output";

function outputBlock(node, said, failed) {
  const heading = outputHeading(node, failed);
  return isProse(node) ? proseBlock(heading, said) : textBlock(heading, said, failed ? "pre.bad" : "pre");
}

function inputBlocks(event) {
  const input = inputOf(event);
  if (!input) return textBlock("Input", text(event.input_summary), "pre");
  const blocks = [];
  const { command, old_string: before, new_string: after, ...rest } = input;
  if (typeof command === "string") blocks.push(textBlock("Command", command, "pre"));
  else if (command !== undefined) rest.command = command;
  if (typeof before === "string" && typeof after === "string") blocks.push(change(before, after));
  if (Object.keys(rest).length) blocks.push(el("h3", blocks.length ? "More input" : "Input"), valueList(rest));
  return blocks;
}

function change(before, after) {
  return [
    el("h3", "Change"),
    el("pre.removed", { tabindex: 0, "aria-label": "Removed" }, bdi(before || " ")),
    el("pre.added", { tabindex: 0, "aria-label": "Added" }, bdi(after || " ")),
  ];
}

function valueList(values) {
  return el("dl.fields", Object.entries(values).map(([name, value]) => [el("dt", bdi(name)), el("dd.mono", valueOf(value))]));
}

function valueOf(value) {
  if (typeof value === "string") return value.includes("\n") || value.length > 300 ? block(value, "pre") : bdi(value);
  if (isObject(value) || Array.isArray(value)) return block(JSON.stringify(value, null, 2), "pre");
  return bdi(String(value));
}

function textBlock(heading, said, kind) {
  return said ? [el("h3", heading), block(said, kind)] : null;
}

function proseBlock(heading, said) {
  return said ? [el("h3", heading), block(said, "div.prose-block", prose)] : null;
}

/** A text in a box, as `show` makes it; of a very long one the beginning, until more is wanted. */
function block(said, kind, show = (part) => [bdi(part)]) {
  const box = el(kind, { tabindex: 0, dir: "auto" }, show(said.slice(0, SHOWN_CHARS)));
  if (said.length <= SHOWN_CHARS) return box;
  const more = el("button.rest", { type: "button" }, `Show all ${count(said.length, "character")}`);
  more.addEventListener("click", () => {
    box.replaceChildren(...show(said));
    more.remove();
  });
  return [box, more];
}

function fieldList(node) {
  const { event } = node;
  const tokens = ownTokens(node);
  const seconds = secondsOf(node);
  const rows = [
    ["Time", moment(timeOf(event)) + (node.result ? ` to ${moment(timeOf(node.result))}` : "")],
    ["Duration", seconds ? duration(seconds) : ""],
    ["Agent", event.agent_id],
    ["Model", event.model],
    ["Status", (node.result ?? event).status],
    ["Tokens", tokenWords(tokens)],
    ["Cost", tokens.usd ? usd(tokens.usd) : ""],
    ["Feature", event.feature_id],
    ["Type", event.event_type],
    ["Event id", event.event_id],
    ["Result id", node.result?.event_id],
    ["Caused by", event.parent_event_id],
    ["Session", event.session_id],
    ["Number", event.seq ? `${event.seq}${node.result?.seq ? `, result ${node.result.seq}` : ""}` : ""],
  ].filter(([, value]) => value);
  return el("dl.fields", rows.map(([name, value]) => [el("dt", name), el("dd", bdi(String(value)))]), extraFields(node));
}

function extraFields(node) {
  const extra = { ...node.event, ...node.delegation, ...node.result };
  const names = Object.keys(extra).filter((name) => !SHOWN_ELSEWHERE.has(name) && extra[name] !== null);
  return names.map((name) => [el("dt", bdi(typeLabel(name))), el("dd", valueOf(extra[name]))]);
}

function tokenWords(tokens) {
  const words = [["output", tokens.out], ["input", tokens.input], ["read from cache", tokens.cacheRead], ["written to cache", tokens.cacheWrite]];
  return words.filter(([, amount]) => amount).map(([name, amount]) => `${whole(amount)} ${name}`).join(", ");
}

function actions(node, view) {
  const { event } = node;
  return el("div.actions",
    action("link", "Copy link", "copy-link"),
    action("copy", "Copy id", "copy-id"),
    action("copy", "Copy as JSON", "copy-json"),
    action("play", "Play from here", "play-from"),
    event.tool_name ? action("filter", `Only ${event.tool_name}`, "only-tool") : null,
    view.filtered ? action("list", "Show in context", "context") : null,
    view.session === null ? action("list", "Open session", "open-session") : null,
  );
}

function action(iconName, label, act) {
  return el("button", { type: "button", "data-act": act }, icon(iconName, 14), bdi(label));
}

/** What "Copy as JSON" gives. */
export function asJson(node) {
  const all = [node.event, node.delegation, node.result, ...node.usage].filter(Boolean);
  return JSON.stringify(all.length === 1 ? all[0] : all, null, 2);
}

