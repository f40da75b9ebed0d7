// The part of the log that is in memory: one run of events without a hole, bounded at both ends. Pure.
//
// What is dropped at one end is fetched again by that end's cursor when somebody scrolls there.

import { keyOf } from "./events.js";

export const MAX_EVENTS = 3_000;
export const MAX_CHARS = 12_000_000;

export class EventWindow {
  /** `now` marks for `after`: nothing newer is known. */
  constructor({ maxEvents = MAX_EVENTS, maxChars = MAX_CHARS } = {}) {
    this.maxEvents = maxEvents;
    this.maxChars = maxChars;
    this.clear();
  }

  clear() {
    this.events = [];
    this.keys = new Set();
    this.chars = 0;
    this.before = null; // the cursor to page back from; null: this is the beginning
    this.after = null; // the cursor to go on from
    this.atEnd = false; // nothing newer but what comes live
  }

  get atStart() {
    return this.before === null;
  }

  /** Begin anew with a page {events, before, cursor, complete}. */
  replace(page) {
    this.clear();
    this.#add(page.events, "push");
    this.before = page.before;
    this.after = page.cursor;
    this.atEnd = page.complete;
  }

  /** Put an older page in front. Returns how many events were new. */
  prepend(page) {
    const added = this.#add(page.events, "unshift");
    this.before = page.before;
    return added;
  }

  /** Put a newer page, or live events, behind. Returns how many events were new. */
  append(page) {
    const added = this.#add(page.events, "push");
    if (page.cursor) this.after = page.cursor;
    if (page.complete !== undefined) this.atEnd = page.complete;
    return added;
  }

  /** Drop from one end what is over the bounds. */
  trim(end) {
    let surplus = Math.max(0, this.events.length - this.maxEvents);
    let chars = this.chars;
    for (let at = 0; at < surplus || (chars > this.maxChars && at < this.events.length - 1); at += 1) {
      chars -= sizeOf(this.events[end === "front" ? at : this.events.length - 1 - at]);
      surplus = Math.max(surplus, at + 1);
    }
    if (!surplus) return 0;
    const gone = end === "front" ? this.events.splice(0, surplus) : this.events.splice(-surplus);
    for (const event of gone) {
      this.keys.delete(keyOf(event));
      this.chars -= sizeOf(event);
    }
    if (end === "front") this.before = this.events[0]?.cursor ?? this.after;
    else this.#cutEnd();
    return surplus;
  }

  has(key) {
    return this.keys.has(key);
  }

  #cutEnd() {
    this.after = this.events.at(-1)?.cursor ?? this.after;
    this.atEnd = false;
  }

  #add(events, how) {
    const fresh = events.filter((event) => {
      const key = keyOf(event);
      if (this.keys.has(key)) return false;
      this.keys.add(key);
      this.chars += sizeOf(event);
      return true;
    });
    if (how === "push") for (const event of fresh) this.events.push(event);
    else this.events = fresh.concat(this.events);
    return fresh.length;
  }
}

const sizes = new WeakMap();

function sizeOf(event) {
  let size = sizes.get(event);
  if (size === undefined) {
    size = 400;
    for (const value of Object.values(event)) {
      if (typeof value === "string") size += value.length;
      else if (typeof value === "object" && value !== null) size += JSON.stringify(value).length;
    }
    sizes.set(event, size);
  }
  return size;
}
