// Capture, the lanes, dead letters, and whether every record is accounted for.

import { h } from "./dom.js";
import { count, heads, key_text, share, span, when } from "./words.js";

const FIGURES = ["lag", "waiting", "applied", "stale", "parked", "p50", "p99", "objective", "in time"];

export function lanes({ state, silence, sink }) {
  const title = h("h2", { id: "lanes-title" }, "Lanes");
  if (!state) return [title, h("p", { class: "empty" }, `Not known: ${silence}.`)];
  const { capture } = state;
  const shown = state.lanes.filter((lane) => !sink || lane.sink === sink);
  const fills = Object.values(capture.filling).map((fill) => `filling ${fill.table ?? fill.name ?? ""}`);
  return [
    title,
    h("p", { class: "about" }, `Capture ${capture.state}${capture.reason ? `: ${capture.reason}` : ""}, lag ${span(capture.lag_s)}, position `,
      h("code", {}, capture.position ?? "unknown"), capture.engine ? `, its reader is ${capture.engine}` : "", fills.length ? `; ${fills.join(", ")}` : "",
      capture.absent.length ? `; MySQL has no ${capture.absent.join(", ")}` : "", "."),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "lanes" }, h("table", { class: "stack" },
      heads(["lane", "state", ...FIGURES], FIGURES),
      h("tbody", {}, shown.map(lane_row)))),
  ];
}

function lane_row(lane) {
  const late = lane.lag_s !== null && lane.lag_s * 1000 > lane.objective_ms;
  const figures = [
    span(lane.lag_s) + (late ? " late" : ""), count(lane.waiting), count(lane.applied), count(lane.stale), count(lane.parked),
    milliseconds(lane.fresh_p50_ms), milliseconds(lane.fresh_p99_ms), span(lane.objective_ms / 1000), share(lane.attained),
  ];
  const bad = { lag: late, parked: lane.parked > 0 };
  return h("tr", { "data-key": `${lane.sink}.${lane.tier}` },
    h("th", { scope: "row", "data-label": "lane" }, lane.sink, h("small", {}, lane.tier)),
    h("td", { "data-label": "state", class: lane.state === "running" ? "" : "warn" }, lane.state, lane.reason ? h("small", {}, lane.reason) : null),
    FIGURES.map((label, index) => h("td", { class: bad[label] ? "figure late" : "figure", "data-label": label }, figures[index])));
}

function milliseconds(found) {
  return found === null ? "unknown" : span(found / 1000);
}

export function letters({ list, error, write, silence, sink, now_ms }) {
  const shown = (list ?? []).filter((letter) => !sink || letter.sink === sink);
  const title = h("h2", { id: "letters-title" }, "Dead letters", list ? h("span", { class: "tally" }, count(shown.length)) : null,
    write && shown.length && !silence ? h("span", { class: "buttons" },
      h("button", { type: "button", "data-act": "retry" }, "Retry these…"), h("button", { type: "button", "data-act": "discard" }, "Discard these…")) : null);
  if (silence || error) return [title, h("p", { class: "empty" }, `Not known: ${silence || error}.`)];
  if (!list) return [title, h("p", { class: "empty" }, "Asking…")];
  if (!shown.length) return [title, h("p", { class: "empty" }, "None is open.")];
  return [title, h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "dead letters" }, h("table", { class: "stack" },
    heads([...(write ? [""] : []), "row", "store", "refused because", "times", "since", "position"], ["times", "since", "position"]),
    h("tbody", {}, shown.map((letter) => letter_row(letter, write, now_ms)))))];
}

function letter_row(letter, write, now_ms) {
  const label = `${letter.table || letter.target} ${key_text(letter.key)}`;
  return h("tr", { "data-key": `${letter.sink}|${letter.target}|${letter.id}` },
    write ? h("td", { class: "box" }, h("input", { type: "checkbox", checked: true, "data-letter": letter.id, "aria-label": `Choose ${label}` })) : null,
    h("th", { scope: "row", "data-label": "row" }, letter.table || letter.target, " ", h("code", {}, key_text(letter.key))),
    h("td", { "data-label": "store" }, letter.sink), h("td", { class: "wide", "data-label": "refused because" }, letter.reason),
    h("td", { class: "figure", "data-label": "times" }, count(letter.times)), h("td", { class: "figure", "data-label": "since" }, when(Date.parse(letter.parked_at), now_ms)),
    h("td", { class: "figure position", "data-label": "position" }, h("code", {}, letter.position)));
}

const many = (targets) => `${count(targets)} ${targets === 1 ? "target" : "targets"}`;

export function conservation({ state, silence, sink, now_ms }) {
  const title = h("h2", { id: "conservation-title" }, "Conservation", h("small", {}, "what became of every record that was captured"));
  if (!state) return [title, h("p", { class: "empty" }, `Not known: ${silence}.`)];
  const targets = state.conservation.filter((one) => !sink || one.sink === sink);
  if (!targets.length) return [title, h("p", { class: "empty" }, "Not counted yet.")];
  const open = targets.filter((one) => one.remainder !== 0);
  const sum = (name) => targets.reduce((all, one) => all + one[name], 0);
  const without = targets.filter((one) => one.without > 0).length;
  return [title,
    open.length ? h("p", { class: "warn" }, `Of ${count(open.length)} of ${many(targets.length)} records are accounted for by nobody, or twice (below nought).`) : null,
    h("p", { class: "about" }, open.length ? "" : `All ${count(sum("captured"))} records of ${many(targets.length)} are accounted for, or in flight (${count(sum("in_flight"))}). `,
    "Counted ", when(Math.max(...targets.map((one) => one.at_ms)), now_ms), ".",
    without ? ` Of ${many(without)} some partitions have no account yet: nothing was delivered from them.` : null),
    open.length ? h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "conservation" }, h("table", { class: "stack" }, heads(["target", "captured", "in flight", "remainder"], ["captured", "in flight", "remainder"]),
      h("tbody", {}, open.map((one) => h("tr", { "data-key": `${one.sink}|${one.target}|${one.table}` }, h("th", { scope: "row", "data-label": "target" }, `${one.table} in ${one.sink}`, one.target === one.table ? null : h("small", {}, one.target)),
        [["captured", one.captured], ["in flight", one.in_flight], ["remainder", one.remainder]].map(([label, figure]) => h("td", { class: label === "remainder" ? "figure late" : "figure", "data-label": label }, count(figure)))))))) : null];
}
