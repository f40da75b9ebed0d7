import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support.mjs";

const { applyFrame, factsOf, isAnswering, itemsOf, loadConversation, makeConversation, peopleOf, readersOf } = await load("chat/state.js");
const { attachmentFrame, cleanName, newId, sizeWords } = await load("chat/frames.js");
const { describe, summarise } = await load("chat/conversations.js");

const ann = { id: "ann", name: "Ann" };
const bob = { id: "bob", name: "Bob" };
const question = (id, answer = `a_${id}`, fields = {}) => ({ type: "message", message_id: id, message: `Q ${id}`, user: ann, answer_id: answer, ...fields });
const token = (id, text, offset) => ({ type: "token", message_id: id, token: text, offset });
const complete = (id, response, fields = {}) => ({ type: "complete", message_id: id, response, metadata: {}, ...fields });

function talk(...frames) {
  const chat = makeConversation("c");
  frames.forEach((frame, at) => applyFrame(chat, { seq: at + 1, cursor: `c${at + 1}`, timestamp: "2026-01-01T12:00:00Z", ...frame }));
  return chat;
}

const texts = (chat) => itemsOf(chat).map(({ role, text, pending }) => `${role}${pending ? "…" : ""}: ${text}`);

test("a question is answered piece by piece, then as a whole", () => {
  const frames = [question("1"), { type: "progress", message_id: "a_1", step: "generating", message: "Writing", agent: "specs" }, token("a_1", "Hel", 0), token("a_1", "lo", 3)];
  const chat = talk(...frames);
  assert.deepEqual(texts(chat), ["user: Q 1", "assistant…: Hello"]);
  assert.deepEqual([isAnswering(chat), chat.title, chat.cursor, factsOf(itemsOf(chat)[1]).agent], [true, "Q 1", "c4", "specs"]);
  const whole = talk(...frames, complete("a_1", "Hello, you", { in_reply_to: "1", metadata: { agent: "specs", confidence: 0.9, routing_confidence: 1, model: "m", context: { sources: ["a.md"] } } }));
  assert.deepEqual(texts(whole), ["user: Q 1", "assistant: Hello, you"]);
  assert.deepEqual(factsOf(itemsOf(whole)[1]), { agent: "specs", routing: 1, confidence: 0.9, model: "m", sources: ["a.md"], truncated: false });
  assert.equal(isAnswering(whole), false);
});

test("what is told twice is there once, and a hole is noticed", () => {
  const chat = talk(question("1"), question("1"), token("a_1", "Hello", 0), token("a_1", "lo", 3), complete("a_1", "Hello"), complete("a_1", "Hello"), token("a_1", "late", 5));
  assert.deepEqual(texts(chat), ["user: Q 1", "assistant: Hello"]);
  assert.equal(chat.torn, false);
  assert.equal(talk(question("1"), token("a_1", "later", 9)).torn, true);
});

test("what the server knows takes the place of what was known, and what is answered goes on", () => {
  const chat = talk(question("1"), { type: "progress", message_id: "a_1", step: "generating", message: "Writing" }, token("a_1", "far", 9));
  loadConversation(chat, {
    title: "T", owner: ann, members: [bob], cursor: "now", left_out: 2, reads: { bob: "1" },
    messages: [{ message_id: "1", role: "user", message: "Q 1", user: ann, status: "complete", timestamp: "2026-01-01T12:00:00Z" }],
    answering: [{ message_id: "a_1", in_reply_to: "1", text: "so ", cancelled: false, steps: [{ step: "starting", message: "Begun" }, { step: "generating", message: "Writing", agent: "specs" }] }],
  });
  applyFrame(chat, token("a_1", "far", 3));
  assert.deepEqual(texts(chat), ["user: Q 1", "assistant…: so far"]);
  assert.deepEqual([chat.torn, chat.leftOut, chat.cursor, chat.answering.get("a_1").steps.length], [false, 2, "now", 2]);
  assert.equal(factsOf(itemsOf(chat)[1]).agent, "specs");
  applyFrame(chat, { type: "progress", message_id: "a_1", step: "generating", message: "Writing" });
  assert.equal(chat.answering.get("a_1").steps.length, 2);
  applyFrame(chat, { type: "progress", message_id: "a_1", step: "starting", message: "Begun anew", attempt: 2 });
  assert.deepEqual(chat.answering.get("a_1").steps, [{ step: "starting", message: "Begun anew" }]);
  assert.deepEqual(peopleOf(chat).map(({ name }) => name), ["Ann", "Bob"]);
  assert.deepEqual([...readersOf(chat, "ann")].map(([id, people]) => [id, people[0].name]), [["1", "Bob"]]);
  assert.equal(readersOf(chat, "bob").size, 0);
});

