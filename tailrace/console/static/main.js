// What the page knows, how it comes to know it, and what clicks do. What it looks like is in the other files.

import { h, show } from "./dom.js";
import { confirmed } from "./change.js";
import { differing } from "./differing.js";
import { audits, ended, incidents, runs, work } from "./history.js";
import { conservation, lanes, letters } from "./lanes.js";
import { answer, matrix } from "./matrix.js";
import { added, draw, empty } from "./trend.js";
import { count, key_text, rows, span, state_of } from "./words.js";

const SILENT_MS = 5000; // nothing heard of the console for so long: what stands here is old
const TREND_MS = 2000;
const AUDITS = 8; // so many lines of audits, more each time that older ones are asked for
const EACH = 40; // so many audits on schedule are asked for, for each line: those that say the same share one
const ORDERED = "asked,repair,replay";
const INCIDENTS = 100; // so many are asked for; those that are open come with the frame
const CLOSED = 6;
const NAMED = 8;

const page = {
  frame: null, heard: 0, // when it came, by this page's clock
  chosen: { version: "", sink: "" }, // what the lower parts are about; no sink: all
  audits: AUDITS,
  audit: "", // whose rows are shown; those of open incidents where it is none
  orders: [],
  of: {}, // by version: {audits: {ordered, scheduled, more}, incidents, letters, letters_error, found, trend, …, and what they were fetched for}
};

// --- hearing

function listen() {
  const events = new EventSource("/events");
  events.onmessage = ({ data }) => {
    page.frame = JSON.parse(data);
    page.heard = performance.now();
    if (!page.frame.rows.some((row) => row.version === page.chosen.version)) page.chosen = { version: page.frame.rows[0]?.version ?? "", sink: "" };
    render();
    follow();
  };
  events.onerror = () => { // where the browser gives up, it is begun anew; otherwise it comes back by itself
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
    render();
  };
}

// The frame as it may be shown: when the console is silent, nothing is known of anything.
function seen() {
  const { frame } = page;
  const age_ms = performance.now() - page.heard;
  if (!frame || age_ms <= SILENT_MS) return { ...frame, now_ms: (frame?.at_ms ?? Date.now()) + age_ms, lost: "" };
  const lost = "the console does not answer";
  const cells = (row) => row.cells.map((cell) => ({ ...cell, state: "unknown", reason: lost, lag_s: null, late: null }));
  const unknown = frame.rows.reduce((sum, row) => sum + row.cells.length, 0);
  return {
    ...frame, now_ms: frame.at_ms + age_ms, lost, states: {}, write: false,
    headline: { state: "unknown", title: "Nothing is known now", text: `The console has not answered for ${span(age_ms / 1000)}: what stands here is old. It is asked on.`, counts: { unknown }, checked_at_ms: null },
    rows: frame.rows.map((row) => ({ ...row, answers: false, silence: lost, heard_ms: row.heard_ms, cells: cells(row) })),
  };
}

const kept = (version) => (page.of[version] ??= { audits: null, incidents: null, letters: null, letters_error: "", found: null, trend: empty(), trend_at: 0, for_audits: "", for_letters: "", for_found: "" });

async function asked(version, path) {
  try {
    const response = await fetch(`/api/${encodeURIComponent(version)}/${path}`);
    const found = await response.json();
    return response.ok ? { found } : { error: found.error ?? `status ${response.status}`, status: response.status };
  } catch {
    return { error: "the console does not answer", status: 0 };
  }
}

// Ask for what the frame only hints at, when the hint changed. One of these runs at a time.
let following = false;
async function follow() {
  if (following) return;
  following = true;
  try {
    await Promise.all([...page.orders.map(follow_order), follow_version(page.chosen.version)]);
  } finally {
    following = false;
    render();
  }
}

