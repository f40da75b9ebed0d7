// What is shown of a run that nothing is known of: not yet, or not at all.

import { el } from "../dom.js";

export function unknownRun(noun, run) {
  const { phase, reason } = run.connection;
  if (phase === "closed" && reason) return el("div.nothing", el("h2", "It cannot be shown"), el("p", reason));
  if (!run.settled) return el("div.nothing", { "aria-hidden": "true" }, el("span.spinner"));
  return el("div.nothing",
    el("h2", `There is no ${noun} of this name yet`),
    el("p", "Nothing was published to ", el("code", run.id), ". If it begins, it appears here by itself."),
  );
}
