// What was done and found: the audit under way, the history of audits, incidents, and this page's own orders.

import { h } from "./dom.js";
import { count, heads, key_text, records, rows, span, state_of, when } from "./words.js";

const LISTED = 3;

// `orders`: what this page asked for: {id, version, what, detail | null, error}.
export function work({ running, orders, now_ms }) {
  const lines = running.filter(({ run }) => !orders.some((order) => order.id === run.id)).map(({ version, run }) => progress(`${version}: ${run.what}`, run, now_ms));
  for (const order of orders) lines.push(order_line(order, running.find(({ run }) => run.id === order.id)?.run, now_ms));
  return lines.length ? h("div", { class: "work" }, lines) : null;
}

function progress(what, run, now_ms) {
  return h("div", { class: "order", "data-key": run.id }, told(state_of("running", what)),
    h("progress", { max: run.of || 1, value: run.of ? run.done : null, "aria-label": what }),
    h("span", {}, `${count(run.done)} of ${count(run.of)} tables, begun `, when(run.began_ms, now_ms)));
}

function order_line(order, run, now_ms) {
  const { detail } = order;
  if (order.error) return closing(order, state_of("unknown", `${order.what}: ${order.error}`));
  if (!ended(detail)) {
    return run ? progress(order.what, run, now_ms) : h("div", { class: "order", "data-key": order.id }, told(state_of("running", order.what)), "waits for its turn");
  }
  const asked = detail.asked ? Object.values(detail.asked).reduce((sum, keys) => sum + keys.length, 0) : null;
  const figures = [
    asked === null ? null : `${rows(asked)} asked of capture`,
    detail.left_out ? `${rows(detail.left_out)} left out` : null,
    detail.rows === null ? null : `${rows(detail.rows)} compared`,
    detail.different ? `${rows(detail.different)} still differ` : null,
    detail.seconds === null ? null : span(detail.seconds), detail.reason || null,
  ].filter(Boolean);
  return closing(order, state_of(detail.verdict ?? "unknown", `${order.what}: ${detail.verdict ?? "not done"}`), figures.join(", "));
}

function closing(order, ...parts) {
  return h("div", { class: "order", "data-key": order.id }, told(parts), h("button", { type: "button", class: "link", "data-act": "forget-order", "data-id": order.id }, "Close"));
}

// Said aloud by a screen reader when it changes; what counts every second is not.
function told(...parts) {
  return h("span", { class: "told", role: "status" }, parts);
}

export function ended(audit) {
  return Boolean(audit) && (audit.seconds !== null || audit.verdict !== null || audit.reason !== "");
}

export function incidents({ state, closed, silence, now_ms }) {
  const open = state?.incidents ?? [];
  return [
    h("h2", { id: "incidents-title" }, "Open incidents", state ? h("span", { class: "tally" }, count(open.length)) : null),
    silence ? h("p", { class: "empty" }, `Not known: ${silence}.`) : null,
    !silence && !open.length ? h("p", { class: "empty" }, "None.") : null,
    open.length ? h("div", { class: "incidents" }, open.map((one) => incident(one, now_ms))) : null,
    closed?.length ? h("details", { class: "closed" }, h("summary", {}, `${count(closed.length)} closed lately`), h("div", { class: "incidents" }, closed.map((one) => incident(one, now_ms)))) : null,
  ];
}

function incident(one, now_ms) {
  const lost = one.class === "unaccounted"; // records, which have no rows to show, seen by counts instead of audits
  const keys = one.keys.slice(0, LISTED).map(key_text).join("; ");
  const more = one.rows > Math.min(LISTED, one.keys.length) ? " …" : "";
  return h("div", { class: "incident", "data-key": one.id },
    h("p", {}, state_of(one.closed_ms === null ? "different" : "equal", `${one.sink} ${one.table}: ${lost ? `${records(one.rows)} unaccounted for` : `${rows(one.rows)} ${one.class}`}`)),
    lost ? h("p", { class: "about" }, "Captured, and the lane does not say what became of them, or counts them twice. Whether a row differs for it, an audit says.") : h("p", { class: "about" }, h("code", {}, keys + more)),
    h("p", { class: "about" }, "since ", when(one.opened_ms, now_ms), `, seen by ${count(one.audits)} ${lost ? "count" : "audit"}${one.audits === 1 ? "" : "s"}${lost ? "" : ` (${one.depth})`}, last `, when(one.last_ms, now_ms),
      one.closed_ms === null ? null : [", closed ", when(one.closed_ms, now_ms)], " ",
      lost ? null : h("button", { type: "button", class: "link", "data-act": "show-audit", "data-id": one.last_by }, "Show rows")));
}

