// What came of a task. The scam analysis is shown as what it means to a person; any other result by its fields.

import { bdi, el, icon } from "../dom.js";
import { count } from "../format.js";
import { whenChanged } from "../runs/drawing.js";
import { section } from "../runs/parts.js";
import { isObject, listOf, numberOf, own, textOf, wordsOf } from "../runs/values.js";
import { prose } from "../views/prose.js";

const VERDICTS = {
  scam: ["This is very likely a scam", "failing", "alert"],
  suspicious: ["This is suspicious", "warn", "alert"],
  no_signs: ["No signs of a scam were found", "done", "check"],
};
const ENTITIES = [["phones", "Phone numbers"], ["urls", "Addresses"], ["domains", "Domains"], ["emails", "E-mail"]];
const LONG_CHARS = 100;
const MOST_ROWS = 100;

export class TaskResultView {
  #tools;
  #draw = whenChanged((task) => this.#fill(task));

  constructor(tools) {
    this.#tools = tools;
    const part = section("Result", ".result-part");
    this.node = part.node;
    this.body = part.body;
    this.side = part.side;
  }

  update(task) {
    this.node.hidden = task.result === undefined && !task.error;
    this.#draw([task.id, task.created, task.ended], task);
  }

  #fill({ result, error }) {
    const copy = () => this.#tools.copy(JSON.stringify(result, null, 2), "Result copied as JSON.");
    this.side.replaceChildren(...(result === undefined ? [] : [el("button.quiet", { type: "button", on: { click: copy } }, icon("copy", 14), "Copy")]));
    this.body.replaceChildren(...(error ? [el("p.problem", { role: "status" }, icon("error"), bdi(error))] : []), ...(result === undefined ? [] : viewOf(result)));
  }
}

function viewOf(result) {
  if (isObject(result) && own(VERDICTS, textOf(result.verdict)) && Array.isArray(result.findings)) return verdictView(result);
  if (typeof result === "string") return [el("div.prose-block", { dir: "auto" }, prose(result))];
  return [valueView(result)];
}

// --- the scam analysis ----------------------------------------------------------------------------------------

function verdictView({ verdict, score, findings, explanation, model, entities }) {
  const [words, tone, shape] = VERDICTS[verdict];
  const points = Math.round(Math.min(100, Math.max(0, numberOf(score) ?? 0)));
  const isExplained = textOf(explanation) && textOf(model) && model !== "extractive"; // else it is the findings once more
  return [
    el(`div.verdict.t-${tone}`,
      icon(shape, 22), el("div.verdict-words", el("b", words), el("span", `Risk ${points} of 100`)),
      el("span.verdict-meter", { role: "img", "aria-label": `Risk ${points} of 100`, vars: { "--part": `${points}%` } }),
    ),
    isExplained || (textOf(explanation) && !findings.length) ? el("div.prose-block.explanation", { dir: "auto" }, prose(explanation)) : null,
    isExplained ? el("p.result-note", "Explained by ", bdi(model, "mono")) : null,
    findings.length ? el("h3", count(findings.length, "finding")) : null,
    findings.length ? el("ul.findings", findings.slice(0, MOST_ROWS).map(findingView)) : null,
    isObject(entities) ? entitiesView(entities) : null,
  ].filter(Boolean);
}

function findingView(told) {
  const { about, reason, weight } = isObject(told) ? told : { reason: wordsOf(told) };
  const share = Math.min(100, Math.max(0, numberOf(weight) ?? 0));
  return el("li",
    el("span.meter", { role: "img", "aria-label": `Weight ${share} of 100`, title: `Weight ${share} of 100`, vars: { "--part": `${share}%` } }),
    el("span", textOf(about) && about !== "text" ? [bdi(about, "mono finding-about"), " "] : el("span.finding-about", "The text "), bdi(wordsOf(reason))),
  );
}

function entitiesView(entities) {
  const there = ENTITIES.map(([name, words]) => [words, listOf(entities[name])]).filter(([, list]) => list.length);
  if (!there.length) return null;
  return el("div.entities", el("h3", "Found in the text"), el("dl", there.map(([words, list]) =>
    el("div", el("dt", words), el("dd", list.slice(0, MOST_ROWS).map(entityView))),
  )));
}

function entityView(one) {
  if (!isObject(one)) return bdi(wordsOf(one), "mono entity");
  const validity = one.is_valid === true ? "valid" : one.is_valid === false ? "not valid" : "";
  const more = [textOf(one.region), textOf(one.kind) === "unknown" ? "" : textOf(one.kind).replaceAll("_", " "), validity].filter(Boolean).join(", ");
  return el("span.entity", bdi(textOf(one.number) || wordsOf(one), "mono"), more ? el("span.entity-more", ` ${more}`) : null);
}

// --- anything else ---------------------------------------------------------------------------------------------

function valueView(value) {
  if (!isObject(value)) return el("pre.box-text", { tabindex: 0 }, bdi(wordsOf(value)));
  return el("dl.result-fields", Object.entries(value).slice(0, MOST_ROWS).map(([name, one]) => el("div", el("dt", bdi(name)), el("dd", fieldView(one)))));
}

function fieldView(value) {
  const words = wordsOf(value);
  if (typeof value === "string" && (words.length > LONG_CHARS || words.includes("\n"))) return el("div.prose-block", { dir: "auto" }, prose(value));
  if (value !== null && typeof value === "object") return el("pre.box-text", { tabindex: 0 }, bdi(words));
  return bdi(words || "–");
}
