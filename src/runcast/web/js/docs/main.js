// The API page: reads the server's OpenAPI document and shows every route in it.

import { el, setText } from "../dom.js";
import { themeButton } from "../views/status.js";
import { groupsOf, search } from "./spec.js";
import { operationNode, pathParts } from "./view.js";

const $ = (id) => document.getElementById(id);
const TITLES = {
  streams: "Streams", sessions: "Sessions", sources: "Sources", telemetry: "Telemetry", firehose: "Firehose", workflows: "Workflows", plans: "Plans", system: "System",
  identity: "Identity", knowledge: "Knowledge", sockets: "WebSockets",
};
const titleOf = (tag) => TITLES[tag] ?? tag.charAt(0).toUpperCase() + tag.slice(1);

async function start() {
  themeButton($("theme"));
  $("help").hidden = true;
  try {
    const response = await fetch("/openapi.json", { cache: "no-cache" });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    show(await response.json());
  } catch (error) {
    setText($("lead"), `The document cannot be read: ${error.message}.`);
  }
}

function show(spec) {
  const groups = groupsOf(spec);
  const count = groups.reduce((sum, { operations }) => sum + operations.length, 0);
  $("lead").replaceChildren(`${spec.info.title} ${spec.info.version}, ${count} routes. The document: `, el("a", { href: "/openapi.json" }, "/openapi.json"), ".");
  for (const { tag, operations } of groups) {
    $("routes").append(el("section.group", { "aria-label": titleOf(tag) }, el("h2", { id: `tag-${tag}` }, titleOf(tag)), operations.map(operationNode)));
  }
  const box = $("search");
  box.addEventListener("input", () => list(groups, box.value));
  list(groups, "");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    box.focus();
  });
  addEventListener("hashchange", reveal);
  reveal();
}

/** The contents; a search hides the routes that do not fit, too. */
function list(groups, text) {
  const found = search(groups, text);
  const fitting = new Set(found.flatMap(({ operations }) => operations.map(({ id }) => id)));
  for (const { tag, operations } of groups) {
    for (const { id } of operations) $(id).hidden = !fitting.has(id);
    $(`tag-${tag}`).parentElement.hidden = !operations.some(({ id }) => fitting.has(id));
  }
  $("contents").replaceChildren(...found.map(({ tag, operations }) =>
    el("li", el("a.contents-tag", { href: `#tag-${tag}` }, titleOf(tag)),
      el("ul", operations.map(({ id, method, path }) =>
        el("li", el("a", { href: `#${id}` }, el("span", { class: `method m-${method.toLowerCase()}` }, method), el("span.contents-path", pathParts(path))))))),
  ));
  if (!found.length) $("contents").append(el("li.sessions-note", "Nothing fits."));
}

/** Open the route that the address names. */
function reveal() {
  const node = location.hash.length > 1 ? $(decodeURIComponent(location.hash.slice(1))) : null;
  if (!node) return;
  if (node instanceof HTMLDetailsElement) node.open = true;
  node.scrollIntoView({ block: "start" });
}

void start();
