import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support.mjs";

const { MOST_CHARS, parseBlocks, plain, spansOf } = await load("markdown.js");

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

test("what is no Markdown stays as it is", () => {
  for (const text of ["2 * 3 ** 4 ** 5", "a_b_c", "if a < b: `x", "<b>bold</b>", "**", "x | y"]) {
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
  for (const text of ["<a-b>".repeat(4_000), "**".repeat(9_000), "`".repeat(19_000), "```\n".repeat(4_000), "| ".repeat(9_000), "- ".repeat(9_000)]) parseBlocks(text);
  assert.ok(performance.now() - began < 1_500, `${performance.now() - began} ms`);
  assert.equal(types("**x**".repeat(MOST_CHARS)).length, 1);
});
