// One route as it is shown: what it takes, how it answers, and the form to try it.

import { bdi, el } from "../dom.js";
import { fieldsOf, typeWords } from "./spec.js";
import { tryForm } from "./try_it.js";

const WHO = {
  public: "anybody", known: "whoever is known; what is told depends on the grants", read: "whoever may read the stream",
  write: "whoever may write to the stream", observe: "whoever may read everything", admin: "administrators",
};

/** A route, folded; what is in it is made when it is opened first. */
export function operationNode(operation) {
  const { id, method, path, summary } = operation;
  const node = el("details.op", { id },
    el("summary",
      el("span", { class: `method m-${method.toLowerCase()}` }, method),
      el("span.op-path", pathParts(path)),
      el("span.op-summary", summary),
    ),
  );
  node.addEventListener("toggle", () => {
    if (node.open && node.childElementCount === 1) node.append(inside(operation));
  });
  return node;
}

/** A place to break a line after each slash, and the names in it marked. */
export function pathParts(path) {
  return path.split(/(?<=\/)/).flatMap((part) => [part.startsWith("{") ? el("em", part) : part, el("wbr")]);
}

function inside(operation) {
  const { parameters, body, answers, permission, says, method } = operation;
  return el("div.op-inside",
    permission ? el("p.op-who", "For ", el("b", WHO[permission] ?? permission), ".") : null,
    says ? el("p.op-says", says) : null,
    parameters.length ? part("Parameters", parameterTable(parameters)) : null,
    body ? part("Body", ...body.media.map(bodyNode)) : null,
    answers.length ? part("Answers", answerList(answers)) : null,
    method === "WS" ? null : part("Try it", tryForm(operation)),
  );
}

/** A description, with what stands in backticks as code. */
function worded(text) {
  return text.split(/`([^`]*)`/).map((piece, index) => (index % 2 ? el("code", piece) : bdi(piece)));
}

function part(title, ...children) {
  return el("section.op-part", { "aria-label": title }, el("h4", title), ...children);
}

function parameterTable(parameters) {
  return fieldTable(parameters.map(({ name, place, required, words, description, choices, example }) => ({
    name, required, description: [description, example ? `such as ${example}` : ""].filter(Boolean).join("; "),
    words: [place, choices ? words.replace("string, ", "") : words].filter(Boolean).join(" · "),
  })));
}

function bodyNode({ type, schema }) {
  const fields = fieldsOf(schema);
  return el("div.op-body",
    el("p", el("code", type), " ", el("span.dim", typeWords(schema))),
    fields.length ? fieldTable(fields) : null,
  );
}

function fieldTable(fields) {
  return el("table.fields", el("tbody", fields.map(({ name, required, words, description }) =>
    el("tr",
      el("th", { scope: "row" }, el("code", name), required ? el("span.required", "required") : null),
      el("td", el("span.dim", words), description ? [el("br"), el("span", worded(description))] : null),
    ),
  )));
}

function answerList(answers) {
  const done = answers.filter(({ isProblem }) => !isProblem);
  const problems = answers.filter(({ isProblem }) => isProblem);
  return [
    el("ul.answers", done.map(({ status, description, media }) =>
      el("li", el("b.good", status), ` ${description} `, el("span.dim", media.join(", "))))),
    problems.length ? el("p.dim", "Refused as ", el("code", "application/problem+json"), ": ",
      problems.map(({ status, description }) => el("span.refusal", { title: description }, status))) : null,
  ].filter(Boolean);
}
