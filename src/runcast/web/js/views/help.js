// The help: every key, and what the page does, in a dialog.

import { el, icon } from "../dom.js";

/** That of the live page; the others bring their own. */
const LIVE = {
  keys: [
    [["j", "↓"], "next event"], [["k", "↑"], "previous event"],
    [["Enter"], "open or close details"], [["o"], "fold a subagent"],
    [["g"], "to the first event"], [["G"], "to the newest, live"],
    [["p"], "pause, or play"], [["."], "next event in time travel"],
    [["l"], "back to live"], [["t"], "jump to a time"],
    [["/"], "search sessions"], [["[", "]"], "previous, next session"],
    [["?"], "this help"], [["Esc"], "close, or leave time travel"],
  ],
  notes: [
    ["Reading the feed", "A call and its result are one row. What a subagent did stands under the call that started it. Scroll up for history: it is read from the log as you go, however long it is."],
    ["Time travel", "Click the chart or enter a time to see what was known then, and play on from there at 1× to 60×. Live events go on being counted meanwhile."],
  ],
};

/** `help` is {keys: [[keys, what]], notes: [[heading, words]]}. */
export function helpDialog(dialog, { keys, notes } = LIVE) {
  const close = el("button.quiet", { type: "button", "aria-label": "Close help", on: { click: () => dialog.close() } }, icon("close"));
  dialog.append(
    el("div.dialog-head", el("h2", { id: "help-title" }, "Keyboard and help"), close),
    el("dl.keys", keys.map(([names, what]) => [el("dt", names.map((name) => [el("kbd", name), " "])), el("dd", what)])),
    ...notes.flatMap(([heading, words]) => [el("h3", heading), el("p", words)]),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