async function follow_version(version) {
  const state = page.frame.states[version];
  if (!state) return;
  const own = kept(version);
  const hint = JSON.stringify([state.running?.id, state.stores.map((store) => store.checked_at_ms), state.incidents.map((one) => [one.id, one.last_by]), page.orders.map((order) => order.detail?.verdict), page.audits]);
  if (hint !== own.for_audits || own.audits === null || [...own.audits.ordered, ...own.audits.scheduled].some((one) => !ended(one))) {
    const each = page.audits * EACH;
    const [ordered, scheduled, lately] = await Promise.all([asked(version, `audits?why=${ORDERED}&limit=${page.audits + 1}`), asked(version, `audits?why=schedule&limit=${each + 1}`), asked(version, `incidents?limit=${INCIDENTS}`)]);
    if (ordered.found && scheduled.found && lately.found) {
      const more = ordered.found.length > page.audits || scheduled.found.length > each || runs(scheduled.found).length > page.audits;
      Object.assign(own, { audits: { ordered: ordered.found, scheduled: scheduled.found, more }, for_audits: hint, incidents: lately.found.filter((one) => one.closed_ms !== null).slice(0, CLOSED) });
    }
  }
  const parked = JSON.stringify([state.stores.map((store) => store.letters), state.lanes.map((lane) => lane.parked)]);
  if (parked !== own.for_letters || own.letters === null) {
    const { found, error } = await asked(version, "letters");
    Object.assign(own, { letters: found ?? null, letters_error: error ?? "", for_letters: found ? parked : "" });
  }
  await Promise.all([follow_found(version, own, state, hint), follow_trend(version, own)]);
}

async function follow_trend(version, own) {
  if (performance.now() - own.trend_at < TREND_MS) return;
  own.trend_at = performance.now();
  const { found } = await asked(version, `trend?since_ms=${own.trend.at_ms.at(-1) ?? 0}`);
  if (found) own.trend = added(own.trend, found);
}

// The rows that are shown: those of the audit that was chosen, else those that open incidents tell of.
async function follow_found(version, own, state, hint) {
  const { sink } = page.chosen;
  const wanted = JSON.stringify([page.audit, sink, hint]);
  if (wanted === own.for_found) return;
  own.for_found = wanted;
  const { audit, groups, error } = page.audit ? await of_audit(version, page.audit, sink) : of_incidents(state.incidents, sink);
  for (const group of groups) group.rows = own.found?.groups.find((one) => same_group(one, group))?.rows ?? null;
  own.found = audit === null && !groups.length ? null : { audit, groups, error };
  render();
  await Promise.all(groups.map(async (group) => {
    const query = new URLSearchParams({ sink: group.sink, table: group.table });
    const { found, error: why } = await asked(version, `differences/${encodeURIComponent(group.audit)}?${query}`);
    Object.assign(group, { rows: found?.filter((row) => !group.classes || group.classes.has(row.class)) ?? group.rows, error: why ?? "" });
    render();
  }));
}

const same_group = (one, other) => one.audit === other.audit && one.sink === other.sink && one.table === other.table;

async function of_audit(version, id, sink) {
  const { found: audit, error } = await asked(version, `audits/${encodeURIComponent(id)}`);
  const results = (audit?.report?.results ?? []).filter((one) => one.different > 0 && (!sink || one.sink === sink));
  const groups = results.map(({ sink, table, different }) => ({ audit: id, sink, table, different, classes: null, rows: null, error: "" }));
  return { audit: audit ?? 0, groups, error };
}

function of_incidents(incidents, sink) {
  const groups = [];
  for (const one of incidents.filter((incident) => incident.class !== "unaccounted" && (!sink || incident.sink === sink))) {
    const fresh = { audit: one.last_by, sink: one.sink, table: one.table, different: 0, classes: new Set(), rows: null, error: "" };
    const group = groups.find((known) => same_group(known, fresh)) ?? fresh;
    if (group === fresh) groups.push(fresh);
    group.different += one.rows;
    group.classes.add(one.class);
  }
  return { audit: null, groups, error: "" };
}

