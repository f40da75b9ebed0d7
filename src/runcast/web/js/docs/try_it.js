// The form that sends a request to this server and shows what comes back, as it comes.

import { el } from "../dom.js";
import { addressOf, curlOf, exampleOf, missing } from "./spec.js";

const MOST_CHARS = 200_000;

/** The form of one operation. */
export function tryForm(operation) {
  const inputs = operation.parameters.map((parameter) => parameterInput(operation, parameter));
  const body = operation.body ? bodyInput(operation) : null;
  const send = el("button.primary", { type: "submit" }, "Send");
  const stop = el("button", { type: "button", hidden: true }, "Stop");
  const curl = el("code.curl", { "aria-label": "The request as a line for a shell" });
  const answer = el("div.answer", { "aria-live": "polite" });
  const form = el("form.try", { novalidate: true }, inputs.map(({ node }) => node), body?.node, el("div.try-row", send, stop, curl), answer);

  const values = () => Object.fromEntries(inputs.map(({ name, read }) => [name, read()]));
  const describe = () => {
    curl.textContent = curlOf(operation, addressOf(operation, values()), body?.type() ?? "", body?.text() ?? "", location.origin);
  };
  form.addEventListener("input", describe);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const lacking = missing(operation, values());
    for (const { name, mark } of inputs) mark(lacking.includes(name));
    if (lacking.length) answer.replaceChildren(el("p.bad", `Please fill in ${lacking.join(", ")}.`));
    else void request(operation, addressOf(operation, values()), body, { send, stop, answer });
  });
  describe();
  return form;
}

function parameterInput(operation, { name, required, choices, example, byDefault, place }) {
  const id = `${operation.id}--${name}`;
  const input = choices
    ? el("select", { id }, el("option", { value: "" }, byDefault ? `(${byDefault})` : ""), choices.map((choice) => el("option", choice)))
    : el("input", { id, placeholder: example || byDefault || (place === "path" ? name : ""), autocomplete: "off", spellcheck: "false", required });
  return {
    name, read: () => input.value.trim(),
    mark: (isMissing) => (isMissing ? input.setAttribute("aria-invalid", "true") : input.removeAttribute("aria-invalid")),
    node: el("div.try-field", el("label", { for: id }, name), input),
  };
}

function bodyInput(operation) {
  const { media } = operation.body;
  const first = media.find(({ type }) => type.includes("json")) ?? media[0];
  const id = `${operation.id}--body`;
  const text = el("textarea", { id, rows: 6, spellcheck: "false", autocomplete: "off" });
  text.value = operation.body.required ? JSON.stringify(exampleOf(first.schema), null, 2) : "";
  return { type: () => first.type, text: () => text.value, node: el("div.try-field.wide", el("label", { for: id }, "Body"), text) };
}

async function request({ method }, address, body, { send, stop, answer }) {
  const ending = new AbortController();
  stop.onclick = () => ending.abort();
  send.disabled = true;
  stop.hidden = false;
  const began = performance.now();
  const line = el("p.answer-line", "Sending …");
  const shown = el("pre", { tabindex: 0 });
  answer.replaceChildren(line, shown);
  try {
    const text = body?.text() ?? "";
    const headers = body ? { "Content-Type": body.type() } : {};
    const response = await fetch(address, { method, headers, body: text || undefined, signal: ending.signal, cache: "no-store" });
    const took = Math.round(performance.now() - began);
    const tone = response.ok ? "good" : "bad";
    line.replaceChildren(
      el(`b.${tone}`, `${response.status} ${response.statusText}`), ` in ${took} ms `, el("span.dim", response.headers.get("content-type") ?? ""),
    );
    await show(response, shown, () => ending.abort());
  } catch (error) {
    const words = ending.signal.aborted ? "Stopped." : `Nothing came back: ${error.message}.`;
    answer.append(el("p.dim", words));
  } finally {
    send.disabled = false;
    stop.hidden = true;
  }
}

/** The body as text, as it comes: a stream is shown until somebody stops it. */
async function show(response, place, enough) {
  if (!response.body) return;
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
    if (!isJson) place.textContent = text;
    if (text.length > MOST_CHARS) {
      text = `${text.slice(0, MOST_CHARS)}\n… and more`;
      enough();
      break;
    }
  }
  place.textContent = isJson ? indented(text) : text;
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
