// A message as it is meant to be read. Every piece of it becomes a text node.

import { bdi, el, icon, visibleText } from "../dom.js";
import { typeLabel } from "../events.js";
import { parseBlocks } from "../markdown.js";

const TAGS = { b: "strong", i: "em", s: "s", code: "code" };
const COPIED_MS = 2_000;

/** Elements for a text. */
export function prose(text) {
  return parseBlocks(text).map(blockOf);
}

function blockOf(block) {
  const { type } = block;
  if (type === "h") return el(`p.prose-head.level-${Math.min(3, block.level)}`, { dir: "auto" }, inline(block.spans));
  if (type === "code") return codeOf(block);
  if (type === "command") return el("p", el("code", visibleText(block.text)));
  if (type === "fold") return el("details.prose-fold", el("summary", bdi(typeLabel(block.name))), el("pre", bdi(block.text)));
  if (type === "list") return el("ul.prose-list", block.items.map(itemOf));
  if (type === "table") return el("div.prose-table", { tabindex: 0, role: "group", "aria-label": "Table" }, el("table", el("tbody", block.rows.map(rowOf))));
  if (type === "quote") return el("blockquote.prose-quote", block.blocks.map(blockOf));
  if (type === "rule") return el("hr");
  return el("p", { dir: "auto" }, inline(block.spans));
}

function codeOf({ text, language }) {
  const copy = el("button.quiet", { type: "button", on: { click: () => copyCode(copy, text) } }, icon("copy", 14), el("span", "Copy"));
  return el("div.code-block",
    el("div.code-head", el("span", language), copy),
    el("pre", { tabindex: 0, role: "group", "aria-label": language ? `Code, ${language}` : "Code" }, bdi(text)),
  );
}

async function copyCode(button, text) {
  const words = await navigator.clipboard.writeText(text).then(() => "Copied", () => "Not allowed");
  button.lastChild.textContent = words;
  setTimeout(() => (button.lastChild.textContent = "Copy"), COPIED_MS);
}

function itemOf({ mark, depth, spans }) {
  return el("li", { vars: { "--depth": String(depth) } }, el("span.prose-mark", `${mark} `), el("div", inline(spans)));
}

function rowOf(cells, at) {
  return el("tr", cells.map((spans) => el(at ? "td" : "th", inline(spans))));
}

/** What stands within a line; pieces of one link are one link. */
function inline(spans) {
  const nodes = [];
  let link = null;
  for (const span of spans) {
    if (!span.href) nodes.push(marked(span));
    else if (link?.href === span.href) link.node.append(marked(span));
    else nodes.push(linkOf(span));
    link = span.href ? { href: span.href, node: nodes.at(-1) } : null;
  }
  return nodes;
}

/** It leads out of the page, and tells nobody where from. */
const linkOf = (span) => el("a", { href: span.href, title: span.href, target: "_blank", rel: "noopener noreferrer nofollow" }, marked(span));

function marked({ text, mark }) {
  const [innermost = "span", ...around] = mark.split(" ").filter(Boolean).map((one) => TAGS[one]).reverse();
  return around.reduce((inner, tag) => el(tag, inner), el(innermost, visibleText(text)));
}