async function follow_order(order) {
  if (order.error || ended(order.detail)) return;
  const { found, error, status } = await asked(order.version, `audits/${encodeURIComponent(order.id)}`);
  if (found) order.detail = found;
  else if (status === 404) order.error = error; // silence passes; what is forgotten does not
}

// --- showing

const part = (id, ...children) => show(document.getElementById(id), ...children);

function render() {
  const now = seen();
  part("live", live(now));
  if (!page.frame) return;
  const { version, sink } = page.chosen;
  const row = now.rows.find((one) => one.version === version);
  const silence = row?.silence ?? "no such version";
  const state = now.states[version] ?? null;
  const own = kept(version);
  const common = { version, sink, state, silence, write: now.write, now_ms: now.now_ms };
  document.title = `${state_word(now.headline.state)} · Tailrace console`;
  part("answer", answer(now));
  part("matrix", matrix({ ...now, chosen: page.chosen }));
  part("versions", choice(now.rows));
  part("work", work({ running: running(now.states), orders: page.orders, now_ms: now.now_ms }));
  part("differing", differing({ ...common, found: own.found }));
  part("incidents", incidents({ ...common, closed: own.incidents }));
  part("audits", audits({ ...common, list: own.audits, lines: page.audits, next: state?.next, chosen: page.audit }));
  part("lanes", lanes(common));
  part("letters", letters({ ...common, list: own.letters, error: own.letters_error }));
  part("conservation", conservation(common));
  draw(own.trend, sink);
}

const state_word = (state) => ({ equal: "= equal", different: "≠ different", behind: "< behind", unknown: "? unknown" })[state];
const running = (states) => Object.values(states).filter((state) => state.running).map((state) => ({ version: state.version, run: state.running }));

function live(now) {
  const mode = page.frame ? h("span", { class: "mode" }, now.write ? "changes allowed" : page.frame.write ? "" : "read-only") : null;
  if (!page.frame) return [state_of("unknown", "asking the console…")];
  if (now.lost) return [mode, state_of("unknown", `old: last heard ${span((performance.now() - page.heard) / 1000)} ago`)];
  return [mode, h("span", { class: "pulse" }, h("time", {}, new Date(page.frame.at_ms).toLocaleTimeString("en-GB")), " live")];
}

function choice(found) {
  const { version, sink } = page.chosen;
  const tabs = found.length > 1 ? found.map((row) => h("button", { type: "button", "data-act": "version", "data-version": row.version, "aria-pressed": row.version === version ? "true" : "false" }, row.version)) : null;
  const about = sink ? h("span", {}, `Below: ${version}, ${sink} only. `, h("button", { type: "button", class: "link", "data-act": "every-sink" }, "Show every store")) : tabs ? h("span", {}, "Below: every store of ", version) : null;
  return tabs || about ? h("nav", { class: "choice", "aria-label": "what the parts below are about" }, tabs, about) : null;
}

// --- doing

