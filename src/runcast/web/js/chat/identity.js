// Who is chatting. A server that asks everybody gives a cookie that no script can read. An open server asks nobody, and
// has no cookies; but a chat needs to know people apart, so here the page keeps a token of its own.

import { showToken, signIn, signOut, whoAmI } from "../api.js";
import { keptOf, refresh } from "./api.js";
import { askWho } from "./signin.js";

const STORE = "runcast.chat";
const EARLY_MS = 60_000; // a token is renewed so long before its end
const LONGEST_TIMER_MS = 2_000_000_000;

export class Identity {
  #dialog;
  #kept = null; // {access, refresh, until}
  #timer = null;

  /** `onRenewed()` when there is a fresh token. */
  constructor(dialog, { onRenewed }) {
    this.#dialog = dialog;
    this.onRenewed = onRenewed;
    this.via = "";
    showToken(() => this.token);
  }

  /** The token that is to be shown; empty where a cookie is shown by itself. */
  get token() {
    return this.#kept?.access ?? "";
  }

  /** Resolves when it is known who one is, or can be found out: asks, if it must. */
  async begin() {
    const who = await whoAmI();
    this.via = who?.via === "cookie" ? "cookie" : who ? "token" : "cookie";
    if (this.via === "token") return this.#beginOpen();
    if (!who) await signIn((await askWho(this.#dialog)).access);
  }

  async leave() {
    if (this.via === "cookie") await signOut().catch(() => {});
    this.#keep(null);
    location.assign("/chat");
  }

  /** Get the next token; false if one has to say anew who one is. */
  async renew() {
    if (this.via !== "token") return false;
    const before = this.token;
    try {
      await alone(async () => {
        this.#kept = read() ?? this.#kept;
        if (this.token !== before && this.#kept.until > Date.now() + EARLY_MS) return; // another tab was first
        if (!this.#kept?.refresh) throw new Error("there is nothing to renew it with");
        this.#keep(keptOf(await refresh(this.#kept.refresh)));
      });
    } catch {
      return false;
    }
    this.#renewInTime();
    this.onRenewed();
    return true;
  }

  async #beginOpen() {
    this.#kept = read();
    const isOld = this.#kept && this.#kept.until < Date.now() + EARLY_MS;
    if (isOld && !(await this.renew())) this.#keep(null);
    if (!this.#kept) this.#keep(await askWho(this.#dialog));
    this.#renewInTime();
  }

  #keep(kept) {
    this.#kept = kept;
    try {
      if (kept) localStorage.setItem(STORE, JSON.stringify(kept));
      else localStorage.removeItem(STORE);
    } catch {
      // no storage here: known until this page is left
    }
  }

  #renewInTime() {
    clearTimeout(this.#timer);
    if (!this.#kept?.refresh) return;
    const wait = this.#kept.until - Date.now() - EARLY_MS;
    this.#timer = setTimeout(() => this.renew(), Math.min(LONGEST_TIMER_MS, Math.max(1_000, wait)));
  }
}

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE));
    return typeof kept?.access === "string" && Number.isFinite(kept.until) ? kept : null;
  } catch {
    return null;
  }
}

/** One tab at a time: a refresh token counts once, and one that is used twice ends the whole login. */
function alone(act) {
  return navigator.locks ? navigator.locks.request(STORE, act) : act();
}
