import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support.mjs";

const { addressOf, curlOf, exampleOf, fieldsOf, groupsOf, missing, search, typeWords } = await load("docs/spec.js");

const TASK = { type: "object", required: ["task"], properties: { task: { type: "string", minLength: 1, maxLength: 9 }, steps: { type: "integer" } } };
const DOCUMENT = {
  paths: {
    "/a/{id}/b": {
      get: { tags: ["things"], summary: "One thing", "x-permission": "read", parameters: [
        { name: "id", in: "path", required: true, schema: { type: "string" } },
        { name: "limit", in: "query", schema: { type: "integer", minimum: 1, maximum: 50, default: 20 } },
      ], responses: { 200: { description: "Done", content: { "application/json": {} } }, 404: { description: "Not Found", content: { "application/problem+json": {} } } } },
    },
    "/a": { post: { tags: ["things"], summary: "Make one", requestBody: { required: true, content: { "application/json": { schema: TASK } } } } },
  },
  "x-websockets": [{ path: "/ws/{id}", summary: "Live", says: "events" }],
};
const groups = groupsOf(DOCUMENT);
const [one, make] = groups[0].operations;

test("routes are grouped by tag, and the sockets come last", () => {
  assert.deepEqual(groups.map(({ tag, operations }) => [tag, operations.length]), [["things", 2], ["sockets", 1]]);
  assert.deepEqual([one.method, one.path, one.permission, one.id], ["GET", "/a/{id}/b", "read", "get-a-id-b"]);
  assert.deepEqual(one.answers.map(({ status, isProblem }) => [status, isProblem]), [[200, false], [404, true]]);
  assert.equal(groups[1].operations[0].method, "WS");
});

test("types in words", () => {
  assert.equal(typeWords({ type: "integer", minimum: 1, maximum: 50, default: 20 }), "integer, 1 to 50, default 20");
  assert.equal(typeWords({ type: ["string", "null"], maxLength: 5 }), "string or null, 0 to 5 characters");
  assert.equal(typeWords({ type: "array", items: { type: "string" }, maxItems: 3 }), "array of string, at most 3");
  assert.equal(typeWords({}), "any");
  assert.equal(typeWords({ oneOf: [{ type: "object" }, { type: "array" }] }), "object or array");
});

test("a body to begin with has what is required", () => {
  assert.deepEqual(exampleOf(TASK), { task: "…" });
  assert.deepEqual(exampleOf({ oneOf: [TASK] }), { task: "…" });
  assert.deepEqual(fieldsOf(TASK).map(({ name, required }) => [name, required]), [["task", true], ["steps", false]]);
});

test("an address escapes what was entered", () => {
  assert.equal(addressOf(one, { id: "a/b c", limit: "5" }), "/a/a%2Fb%20c/b?limit=5");
  assert.equal(addressOf(one, { id: "x" }), "/a/x/b");
  assert.deepEqual(missing(one, { limit: "1" }), ["id"]);
});

test("the line for a shell survives quotes", () => {
  assert.equal(curlOf(make, "/a", "application/json", `{"task": "it's"}`, "http://h"),
    `curl -X POST 'http://h/a' -H 'Content-Type: application/json' --data-binary '{"task": "it'\\''s"}'`);
  assert.equal(curlOf(one, "/a/x/b", "", "", "http://h"), "curl 'http://h/a/x/b'");
});

test("a search looks for every word", () => {
  const found = search(groups, "post THING");
  assert.deepEqual(found.flatMap(({ operations }) => operations.map(({ id }) => id)), ["post-a"]);
  assert.deepEqual(search(groups, "nothing"), []);
});

test("a document without anything shows nothing", () => assert.deepEqual(groupsOf({}), []));
