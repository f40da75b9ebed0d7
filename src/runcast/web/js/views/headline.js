// The head of the feed: whose activity it is, and its totals.

import { bdi, el, icon } from "../dom.js";
import { compact, count, duration, moment, usd, whole } from "../format.js";
import { nameOf, stateOfSession } from "../summaries.js";

export class HeadlineView {
  #version = "";

  constructor(place, { back }) {
    this.place = place;
    this.back = back;
  }

  /**
   * `session` is null for all of them, `unknown` if nothing is known of it; `then` are sums until a moment of the
   * past, or null; `axis` is the chart's.
   */
  update(session, all, now, { then, axis }) {
    const state = session && !session.unknown ? stateOfSession(session, now) : null;
    const version = JSON.stringify([session, state, all.length, then, axis.active, session ? 0 : sums(all)]);
    if (version === this.#version) return;
    this.#version = version;
    const back = el("button.quiet.to-list", { type: "button", "aria-label": "Back to sessions", on: { click: this.back } }, icon("back"));
    const numbers = session?.unknown ? [] : [figures(session, all, state, { then, axis })];
    this.place.replaceChildren(back, words(session, all, state), ...numbers);
  }
}

function words(session, all, state) {
  if (!session) {
    return el("div.headline-text", el("h1", "All activity"), el("p.headline-meta", `${count(all.length, "session")}, newest activity last`));
  }
  return el("div.headline-text",
    el("h1", state ? el(`span.dot.${state}`, { role: "img", "aria-label": state, title: state }) : null, bdi(nameOf(session))),
    el("p.headline-meta",
      session.unknown ? "nothing published yet" : null,
      session.title ? bdi(session.id, "mono") : null,
      session.model ? bdi(session.model) : null,
      session.cwd ? bdi(session.cwd, "mono") : null,
      session.first ? el("span", `since ${moment(session.first)}`) : null,
    ),
  );
}

function figures(session, all, state, { then, axis }) {
  const cells = then ? thenCells(then) : nowCells(session ?? sums(all), state, session ? axis : null);
  return el("dl.figures", cells.filter(Boolean).map(([name, value, tone, title]) =>
    el("div.figure", { class: `figure ${tone ?? ""}`, title }, el("dt", name), el("dd", value)),
  ));
}

function thenCells(then) {
  return [
    ["tokens by then", compact(then.tokens)], ["events by then", compact(then.events)],
    ["errors by then", whole(then.errors), then.errors ? "bad" : ""],
  ];
}

function nowCells(sum, state, axis) {
  return [
    axis?.active ? ["active", duration(axis.active / 1000), "", wholeSpan(axis)] : null,
    ["tool calls", compact(sum.calls)],
    sum.subagents ? ["subagents", compact(sum.subagents)] : null,
    sum.running && state !== "ended" ? ["running", whole(sum.running), "good"] : null,
    ["errors", compact(sum.errors), sum.errors ? "bad" : ""],
    sum.usd ? ["cost", usd(sum.usd)] : null,
    ["output tokens", compact(sum.tokens)],
  ];
}

function wholeSpan({ first, last }) {
  return `Time in which something happened, within ${duration((last - first) / 1000)} from ${moment(first)} to ${moment(last)}`;
}

function sums(all) {
  const sum = { calls: 0, errors: 0, tokens: 0, usd: 0, running: 0, subagents: 0 };
  for (const session of all) for (const name of Object.keys(sum)) sum[name] += session[name] ?? 0;
  return sum;
}
