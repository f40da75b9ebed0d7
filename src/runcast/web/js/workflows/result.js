// What came of a workflow: the synthesis while it is written, then as it is meant to be read, with its sources.

import { bdi, el, icon } from "../dom.js";
import { compact, count } from "../format.js";
import { whenChanged } from "../runs/drawing.js";
import { GrowingText } from "../runs/growing.js";
import { confidenceMeter, section } from "../runs/parts.js";
import { sourcesView } from "../runs/sources_view.js";
import { prose } from "../views/prose.js";
import { writerOf } from "./state.js";

export class ResultView {
  #tools;
  #growing = new GrowingText("The result, as it is written");
  #draw = whenChanged((workflow) => this.#drawWhole(workflow));

  constructor(tools) {
    this.#tools = tools;
    const part = section("Result", ".result-part");
    this.node = part.node;
    this.body = part.body;
    this.side = part.side;
  }

  update(workflow) {
    const writer = writerOf(workflow);
    this.node.hidden = !workflow.synthesis && !workflow.error && !writer?.output;
    if (workflow.synthesis || workflow.error) return this.#draw([workflow.id, workflow.status, workflow.seq && workflow.ended], workflow);
    this.#draw([workflow.id, "writing"], null);
    if (!writer?.output) return;
    if (this.#growing.node.parentNode !== this.body) this.body.replaceChildren(this.#growing.node);
    this.#growing.update(writer.output);
  }

  #drawWhole(workflow) {
    if (!workflow) {
      this.body.replaceChildren();
      this.side.replaceChildren(el("span.writing", el("span.spinner", { "aria-hidden": "true" }), "Being written"));
      return;
    }
    const { synthesis, error } = workflow;
    this.side.replaceChildren(...(synthesis ? this.#sideOf(synthesis) : []));
    this.body.replaceChildren(
      ...(error ? [el(`p.problem${workflow.status === "cancelled" ? ".calm" : ""}`, { role: "status" }, icon(workflow.status === "cancelled" ? "note" : "error"), bdi(error))] : []),
      ...(synthesis ? [el("div.prose-block.synthesis", { dir: "auto" }, prose(synthesis.content || "It ended without a result in words."))] : []),
      ...[synthesis && sourcesView(synthesis.content, synthesis.sources)].filter(Boolean),
    );
  }

  #sideOf({ content, confidence, agents, tokens }) {
    return [
      confidenceMeter(confidence, "Confidence of the result"),
      agents ? el("span", `from ${count(agents, "agent")}`) : null,
      tokens ? el("span", `${compact(tokens)} tok`) : null,
      el("button.quiet", { type: "button", on: { click: () => this.#tools.copy(content, "Result copied as Markdown.") } }, icon("copy", 14), "Copy"),
    ].filter(Boolean);
  }
}
