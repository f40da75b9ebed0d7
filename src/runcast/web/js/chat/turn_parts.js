// Small parts of what was said: when, and the buttons for what can be done about it.

import { el, icon } from "../dom.js";
import { clock, moment } from "../format.js";

const MINUTES = 5; // so many characters of a time of day are hours and minutes

export const whenSaid = ({ time, edited }) => [
  time ? el("time", { datetime: new Date(time).toISOString(), title: moment(time) }, clock(time).slice(0, MINUTES)) : null,
  edited ? el("span", "edited") : null,
].filter(Boolean);

export const actButton = (label, shape, act, kind = "") => el("button", { class: `quiet ${kind}`.trim(), type: "button", "aria-label": label, title: label, on: { click: act } }, icon(shape, 15));

/** The one thing to do about an answer that has broken off. */
export const againButton = (act) => el("button.again", { type: "button", on: { click: act } }, icon("retry", 14), "Try again");
