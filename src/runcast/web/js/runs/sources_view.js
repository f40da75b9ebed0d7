// The sources of a text, each file once with what of it was used.

import { bdi, el, icon } from "../dom.js";
import { sourcesIn } from "./sources.js";
import { isObject, textOf } from "./values.js";

/** `told` are texts, or objects that name themselves and may have a `heading`; without any, those that the text cites. */
export function sourcesView(text, told) {
  const sources = told.length ? grouped(told) : sourcesIn(text);
  if (!sources.length) return null;
  return el("div.sources", el("h3", "Sources"), el("ul", sources.map(({ name, headings }) =>
    el("li", icon("file", 14), bdi(name, "source-name"), headings.length ? el("span.source-headings", { title: headings.join(" · ") }, bdi(headings.join(" · "))) : null),
  )));
}

function grouped(told) {
  const sources = new Map();
  for (const one of told) {
    const name = textOf(one) || (isObject(one) ? textOf(one.source) || textOf(one.name) || textOf(one.title) : "");
    if (!name) continue;
    if (!sources.has(name)) sources.set(name, { name, headings: [] });
    const heading = isObject(one) ? textOf(one.heading) : "";
    const { headings } = sources.get(name);
    if (heading && !headings.includes(heading)) headings.push(heading);
  }
  return [...sources.values()];
}
