// What the steps of tasks are called and look like; those that nobody has told us of go by their own names. Pure.

import { typeLabel } from "../events.js";
import { own } from "../runs/values.js";

const STEPS = {
  queued: ["Queued", "clock"],
  started: ["Started", "play"],
  retrying: ["To be tried again", "retry"],
  completed: ["Completed", "check"],
  failed: ["Failed", "error"],
  task_command: ["To be cancelled", "close"],
  processing: ["Processing", "tool"],
  entity_extraction: ["Entity extraction", "search"],
  tool_execution: ["Tools", "tool"],
  scam_db: ["Scam database", "usage"],
  exa_search: ["Web search", "globe"],
  domain_reputation: ["Domain reputation", "plug"],
  phone_validator: ["Phone numbers", "phone"],
  reasoning: ["Reasoning", "thinking"],
};
const TYPES = { scam_analysis: "Scam analysis" };

export const labelOfStep = (step) => own(STEPS, step)?.[0] ?? (typeLabel(step) || step);
export const iconOfStep = (step) => own(STEPS, step)?.[1] ?? "note";
export const labelOfType = (type) => own(TYPES, type) ?? typeLabel(type);
