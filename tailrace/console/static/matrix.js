// The answer, and the matrix of version × store.

import { h } from "./dom.js";
import { ago, count, records, span, state_of, when } from "./words.js";

export function answer({ headline, now_ms }) {
  const rests = headline.state === "equal" && headline.checked_at_ms !== null
    ? h("small", {}, `The oldest audit that this rests on is of ${ago(headline.checked_at_ms, now_ms)}.`) : null;
  return h("div", { class: `answer ${headline.state}` },
    state_of(headline.state, ""), h("div", {}, h("div", { role: "status" }, h("h2", {}, headline.title), h("p", {}, headline.text)), rests));
}

export function matrix({ rows: versions, chosen, now_ms }) {
  const sinks = [...new Set(versions.flatMap((row) => row.cells.map((cell) => cell.sink)))];
  return [
    h("h2", { id: "matrix-title" }, "Every store against MySQL", h("small", {}, "lag / objective, and the last audit of the whole store")),
    h("div", { class: "scroll" }, h("table", { class: "matrix", role: "table" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, h("th", { role: "columnheader", scope: "col" }, "version"),
        sinks.map((sink) => h("th", { role: "columnheader", scope: "col" }, sink)))),
      h("tbody", { role: "rowgroup" }, versions.map((row) => version_row(row, sinks, chosen, now_ms))))),
  ];
}

function version_row(row, sinks, chosen, now_ms) {
  const cells = new Map(row.cells.map((cell) => [cell.sink, cell]));
  return h("tr", { role: "row", "data-key": row.version },
    h("th", { role: "rowheader", scope: "row" }, h("span", { class: "name" }, row.version),
      h("small", { class: row.answers ? "" : "warn" }, row.answers ? "agent answers" : silent(row, now_ms))),
    sinks.map((sink) => cells.has(sink) ? store_cell(row, cells.get(sink), chosen, now_ms)
      : h("td", { role: "cell", class: "none" }, h("span", { class: "sink" }, sink), "not declared")));
}

function silent(row, now_ms) {
  return row.heard_ms === null ? row.silence : `${row.silence}; heard ${ago(row.heard_ms, now_ms)}`;
}

function store_cell(row, cell, chosen, now_ms) {
  const picked = chosen.version === row.version && chosen.sink === cell.sink;
  const extra = [
    cell.open_incidents ? `${count(cell.open_incidents)} open ${cell.open_incidents === 1 ? "incident" : "incidents"}` : null,
    cell.undecided ? `${count(cell.undecided)} undecided` : null,
    cell.unaccounted ? `${records(cell.unaccounted)} unaccounted for` : null,
    cell.letters ? `${count(cell.letters)} dead ${cell.letters === 1 ? "letter" : "letters"}` : null,
  ].filter(Boolean);
  return h("td", { role: "cell", class: `cell ${cell.state}` },
    h("button", { type: "button", "data-act": "pick", "data-version": row.version, "data-sink": cell.sink, "aria-pressed": picked ? "true" : "false" },
      h("span", { class: "sink" }, cell.sink),
      state_of(cell.state),
      h("span", { class: cell.late ? "figure late" : "figure" }, lag(cell)),
      h("span", { class: "figure" }, checked(cell, now_ms)),
      extra.map((text) => h("span", { class: "figure more" }, text)),
      cell.reason ? h("span", { class: "reason" }, cell.reason) : null));
}

function lag(cell) {
  if (cell.lag_s === null) return "lag unknown";
  return `${span(cell.lag_s)} / ${span(cell.objective_s)}${cell.late ? " late" : ""}`;
}

function checked(cell, now_ms) {
  if (cell.checked_at_ms === null) return "never audited";
  return [`${cell.depth} `, when(cell.checked_at_ms, now_ms), cell.state === cell.verdict ? "" : `: ${cell.verdict}`, cell.state === "equal" && cell.verdict === "different" ? ", mended since" : ""];
}