test("stopped, failed, tried again: each is told apart, and says which question it answers", () => {
  const chat = talk(
    question("1"), token("a_1", "half", 0), complete("a_1", "half", { cancelled: true, in_reply_to: "1" }),
    question("2"), token("a_2", "some", 0), { type: "error", message_id: "a_2", error: "No model.", in_reply_to: "2" },
    { type: "retry", message_id: "1", answer_id: "b_1" },
  );
  assert.deepEqual(itemsOf(chat).map(({ id, status, error, text, quoted }) => [id, status, error, text, quoted?.id ?? null]), [
    ["1", "complete", "", "Q 1", null], ["a_1", "cancelled", "", "half", null], ["2", "complete", "", "Q 2", null],
    ["a_2", "failed", "No model.", "some", null], ["b_1", "", "", "", "1"],
  ]);
});

test("edits, deletions and members", () => {
  const chat = talk(question("1"), question("2", null), { type: "edit", message_id: "1", message: "New" }, { type: "delete", message_id: "2" }, { type: "member_added", user: bob });
  assert.deepEqual(chat.turns.map(({ text, edited }) => [text, edited]), [["New", true]]);
  assert.equal(chat.members.size, 1);
  applyFrame(chat, { type: "delete", message_id: "1" });
  applyFrame(chat, { type: "member_removed", user: bob });
  assert.deepEqual([chat.turns.length, isAnswering(chat), chat.members.size], [0, false, 0]);
});

test("hostile values are no trouble", () => {
  const chat = talk({ type: "__proto__" }, { type: "constructor" }, { type: "message", message_id: 7, user: "x", attachments: [null, { name: 3 }] }, { type: "token", message_id: {}, token: [] }, { type: "complete", metadata: "x" }, { type: "read", user: null });
  assert.deepEqual(itemsOf(chat).map(({ text, attachments }) => [text, attachments.length]), [["", 1]]);
  assert.deepEqual(factsOf({ metadata: { context: [], confidence: "a" } }), { agent: "", routing: null, confidence: null, model: "", sources: [], truncated: false });
});

test("a binary frame is a length, a head and the content", () => {
  const frame = attachmentFrame({ id: "1", name: "ä.txt", mime: "text/plain" }, new Uint8Array([1, 2, 3]).buffer);
  const length = new DataView(frame.buffer).getUint32(0);
  assert.deepEqual(JSON.parse(new TextDecoder().decode(frame.slice(4, 4 + length))), { id: "1", name: "ä.txt", mime: "text/plain" });
  assert.deepEqual([...frame.slice(4 + length)], [1, 2, 3]);
  assert.equal(cleanName("a\u202eb\n.txt"), "ab.txt");
  assert.equal(cleanName("\n"), "attachment");
  assert.deepEqual([sizeWords(12), sizeWords(1_536), sizeWords(2_500_000)], ["12 B", "2 KB", "2.5 MB"]);
  assert.match(newId(), /^c_[0-9a-f]{24}$/);
});

test("the list says what was said last, and who is there", () => {
  const one = summarise({ session_id: "c", title: "T", last: "Well", members: [bob], updated_at: "2026-01-01T12:00:00Z" });
  assert.deepEqual(describe(one), { title: "T", state: null, doing: "Well", facts: ["2 people"], percent: null });
});
