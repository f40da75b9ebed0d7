// Asks before something is done that cannot be undone, and for the word that goes with it.

import { el } from "../dom.js";

const MOST_CHARS = 2_000;

/**
 * Resolves to {text} when `label` was pressed, or null. `field` is the label of a text that may go with it; without
 * one there is nothing to write. The text begins as `text`; `code` is for one that is read by a program.
 */
export function ask(dialog, { title, words, label, tone = "primary", field = null, text = "", code = false }) {
  return new Promise((resolve) => {
    const input = field ? el("textarea", { id: "ask-text", rows: code ? 10 : 3, maxlength: code ? null : MOST_CHARS, class: code ? "code" : null, spellcheck: !code }) : null;
    if (input) input.value = text;
    const send = (event) => {
      event.preventDefault();
      dialog.close("yes");
    };
    const form = el("form.ask-form", { on: { submit: send } },
      el("h2", { id: "ask-title" }, title),
      words ? el("p", words) : null,
      input ? [el("label", { for: "ask-text" }, field), input] : null,
      el("div.ask-buttons",
        el("button", { type: "button", on: { click: () => dialog.close("") } }, "Back"),
        el(`button.${tone}`, { type: "submit", autofocus: !field }, label),
      ),
    );
    dialog.returnValue = "";
    dialog.replaceChildren(form);
    dialog.onclick = ({ target }) => {
      if (target === dialog) dialog.close("");
    };
    dialog.onclose = () => resolve(dialog.returnValue === "yes" ? { text: input?.value.trim() ?? "" } : null);
    dialog.showModal();
  });
}
