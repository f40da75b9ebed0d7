// A message as it is meant to be read. Every piece of it becomes a text node.

import { bdi, el, visibleText } from "../dom.js";
import { typeLabel } from "../events.js";
import { parseBlocks } from "../markdown.js";

const TAGS = { "": "span", b: "strong", code: "code" };

/** Elements for a text. */
export function prose(text) {
  return parseBlocks(text).map(blockOf);
}

function blockOf(block) {
  const { type } = block;
  if (type === "h") return el("p.prose-head", { dir: "auto" }, inline(block.spans));
  if (type === "code") return el("pre", { tabindex: 0 }, bdi(block.text));
  if (type === "command") return el("p", el("code", visibleText(block.text)));
  if (type === "fold") return el("details.prose-fold", el("summary", bdi(typeLabel(block.name))), el("pre", bdi(block.text)));
  if (type === "list") return el("ul.prose-list", block.items.map(itemOf));
  if (type === "table") return el("div.prose-table", el("table", el("tbody", block.rows.map(rowOf))));
  return el("p", { dir: "auto" }, inline(block.spans));
}

function itemOf({ mark, depth, spans }) {
  return el("li", { vars: { "--depth": String(depth) } }, el("span.prose-mark", `${mark} `), el("div", inline(spans)));
}

function rowOf(cells, at) {
  return el("tr", cells.map((spans) => el(at ? "td" : "th", inline(spans))));
}

function inline(spans) {
  return spans.map(({ text, mark }) => el(TAGS[mark], visibleText(text)));
}
