import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support.mjs";

const { MOST_CHARS, parseBlocks, plain } = await load("markdown.js");
const { spansOf } = await load("inline.js");

const types = (text) => parseBlocks(text).map(({ type }) => type);

test("what agents write comes as blocks", () => {
  const text = "# Done\n\nAll **four** are `green`.\nReally.\n\n- one\n  - two\n\n1. first\n\n| a | b |\n|---|:-:|\n| `c` | d |\n\n```js\n# no heading\n```\nend";
  assert.deepEqual(types(text), ["h", "p", "list", "table", "code", "p"]);
  const [, said, list, table, code] = parseBlocks(text);
  assert.deepEqual(said.spans.map(({ text: part, mark }) => [part, mark]), [
    ["All ", ""], ["four", "b"], [" are ", ""], ["green", "code"], [".\nReally.", ""],
  ]);
  assert.deepEqual(list.items.map(({ mark, depth }) => [mark, depth]), [["•", 0], ["•", 1], ["1.", 0]]);
  assert.deepEqual(table.rows.map((cells) => cells.length), [2, 2]);
  assert.equal(code.text, "# no heading");
});

test("headings, quotes, rules and code say what they are", () => {
  const text = "### Deep\n> quoted *so*\n> > deeper\n\n---\n1. one\n   ```c++\n   if (x) {\n     y();\n   ```\n~~~\nopen";
  assert.deepEqual(types(text), ["h", "quote", "rule", "list", "code", "code"]);
  const [heading, quote, , , code, open] = parseBlocks(text);
  assert.equal(heading.level, 3);
  assert.deepEqual(quote.blocks.map(({ type }) => type), ["p", "quote"]);
  assert.deepEqual([code.language, code.text, open.language, open.text], ["c++", "if (x) {\n  y();", "", "open"]);
  assert.equal(plain(text), "Deep\nquoted so\ndeeper\n1. one\nif (x) {\n  y();\nopen");
});

test("marks within a line", () => {
  const cases = {
    "a **b *c* d**": [["a ", ""], ["b ", "b"], ["c", "b i"], [" d", "b"]],
    "***x** y* ~~z~~": [["x", "b i"], [" y", "i"], [" ", ""], ["z", "s"]],
    "``x`y`` and \\*so\\*": [["x`y", "code"], [" and *so*", ""]],
    "**a ~~b** c~~": [["a ~~b", "b"], [" c~~", ""]],
    "*a\nb*": [["*a\nb*", ""]],
  };
  for (const [text, told] of Object.entries(cases)) assert.deepEqual(spansOf(text).map(({ text: part, mark }) => [part, mark]), told);
});

test("addresses of the web are links, and nothing else is", () => {
  const links = (text) => spansOf(text).filter(({ href }) => href).map(({ text: words, href }) => [words, href]);
  assert.deepEqual(links('[a **b**](https://x.org/y_(z)?q=1 "title"), <http://x.org>'), [["a ", "https://x.org/y_(z)?q=1"], ["b", "https://x.org/y_(z)?q=1"], ["http://x.org", "http://x.org"]]);
  assert.deepEqual(links("(see https://x.org/a_(b)), **https://y.org/.**"), [["https://x.org/a_(b)", "https://x.org/a_(b)"], ["https://y.org/", "https://y.org/"]]);
  for (const text of ["[x](javascript:alert(1))", "[x](data:text/html,x)", "[x](//x.org)", "[x](file:///etc/passwd)", "JavaScript:alert(1)", "`https://x.org`", "[x] (https)"]) assert.deepEqual(links(text), []);
  assert.equal(plain("[x](https://x.org) **y**"), "x y");
});

test("a long text is looked at part by part", () => {
  const paragraph = `${"word ".repeat(300)}**end**`;
  const code = `\`\`\`\n${"x\n\n".repeat(4_000)}\`\`\``;
  const text = Array(20).fill(paragraph).join("\n\n");
  assert.deepEqual(parseBlocks(text).map(({ spans }) => spans.at(-1).mark), Array(20).fill("b"));
  assert.deepEqual(types(`${Array(4).fill(paragraph).join("\n\n")}\n\n${code}\nend`), ["p", "p", "p", "p", "code", "p"]);
});

test("what is no Markdown stays as it is", () => {
  for (const text of ["2 * 3 ** 4 ** 5", "2*3*4", "a_b_c", "__init__", "if a < b: `x", "<b>bold</b>", "**", "x | y"]) {
    assert.deepEqual(spansOf(text).map(({ text: part, mark }) => [part, mark]), [[text, ""]]);
    assert.equal(plain(text), text);
  }
});

test("what a program wrapped into a prompt is told as what it is", () => {
  const command = "<command-name>/model</command-name>\n<command-message>model</command-message>\n<command-args>opus</command-args>";
  assert.equal(plain(command), "/model opus");
  assert.equal(plain("<local-command-stdout>Set model</local-command-stdout>"), "Set model");
  assert.equal(plain("Go on<system-reminder>Be brief.</system-reminder>"), "Go on");
  assert.equal(plain("<system-reminder>Be brief.</system-reminder>"), "Be brief.");
  assert.deepEqual(parseBlocks("Go on<system-reminder>Be <b>brief</b>.</system-reminder>")[1], {
    type: "fold", name: "system reminder", text: "Be <b>brief</b>.",
  });
});

test("a line has no marks", () => {
  assert.equal(plain("## All **done**\n\n| Commit | Task |\n|---|---|\n| `a1` | x |"), "All done\nCommit · Task\na1 · x");
});

test("long and hostile texts take no time", () => {
  const began = performance.now();
  for (const text of ["<a-b>".repeat(4_000), "**".repeat(9_000), "`".repeat(19_000), "```\n".repeat(4_000), "| ".repeat(9_000), "- ".repeat(9_000), "*a ".repeat(6_000) + "b* ".repeat(600), "~~a*".repeat(5_000), "[a](https://b".repeat(1_500), `https://x${".".repeat(19_000)}y`, "> ".repeat(9_000)]) parseBlocks(text);
  assert.ok(performance.now() - began < 1_500, `${performance.now() - began} ms`);
  assert.deepEqual(types("words ".repeat(MOST_CHARS)), Array(11).fill("p"));
});

test("one hostile line takes no longer than others of its length", () => {
  const least = (text) => Math.min(...Array.from({ length: 5 }, () => {
    const began = performance.now();
    parseBlocks(text);
    return performance.now() - began;
  }));
  const chars = 19_000;
  for (const [begin, one, end] of [["# ", "#", "a"], ["# a", " ", "a"], ["# ", " #", "a"], ["", "~", ""], ["", "**a ", ""], ["", "\\*", ""]]) {
    const of = (length) => least(begin + one.repeat(length / one.length) + end);
    of(chars); // warm
    const [half, whole] = [of(chars / 2), of(chars)];
    assert.ok(whole < 20 || whole < 3.2 * half, `${one}: ${half} ms, then ${whole} ms`); // not the square
  }
});

test("a heading ends before the hashes that close it", () => {
  const heading = (text) => parseBlocks(text)[0].spans.map(({ text: part }) => part).join("");
  assert.deepEqual(["# a ##", "# a #b", "# a  ", "# #", "## C#", "# a # #"].map(heading), ["a", "a #b", "a  ", "", "C", "a #"]);
});
