// The bar of time travel: play, speed, a scrubber over the session, back to live.

import { el, icon, setText } from "../dom.js";
import { duration, moment } from "../format.js";
import { SPEEDS } from "../player.js";

const STEPS = 1_000;

export class PlayerView {
  #play;
  #time;
  #note;
  #scrubber;
  #speed;
  #skip;
  #axis = null;
  #dragging = false;

  constructor(place, feed) {
    this.place = place;
    this.feed = feed;
    this.#play = el("button.play", { type: "button", on: { click: () => feed.togglePlay() } });
    this.#time = el("span");
    this.#note = el("small");
    this.#scrubber = el("input", { type: "range", min: 0, max: STEPS, step: 1, "aria-label": "Moment" });
    this.#speed = el("select", { "aria-label": "Speed" }, SPEEDS.map((speed) => el("option", { value: speed }, `${speed}×`)));
    this.#skip = el("input", { type: "checkbox", checked: true });
    place.append(
      this.#play,
      el("button.quiet", { type: "button", "aria-label": "Next event", title: "Next event (.)", on: { click: () => feed.step() } }, icon("step")),
      el("div.player-time", this.#time, this.#note),
      this.#scrubber,
      this.#speed,
      el("label.skip-idle", this.#skip, "Skip idle time"),
      el("button", { type: "button", on: { click: () => feed.showFollowing() } }, "Show what follows"),
      el("button.primary.to-live", { type: "button", on: { click: () => feed.goLive() } }, icon("live", 15), "Back to live"),
    );
    this.#listen();
  }

  /** `axis` is from the beginning to the end of what can be travelled. */
  update(axis) {
    const { travel } = this.feed;
    this.place.hidden = !travel;
    if (!travel) return;
    this.#axis = axis;
    const label = travel.playing ? "Pause" : "Play";
    if (this.#play.getAttribute("aria-label") !== label) {
      this.#play.setAttribute("aria-label", label);
      this.#play.replaceChildren(icon(travel.playing ? "pause" : "play", 18));
    }
    travel.skipIdle = this.#skip.checked;
    this.#speed.value = String(this.feed.speed);
    setText(this.#time, moment(travel.time));
    setText(this.#note, noteOf(travel, this.feed.pending));
    this.#scrubber.disabled = !axis.last; // nothing happened yet
    if (!this.#dragging) this.#scrubber.value = String(Math.round(axis.partOf(travel.time) * STEPS));
    this.#scrubber.setAttribute("aria-valuetext", moment(travel.time));
  }

  #listen() {
    this.#speed.addEventListener("change", () => this.feed.setSpeed(Number(this.#speed.value)));
    this.#skip.addEventListener("change", () => this.feed.travel && (this.feed.travel.skipIdle = this.#skip.checked));
    this.#scrubber.addEventListener("input", () => {
      this.#dragging = true;
      setText(this.#time, moment(this.#chosen()));
    });
    this.#scrubber.addEventListener("change", () => {
      this.#dragging = false;
      this.feed.travelTo(this.#chosen());
    });
  }

  #chosen() {
    return this.#axis.timeAt(Number(this.#scrubber.value) / STEPS);
  }
}

function noteOf(travel, pending) {
  const skipped = travel.playing && travel.skipped ? `skipped ${duration(travel.skipped / 1000)} of nothing` : "";
  const waiting = pending ? `${pending.toLocaleString("en-US")} new meanwhile` : "";
  return [skipped, waiting].filter(Boolean).join(" · ") || (travel.playing ? "playing" : "paused");
}
