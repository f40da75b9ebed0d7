// The blocks of Markdown that agents write, as plain values: paragraphs, headings, lists, tables, quotes, code. And the
// tags in which programs wrap what they put into a prompt. Pure; what is made of it is text, never markup.

import { spansOf } from "./inline.js";

export const MOST_CHARS = 200_000; // what comes after them is not looked into
const PART_CHARS = 20_000; // are looked at together: a hostile text costs as much as the square of them
const PLAIN_CHARS = 2_000;

// A fence, or a tag with a hyphen in its name: nobody writes that by hand.
const SPECIAL = /^([ \t]*)(```+(?!`)|~~~+(?!~))([^\n`]*)\n([\s\S]*?)(?:\n[ \t]*\2[ \t]*$|$(?![\s\S]))|<([a-z]+(?:-[a-z]+)+)>([\s\S]*?)<\/\5>/gm;
const OUTPUTS = new Set(["local-command-stdout", "local-command-stderr", "bash-input", "bash-stdout", "bash-stderr"]);
const FENCE = /^[ \t]*(?:```|~~~)/gm;
const LANGUAGE = /^[\w+#.-]{1,20}/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}>/;
const MOST_DEPTH = 3; // of quotes in quotes

/**
 * Blocks of a text: {type: "p", spans}, {type: "h", level, spans}, {type: "code", text, language}, {type: "list", items:
 * [{mark, depth, spans}]}, {type: "table", rows: [[spans]]}, {type: "quote", blocks}, {type: "rule"}, {type: "command", text},
 * {type: "fold", name, text}. For spans see inline.js.
 */
export function parseBlocks(text) {
  const blocks = [];
  let from = 0;
  while (text.length - from > PART_CHARS && from + PART_CHARS <= MOST_CHARS) {
    const to = from + cutOf(text.slice(from, from + PART_CHARS));
    blocks.push(...parsePart(text.slice(from, to)));
    from = to;
  }
  const rest = text.slice(from);
  if (rest.length > PART_CHARS) blocks.push({ type: "p", spans: [{ text: rest, mark: "" }] });
  else blocks.push(...parsePart(rest));
  return blocks;
}

/** Where a part of a text may end: after a paragraph, not within a block of code. */
function cutOf(part) {
  const fences = [...part.matchAll(FENCE)];
  const within = fences.length % 2 ? fences.at(-1).index : part.length;
  return [part.lastIndexOf("\n\n", within), within, PART_CHARS].find((one) => one > 0);
}

function parsePart(text) {
  const blocks = [];
  let from = 0;
  const command = { name: "", args: "" };
  for (const found of text.matchAll(SPECIAL)) {
    blocks.push(...parseLines(text.slice(from, found.index)));
    from = found.index + found[0].length;
    const [, indent, fence, info, code, tag, content] = found;
    if (fence) blocks.push(codeBlock(indent, info, code));
    else blocks.push(...blocksOfTag(tag, content, command));
  }
  blocks.push(...parseLines(text.slice(from)));
  return blocks;
}

function codeBlock(indent, info, code) {
  const text = indent ? code.replace(new RegExp(`^[ \\t]{1,${indent.length}}`, "gm"), "") : code;
  return { type: "code", text, language: LANGUAGE.exec(info.trim())?.[0] ?? "" };
}

function blocksOfTag(tag, content, command) {
  const text = content.trim();
  if (tag === "command-name") return [commandBlock(command, { name: text })];
  if (tag === "command-args") return command.block ? (commandBlock(command, { args: text }), []) : [];
  if (tag === "command-message") return []; // the name once more
  if (OUTPUTS.has(tag)) return text ? [{ type: "code", text }] : [];
  return [{ type: "fold", name: tag.replaceAll("-", " "), text }];
}

function commandBlock(command, told) {
  Object.assign(command, told);
  command.block ??= { type: "command", text: "" };
  command.block.text = `${command.name} ${command.args}`.trim();
  return command.block;
}

function parseLines(text, depth = 0) {
  const blocks = [];
  for (const line of text.split("\n")) addLine(blocks, line);
  return blocks.filter((block) => block.type !== "end").map((block) => finish(block, depth));
}

function addLine(blocks, line) {
  const last = blocks.at(-1);
  const heading = /^ {0,3}(#{1,6})\s+(.*)$/.exec(line);
  const item = /^(\s*)([-*+]|\d{1,4}[.)])\s+(.*)$/.exec(line);
  if (!line.trim()) blocks.push({ type: "end" });
  else if (RULE.test(line)) blocks.push({ type: "rule" });
  else if (QUOTE.test(line)) addQuoted(blocks, last, line.replace(/^ {0,3}> ?/, ""));
  else if (heading) blocks.push({ type: "h", level: heading[1].length, text: withoutEnd(heading[2]) });
  else if (item) addItem(blocks, last, item);
  else if (/^\s*\|.*\|\s*$/.test(line)) addCells(blocks, last, line);
  else if (last?.type === "list" && /^\s/.test(line)) last.items.at(-1).text += `\n${line.trim()}`;
  else if (last?.type === "p") last.text += `\n${line}`;
  else blocks.push({ type: "p", text: line });
}

/** A heading without the hashes at its end. By a loop: a pattern would begin anew at each blank and hash of a hostile one. */
function withoutEnd(heading) {
  let end = heading.length;
  while (heading[end - 1] === "#") end -= 1;
  return end < heading.length ? heading.slice(0, end).trimEnd() : heading;
}

function addQuoted(blocks, last, line) {
  if (last?.type === "quote") last.text += `\n${line}`;
  else blocks.push({ type: "quote", text: line });
}

function addItem(blocks, last, [, indent, mark, text]) {
  const before = last?.type === "end" ? blocks.at(-2) : last;
  const item = { mark: /\d/.test(mark) ? mark : "•", depth: Math.min(4, indent.replaceAll("\t", "    ").length >> 1), text };
  if (before?.type !== "list") return blocks.push({ type: "list", items: [item] });
  if (last.type === "end") blocks.pop();
  before.items.push(item);
}

function addCells(blocks, last, line) {
  const cells = line.trim().slice(1, -1).split("|").map((cell) => cell.trim());
  if (cells.every((cell) => /^:?-+:?$/.test(cell))) return;
  if (last?.type === "table") last.rows.push(cells);
  else blocks.push({ type: "table", rows: [cells] });
}

function finish(block, depth) {
  const { type, text, items, rows, level } = block;
  if (type === "rule") return block;
  if (type === "h") return { type, level, spans: spansOf(text) };
  if (type === "quote") return { type, blocks: depth < MOST_DEPTH ? parseLines(text, depth + 1) : [{ type: "p", spans: spansOf(text) }] };
  if (type === "list") return { type, items: items.map(({ text: said, ...item }) => ({ ...item, spans: spansOf(said) })) };
  if (type === "table") return { type, rows: rows.map((cells) => cells.map(spansOf)) };
  return { type, spans: spansOf(text) };
}

/** The beginning of a text without its marks, for a line or a few. */
export function plain(text) {
  const blocks = parseBlocks(text.slice(0, PLAIN_CHARS));
  const lines = blocks.filter(({ type }) => type !== "fold" && type !== "rule").map(plainBlock);
  if (lines.length) return lines.join("\n");
  return blocks.map(({ text: said }) => said).join("\n"); // nothing but what a program has put there
}

const joined = (spans) => spans.map(({ text }) => text).join("");

function plainBlock({ type, spans, items, rows, text, blocks }) {
  if (type === "quote") return blocks.map(plainBlock).join("\n");
  if (type === "list") return items.map(({ mark, depth, spans: said }) => `${"  ".repeat(depth)}${mark} ${joined(said)}`).join("\n");
  if (type === "table") return rows.map((cells) => cells.map(joined).join(" · ")).join("\n");
  return spans ? joined(spans) : text;
}
