// Which model has answered; the built-in one, which writes nothing of its own, is told apart.

import { bdi, el } from "../dom.js";

const EXTRACTIVE = "No language model is set up: this is quoted from the knowledge base. Set RUNCAST_LLM_MODEL to have answers written.";

export function modelNote(model) {
  if (model !== "extractive") return bdi(model, "mono");
  return el("span.model-note", { title: EXTRACTIVE }, el("b", "extractive"), ", no language model");
}
