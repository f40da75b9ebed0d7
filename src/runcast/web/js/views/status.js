// The pill that says how the page stands with the server: live, reconnecting, offline, in the past.

import { el, icon, setText } from "../dom.js";

export class StatusView {
  #words;
  #pill;
  #button;

  constructor(place, { retry }) {
    this.#words = el("span");
    this.#pill = el("span.pill", { "data-phase": "" }, el("span.dot"), this.#words);
    this.#button = el("button.quiet", { type: "button", hidden: true, on: { click: retry } }, "Try now");
    place.append(this.#pill, this.#button);
  }

  update(connection, { mode, paused, error, unknown }) {
    const [tone, words] = said(connection, { mode, paused, error, unknown });
    this.#pill.className = `pill ${tone}`;
    this.#pill.dataset.phase = connection.phase;
    this.#pill.firstChild.classList.toggle("beats", tone === "live");
    this.#pill.title = connection.reason ?? "";
    setText(this.#words, words);
    this.#button.hidden = !(connection.phase === "waiting" || connection.phase === "offline");
  }
}

function said(connection, { mode, paused, error, unknown }) {
  const { phase, retryAt, reason } = connection;
  if (phase === "waiting") {
    const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    return ["waiting", seconds ? `Reconnecting in ${seconds} s` : "Reconnecting…"];
  }
  if (phase === "connecting") return ["waiting", connection.attempt ? "Reconnecting…" : "Connecting…"];
  if (phase === "offline") return ["offline", "Offline"];
  if (error) return ["offline", "No connection"];
  if (phase === "closed") return ["", reason ? reason.charAt(0).toUpperCase() + reason.slice(1) : "Not connected"];
  if (mode === "travel") return ["past", "In the past"];
  if (paused) return ["past", "Paused"];
  if (unknown) return ["past", "Waiting for events"];
  return ["live", "Live"];
}

/** The button that turns the theme, and remembers it. */
export function themeButton(button) {
  const root = document.documentElement;
  const isDark = () => getComputedStyle(root).colorScheme === "dark" || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const label = () => {
    const to = `Switch to ${isDark() ? "light" : "dark"} theme`;
    button.setAttribute("aria-label", to);
    button.title = to;
  };
  button.append(icon("theme", 18));
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("runcast.theme", root.dataset.theme);
    } catch {
      // not remembered then
    }
    label();
  });
  label();
}
