// One answer: what its agent is at, its words as they come, then the whole with its sources, and what can be done about it.

import { bdi, el, icon, setText } from "../dom.js";
import { typeLabel } from "../events.js";
import { whenChanged } from "../runs/drawing.js";
import { GrowingText } from "../runs/growing.js";
import { modelNote } from "../runs/model.js";
import { confidenceMeter } from "../runs/parts.js";
import { sourcesView } from "../runs/sources_view.js";
import { own } from "../runs/values.js";
import { prose } from "../views/prose.js";
import { factsOf } from "./state.js";
import { actButton, againButton, whenSaid } from "./turn_parts.js";

const STEPS = { starting: ["Taken up", "clock"], agent_routing: ["Routing", "route"], rag_retrieval: ["Knowledge base", "book"], generating: ["Writing", "pencil"] };
const QUOTED_CHARS = 160;
const BROKEN = new Set(["failed", "cancelled"]); // there is more to be said

export class AnswerTurn {
  #head = el("div.turn-who");
  #quote = el("p.quote", { hidden: true });
  #doing = el("div.doing", { hidden: true });
  #body = el("div.answer-body");
  #foot = el("div.answer-foot");
  #read = el("div.turn-read");
  #growing = new GrowingText("The answer, as it is written");
  #drawHead = whenChanged((told) => this.#head.replaceChildren(...headOf(told)));
  #drawQuote = whenChanged((quoted) => {
    this.#quote.hidden = !quoted;
    this.#quote.replaceChildren(...(quoted ? [icon("reply", 13), bdi(quoted.text.slice(0, QUOTED_CHARS))] : []));
  });
  #drawDoing = whenChanged((told) => this.#doing.replaceChildren(...doingOf(told)));
  #drawEnd;

  constructor(act) {
    this.node = el("li.turn.answer", this.#head, this.#quote, this.#doing, this.#body, this.#foot, this.#read);
    this.#drawEnd = whenChanged((told, room) => {
      this.#body.replaceChildren(...endOf(told));
      this.#foot.replaceChildren(...footOf(told, room, act));
    });
  }

  update(told, room) {
    const { agent, routing } = factsOf(told);
    this.node.classList.toggle("pending", told.pending);
    this.node.classList.toggle("broken", BROKEN.has(told.status));
    this.node.setAttribute("aria-busy", String(told.pending));
    this.#drawHead([agent, routing, told.time, told.edited], told);
    this.#drawQuote(told.quoted?.id ?? "", told.quoted);
    this.#doing.hidden = !told.pending;
    if (told.pending) return this.#grow(told);
    this.#drawEnd([told.version, room.owns], told, room);
    const readers = room.readers.get(told.id) ?? [];
    setText(this.#read, readers.length ? `Read by ${readers.map(({ name, id }) => name || id).join(", ")}` : "");
  }

  #grow(told) {
    this.#drawDoing([told.steps, told.cancelled, told.text.length > 0], told);
    if (!told.text) return;
    if (this.#growing.node.parentNode !== this.#body) this.#body.replaceChildren(this.#growing.node);
    this.#growing.update(told.text);
  }
}

function headOf(told) {
  const { agent, routing } = factsOf(told);
  const percent = routing === null ? "" : `${Math.round(routing * 100)} % sure`;
  const words = percent ? `The classifier chose this agent, ${percent}` : null;
  return [
    el("span.agent-mark", icon("thinking", 14)),
    el("b", { title: words }, agent ? bdi(typeLabel(agent)) : "Assistant"),
    percent ? el("span.routing", { title: words }, `chosen, ${percent}`) : null,
    ...whenSaid(told),
  ].filter(Boolean);
}

/** What it is at, and what it was at before. */
function doingOf({ steps, cancelled, text }) {
  if (cancelled) return [el("span.spinner"), el("span", "Being stopped…")];
  const last = steps.at(-1);
  const done = steps.slice(0, -1).filter(({ step }, at, all) => all.findIndex((one) => one.step === step) === at);
  return [
    ...done.map(({ step, message }) => el("span.done-step", { title: message }, icon(own(STEPS, step)?.[1] ?? "check", 13), bdi(own(STEPS, step)?.[0] ?? typeLabel(step)))),
    el("span.now-step", el("span.spinner"), bdi(last?.message || (text ? "Answering" : "Waiting for its turn"))),
  ];
}

function endOf({ text, status, error }) {
  return [
    text ? el("div.prose-block", { dir: "auto" }, prose(text)) : null,
    status === "cancelled" ? el("p.turn-note", icon("end", 12), text ? "Stopped here." : "Stopped before anything was said.") : null,
    status === "failed" ? el("p.problem", { role: "status" }, icon("error"), bdi(error)) : null,
    !text && status === "complete" ? el("p.turn-note", "It said nothing.") : null,
  ].filter(Boolean);
}

function footOf(told, { owns }, act) {
  const { confidence, model, sources, truncated } = factsOf(told);
  return [
    sourcesView(told.text, sources),
    el("div.answer-line",
      confidenceMeter(confidence),
      model ? el("span.answer-model", modelNote(model)) : null,
      truncated ? el("span.t-warn", "cut short by the model's limit") : null,
      el("div.turn-acts",
        BROKEN.has(told.status) ? againButton(() => act.retry(told)) : null,
        told.text ? actButton("Copy", "copy", () => act.copy(told)) : null,
        BROKEN.has(told.status) ? null : actButton("Try again", "retry", () => act.retry(told)),
        owns ? actButton("Delete", "trash", () => act.remove(told)) : null,
      ),
    ),
  ].filter(Boolean);
}
