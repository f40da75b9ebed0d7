// What the page shows before there is any session: three ways to the first one.

import { el, icon } from "../dom.js";

export function emptyView(copy) {
  const url = location.origin;
  const post = [
    `curl ${url}/api/sessions/hello/events \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d '{"event_type": "message", "output_summary": "Hello, Runcast"}'`,
  ].join("\n");
  return el("div.empty-inner",
    el("h1", "Nothing has happened yet"),
    el("p.lead", "Sessions appear here by themselves, the moment their first event is on disk. Three ways to get one:"),
    el("div.ways",
      way("See what it looks like", "A demo session with tool calls, subagents and errors, played live.", "runcast demo", copy),
      way("Watch Claude Code on this machine", "Installs hooks that tell Runcast what each session does. They never slow it down, and work while this server is off.", "runcast install-hooks", copy),
      way("Publish from any program", "One event over HTTP; it is acknowledged when it is on disk.", post, copy),
    ),
    el("p.waiting-line", { role: "status" }, el("span.dot"), "Listening. This page changes when something comes."),
  );
}

function way(title, words, command, copy) {
  return el("section.way",
    el("h2", title),
    el("p", words),
    el("div.command",
      el("pre", { tabindex: 0 }, command),
      el("button", { type: "button", "aria-label": `Copy: ${title}`, on: { click: () => copy(command, "Copied.") } }, icon("copy"), "Copy"),
    ),
  );
}
