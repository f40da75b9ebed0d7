// Small parts that the pages of runs are made of: a badge, a meter, figures, a button for an act, a section.

import { bdi, el, icon } from "../dom.js";
import { looksOf } from "./status.js";

/** The state of something in colour and in words. */
export function badge(state) {
  const { word, tone } = looksOf(state);
  return el(`span.badge.t-${tone}`, el(`span.dot.${tone}`), bdi(word));
}

/** How sure somebody is, 0 to 1; nothing if it was not told. */
export function confidenceMeter(value, label = "Confidence") {
  if (value === null) return null;
  const percent = Math.round(Math.min(1, Math.max(0, value)) * 100);
  return el("span.confidence", { title: `${label} ${percent} %` },
    el("span.meter", { "aria-hidden": "true", vars: { "--part": `${percent}%` } }),
    el("span.unseen", `${label} `), el("span", `${percent} %`),
  );
}

/** Figures of the headline: [[name, words, tone?, title?]]; those without words are left out. */
export function figureList(cells) {
  const there = cells.filter((cell) => cell && cell[1] !== null && cell[1] !== "");
  return el("dl.figures", there.map(([name, words, tone, title]) =>
    el("div.figure", { class: `figure ${tone ?? ""}`, title }, el("dt", name), el("dd", words)),
  ));
}

export function actButton({ label, icon: iconName, tone, act, title }) {
  return el("button", { type: "button", class: tone ?? null, title, on: { click: act } }, iconName ? icon(iconName, 14) : null, el("span", label));
}

/** A heading with what belongs to it: {node, body, side, setCount}. */
export function section(title, kind = "") {
  const count = el("span.count");
  const side = el("div.section-side");
  const body = el("div.section-body");
  const node = el(`section.part${kind}`, { "aria-label": title }, el("div.section-head", el("h2", title, " ", count), side), body);
  return { node, body, side, setCount: (words) => (count.textContent = words) };
}
