// The small part of Markdown that agents write, as plain values: paragraphs, headings, lists, tables, code, bold. And
// the tags in which programs wrap what they put into a prompt. Pure; what is made of it is text, never markup.

export const MOST_CHARS = 20_000; // a longer text is not looked into
const PLAIN_CHARS = 2_000;

// A fence, or a tag with a hyphen in its name: nobody writes that by hand.
const SPECIAL = /^[ \t]*(```+|~~~+)([^\n`]*)\n([\s\S]*?)(?:\n[ \t]*\1[ \t]*$|$(?![\s\S]))|<([a-z]+(?:-[a-z]+)+)>([\s\S]*?)<\/\4>/gm;
const OUTPUTS = new Set(["local-command-stdout", "local-command-stderr", "bash-input", "bash-stdout", "bash-stderr"]);
const INLINE = /`([^`\n]+)`|\*\*(?=\S)([^\n]*?\S)\*\*/g;

/**
 * Blocks of a text: {type: "p" | "h", spans}, {type: "code", text}, {type: "list", items: [{mark, depth, spans}]},
 * {type: "table", rows: [[spans]]}, {type: "command", text}, {type: "fold", name, text}. Spans are {text, mark: "" | "b" | "code"}.
 */
export function parseBlocks(text) {
  if (text.length > MOST_CHARS) return [{ type: "p", spans: [{ text, mark: "" }] }];
  const blocks = [];
  let from = 0;
  const command = { name: "", args: "" };
  for (const found of text.matchAll(SPECIAL)) {
    blocks.push(...parseLines(text.slice(from, found.index)));
    from = found.index + found[0].length;
    const [, fence, , code, tag, content] = found;
    if (fence) blocks.push({ type: "code", text: code });
    else blocks.push(...blocksOfTag(tag, content, command));
  }
  blocks.push(...parseLines(text.slice(from)));
  return blocks;
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

function parseLines(text) {
  const blocks = [];
  for (const line of text.split("\n")) addLine(blocks, line);
  return blocks.filter((block) => block.type !== "end").map(finish);
}

function addLine(blocks, line) {
  const last = blocks.at(-1);
  const heading = /^ {0,3}#{1,6}\s+(.*)$/.exec(line);
  const item = /^(\s*)([-*+]|\d{1,4}[.)])\s+(.*)$/.exec(line);
  if (!line.trim()) blocks.push({ type: "end" });
  else if (heading) blocks.push({ type: "h", text: heading[1].replace(/\s*#+$/, "") });
  else if (item) addItem(blocks, last, item);
  else if (/^\s*\|.*\|\s*$/.test(line)) addCells(blocks, last, line);
  else if (last?.type === "list" && /^\s/.test(line)) last.items.at(-1).text += `\n${line.trim()}`;
  else if (last?.type === "p") last.text += `\n${line}`;
  else blocks.push({ type: "p", text: line });
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

function finish(block) {
  const { type, text, items, rows } = block;
  if (type === "list") return { type, items: items.map(({ text: said, ...item }) => ({ ...item, spans: spansOf(said) })) };
  if (type === "table") return { type, rows: rows.map((cells) => cells.map(spansOf)) };
  return { type, spans: spansOf(text) };
}

/** Bold text and code within a line. */
export function spansOf(text) {
  const spans = [];
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > from) spans.push({ text: text.slice(from, found.index), mark: "" });
    from = found.index + found[0].length;
    if (found[1] !== undefined) spans.push({ text: found[1], mark: "code" });
    else spans.push({ text: found[2].replace(/`([^`\n]+)`/g, "$1"), mark: "b" });
  }
  if (from < text.length) spans.push({ text: text.slice(from), mark: "" });
  return spans;
}

/** The beginning of a text without its marks, for a line or a few. */
export function plain(text) {
  const blocks = parseBlocks(text.slice(0, PLAIN_CHARS));
  const lines = blocks.filter(({ type }) => type !== "fold").map(plainBlock);
  if (lines.length) return lines.join("\n");
  return blocks.map(({ text: said }) => said).join("\n"); // nothing but what a program has put there
}

const joined = (spans) => spans.map(({ text }) => text).join("");

function plainBlock({ type, spans, items, rows, text }) {
  if (type === "list") return items.map(({ mark, depth, spans: said }) => `${"  ".repeat(depth)}${mark} ${joined(said)}`).join("\n");
  if (type === "table") return rows.map((cells) => cells.map(joined).join(" · ")).join("\n");
  return spans ? joined(spans) : text;
}