// Audits on schedule, newest first, that said the same one after the other, those of each depth by themselves: the newest
// of them, how many they are, and the oldest. What a person ordered is not lost among them.
export function runs(list) {
  const latest = {};
  const found = [];
  for (const one of list) {
    const apart = Object.entries(one.by_sink).filter(([, verdict]) => verdict !== "equal");
    const said = JSON.stringify([one.verdict, one.verdict === "equal" ? "" : [one.different, apart, one.reason]]);
    const run = latest[one.depth];
    if (run?.said === said && ended(run.newest)) Object.assign(run, { times: run.times + 1, oldest: one });
    else found.push(latest[one.depth] = { said, newest: one, times: 1, oldest: one });
  }
  return found;
}

// `list`: {ordered, scheduled, more}, of either no more than so many `lines`.
export function audits({ version, list, lines, next, write, chosen, silence, now_ms }) {
  const order = write && !silence ? h("span", { class: "buttons" }, ["quick", "deep"].map((depth) =>
    h("button", { type: "button", "data-act": "audit", "data-depth": depth }, `Audit now, ${depth}…`))) : null;
  return [
    h("h2", { id: "audits-title" }, "Audits", order),
    silence ? h("p", { class: "empty" }, `Not known: ${silence}.`) : null,
    next?.length ? h("p", { class: "about" }, "Next: ", next.map((one, index) => [index ? ", " : "", due(one, now_ms)]), ".") : null,
    silence ? null : !list ? h("p", { class: "empty" }, "Asking…")
      : !list.ordered.length && !list.scheduled.length ? h("p", { class: "empty" }, "None yet.") : [
        h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "audits" }, h("table", { class: "stack" }, heads(["began", "why", "verdict", ...FIGURES, ""], FIGURES),
          part("ordered", "Ordered, and behind replays", list.ordered.slice(0, lines).map((one) => audit_row(version, one, chosen, now_ms))),
          part("scheduled", "On schedule", runs(list.scheduled).slice(0, lines).map((run) => audit_row(version, run.newest, chosen, now_ms, run))))),
        list.more ? h("button", { type: "button", class: "link", "data-act": "older" }, "Show older audits") : null],
  ];
}

const FIGURES = ["rows", "different", "undecided", "took", "position"];

function part(name, title, found) {
  return found.length ? h("tbody", { "data-key": name }, h("tr", { class: "part" }, h("th", { scope: "rowgroup", colspan: FIGURES.length + 4 }, title)), found) : null;
}

function due(one, now_ms) {
  const waits = one.waits_for ? ` (waits for ${one.waits_for})` : "";
  return one.at_ms <= now_ms ? `${one.depth} now${waits}` : `${one.depth} in ${span((one.at_ms - now_ms) / 1000)}${waits}`;
}

// `run`: the audits that said the same before it; its name is the oldest's, which stays while newer ones come.
function audit_row(version, one, chosen, now_ms, run = { times: 1, oldest: one }) {
  const sinks = Object.entries(one.by_sink).filter(([, verdict]) => verdict !== "equal");
  const verdict = ended(one) ? state_of(one.verdict ?? "unknown", one.verdict ?? "not done") : state_of("running", "under way");
  const about = [one.reason, sinks.map(([sink, found]) => (found === one.verdict ? sink : `${sink} ${found}`)).join(", ")].filter(Boolean).join("; ");
  const done = ended(one);
  return h("tr", { "data-key": run.oldest.id, class: chosen === one.id ? "chosen" : "" },
    h("td", { "data-label": "began" }, when(one.began_ms, now_ms), run.times > 1 ? h("small", {}, `${count(run.times)} times since `, when(run.oldest.began_ms, now_ms)) : null),
    h("td", { "data-label": "why" }, `${one.why}, ${one.depth}`),
    h("td", { "data-label": "verdict" }, verdict, about ? h("small", {}, about) : null),
    [["rows", one.rows], ["different", one.different], ["undecided", one.undecided]].map(([label, figure]) => h("td", { class: "figure", "data-label": label }, done ? count(figure) : "")),
    h("td", { class: "figure", "data-label": "took" }, done ? span(one.seconds) : ""),
    h("td", { class: "figure position", "data-label": "position" }, h("code", {}, one.position ?? (done ? "unknown" : ""))),
    h("td", { class: "links" }, done ? [
      h("button", { type: "button", class: "link", "data-act": "show-audit", "data-id": one.id, "aria-label": `Show the rows of audit ${one.id}` }, "rows"), " ",
      h("a", { href: `/api/${encodeURIComponent(version)}/audits/${encodeURIComponent(one.id)}.html`, target: "_blank", rel: "noopener", "aria-label": `Report of audit ${one.id}` }, "report")] : null));
}