const acts = {
  pick({ version, sink }) {
    const same = page.chosen.version === version && page.chosen.sink === sink;
    page.chosen = { version, sink: same ? "" : sink };
    page.audit = "";
  },
  version({ version }) {
    page.chosen = { version, sink: "" };
    page.audit = "";
  },
  "every-sink"() { page.chosen.sink = ""; },
  "show-audit"({ id }) {
    page.audit = id;
    document.getElementById("differing").focus();
  },
  "forget-audit"() { page.audit = ""; },
  "forget-order"({ id }) { page.orders = page.orders.filter((order) => order.id !== id); },
  older() { page.audits += 3 * AUDITS; },
  async audit({ depth }) {
    const { version, sink } = page.chosen;
    const where = sink || "every store";
    const cost = depth === "deep" ? "It reads MySQL's rows and the store's whole, at a bounded rate." : "It compares counts and sums, and reads rows only where those differ.";
    await order(version, `${depth} audit of ${where}`, { title: `Audit ${where} of ${version}?`, text: [`A ${depth} audit begins as soon as none is under way. ${cost} No row is changed.`], button: `Audit, ${depth}`, path: "audits", body: { depth, sinks: sink ? [sink] : [], tables: [] } });
  },
  async repair({ audit, sink, table }) {
    const { version } = page.chosen;
    const group = document.querySelector(`article.group[data-key="${CSS.escape(`${audit}|${sink}|${table}`)}"]`);
    const boxes = [...group.querySelectorAll("input[data-row]")]; // rows that are equal by now have none
    const keys = boxes.filter((box) => box.checked).map((box) => JSON.parse(box.dataset.row));
    if (!keys.length) {
      boxes[0]?.focus();
      return;
    }
    const known = kept(version).found.groups.find((one) => same_group(one, { audit, sink, table }));
    const beyond = boxes.length - keys.length + Math.max(0, known.different - known.rows.length);
    const what = `Repair of ${rows(keys.length)} of ${table} in ${sink}`;
    await order(version, what, {
      title: `Repair ${rows(keys.length)} of ${table} in ${sink}, ${version}?`,
      text: [
        h("p", {}, `Capture is asked to read ${keys.length === 1 ? "this row" : `these ${count(keys.length)} rows`} of ${table} from MySQL and to tell ${keys.length === 1 ? "it" : "them"} anew, to every store that receives the table. Where MySQL has no such row, it is deleted from the stores. MySQL is not changed. Then the rows are audited again.`),
        listing(keys.map(key_text)),
        beyond > 0 ? h("p", {}, beyond === 1 ? "1 row more differs and is left as it is." : `${rows(beyond)} more differ and are left as they are.`) : null,
      ].filter(Boolean),
      button: `Repair ${rows(keys.length)}`, path: "repairs", body: { audit, sink, table, keys, cap: keys.length, dry_run: false },
    });
  },
  retry: () => settle_letters("retry"),
  discard: () => settle_letters("discard"),
};

async function order(version, what, { path, ...asking }) {
  const accepted = await confirmed({ ...asking, path: `/api/${encodeURIComponent(version)}/${path}` });
  if (accepted) page.orders.unshift({ id: accepted.id, version, what, detail: null, error: "" });
}

async function settle_letters(what) {
  const { version } = page.chosen;
  const ids = [...new Set([...document.querySelectorAll("input[data-letter]:checked")].map((box) => box.dataset.letter))];
  if (!ids.length) return;
  const many = `${count(ids.length)} dead ${ids.length === 1 ? "letter" : "letters"}`;
  const labels = kept(version).letters.filter((letter) => ids.includes(letter.id)).map((letter) => `${letter.sink}: ${letter.table || letter.target} ${key_text(letter.key)}`);
  const text = what === "retry"
    ? `Capture is asked to read the ${ids.length === 1 ? "row" : "rows"} of ${many} from MySQL, as they are now, and to tell them anew to every store. What was parked is never written.`
    : `${many} ${ids.length === 1 ? "is" : "are"} marked as done with. The stores stay without what was refused, and an audit goes on saying so.`;
  const done = await confirmed({
    title: `${what === "retry" ? "Retry" : "Discard"} ${many}?`, text: [h("p", {}, text), listing(labels)],
    button: `${what === "retry" ? "Retry" : "Discard"} ${many}`, path: `/api/${encodeURIComponent(version)}/letters/${what}`, body: { ids },
  });
  if (done) kept(version).for_letters = "";
}

const listing = (labels) => h("ul", {}, labels.slice(0, NAMED).map((label) => h("li", {}, h("code", {}, label))), labels.length > NAMED ? h("li", {}, `and ${count(labels.length - NAMED)} more`) : null);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-act]");
  if (!button) return;
  await acts[button.dataset.act](button.dataset);
  render();
  if (page.frame) follow();
});
addEventListener("resize", render);
setInterval(render, 1000);
listen();
render();
