// Short messages in the corner, which screen readers say, too.

import { bdi, el, icon } from "../dom.js";

const STAY_MS = { good: 6_000, error: 9_000, warn: 9_000 };
const ICONS = { good: "live", warn: "alert", error: "error" };
const MOST = 4;

export class Toasts {
  constructor(place) {
    this.place = place;
  }

  say(text, { tone = "" } = {}) {
    const toast = el(`div.toast${tone ? `.${tone}` : ""}`, icon(ICONS[tone] ?? "note"), bdi(text));
    const same = [...this.place.children].find((one) => one.textContent === toast.textContent);
    same?.remove();
    this.place.append(toast);
    while (this.place.children.length > MOST) this.place.firstChild.remove();
    setTimeout(() => toast.remove(), STAY_MS[tone] ?? 4_000);
  }
}
