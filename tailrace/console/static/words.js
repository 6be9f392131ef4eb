// Figures and states in words. Pure.

import { h } from "./dom.js";

export const UNKNOWN = "unknown";
const SIGNS = { equal: "=", behind: "<", different: "≠", unknown: "?", undecided: "?", running: "…" };

// A state as a sign and a word: the colour only repeats what they say.
export function state_of(state, word = state) {
  return h("span", { class: `state ${state}` }, h("b", { "aria-hidden": "true" }, SIGNS[state] ?? "?"), h("span", {}, word));
}

export function span(seconds) {
  if (seconds === null || seconds === undefined) return UNKNOWN;
  if (seconds < 0.0005) return "0 s";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function ago(at_ms, now_ms) {
  if (at_ms === null || at_ms === undefined) return "never";
  const seconds = Math.max(0, Math.floor((now_ms - at_ms) / 1000));
  return seconds < 1 ? "now" : `${seconds < 10 ? `${seconds} s` : span(seconds)} ago`;
}

export function when(at_ms, now_ms) {
  return h("time", { datetime: new Date(at_ms).toISOString(), title: new Date(at_ms).toLocaleString() }, ago(at_ms, now_ms));
}

export function count(number) {
  return number === null || number === undefined ? UNKNOWN : number.toLocaleString("en").replaceAll(",", " ");
}

export function rows(number) {
  return `${count(number)} ${number === 1 ? "row" : "rows"}`;
}

export function records(number) {
  return `${count(number)} ${number === 1 ? "record" : "records"}`;
}

export function share(part) {
  return part === null || part === undefined ? UNKNOWN : `${(part * 100).toFixed(part < 1 && part >= 0.999 ? 2 : 1)} %`;
}

export function key_text(key) {
  return Object.entries(key).map(([name, value]) => `${name} = ${value === null ? "NULL" : value}`).join(", ");
}

// Where two texts differ: what both begin with, what each has then, what both end with.
export function apart(one, other) {
  let begin = 0;
  while (begin < one.length && begin < other.length && one[begin] === other[begin]) begin += 1;
  let end = 0;
  const most = Math.min(one.length, other.length) - begin;
  while (end < most && one[one.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  return { begin: one.slice(0, begin), one: one.slice(begin, one.length - end), other: other.slice(begin, other.length - end), end: one.slice(one.length - end) };
}

// A table's first line; what stands above figures stands to the right, as they do.
export function heads(words, figures) {
  return h("thead", {}, h("tr", {}, words.map((word) => h("th", { scope: "col", class: figures.includes(word) ? "figure" : null }, word))));
}
