// The rows that an audit found different, side by side as they are now, and the button that repairs them.

import { h } from "./dom.js";
import { apart, count, key_text, rows, state_of, when } from "./words.js";

const KEPT = 60; // so much of what both sides have alike is shown beside a difference
const CLASSES = {
  missing: "MySQL has the row, the store has not",
  extra: "the store has a row that MySQL has not",
  altered: "values differ",
  stale: "made from an older state of the row",
  "wrong generation": "made by another model, prompt or code than is declared",
  "old mapping": "written under an earlier declaration",
  resurrected: "deleted in MySQL, and back in the store",
  "impossible position": "stored under a position that no change explains",
};
const BESIDE = new Set(["stale", "wrong generation", "old mapping", "impossible position"]);

// `found`: {audit, groups: [{audit, sink, table, different, rows | null, error}]} or null; its `audit` is null where the
// groups are those of the open incidents. A row that differs in what stands beside its values (its position, its
// mapping) is known to be mended once no open incident tells of its kind.
export function differing({ version, state, found, write, silence, now_ms }) {
  const title = h("h2", { id: "differing-title" }, "Rows that differ");
  if (silence) return [title, h("p", { class: "empty" }, `Not known: ${silence}.`)];
  if (!found) return [title, h("p", { class: "empty" }, "None that an audit knows of. Choose an audit below to see what it found.")];
  const { audit, groups, error } = found;
  return [
    title,
    h("p", { class: "about" }, audit === null ? `What the open incidents of ${version} tell of, as the rows are now.` : [
      audit ? [`What the ${audit.depth} audit ${audit.id} of ${version} found, `, when(audit.began_ms, now_ms), "; the rows are shown as they are now. "] : null,
      h("button", { type: "button", class: "link", "data-act": "forget-audit" }, "Close")]),
    error ? h("p", { class: "warn" }, error) : null,
    audit && !error && !groups.length ? h("p", { class: "empty" }, audit.report ? "It found nothing different." : "It has no report yet.") : null,
    groups.map((group) => group_of(group, write, state?.incidents ?? [])),
  ];
}

function group_of(group, write, incidents) {
  const name = `${group.audit}|${group.sink}|${group.table}`;
  const open = new Set(incidents.filter((one) => one.sink === group.sink && one.table === group.table).map((one) => one.class));
  const still = group.rows?.filter((row) => differs(row, open)) ?? [];
  return h("article", { class: "group", "data-key": name },
    h("header", {}, h("h3", {}, `${group.table} in ${group.sink}`), h("span", { class: "about" }, tally(group, still)),
      write && still.length ? h("button", { type: "button", class: "strong", "data-act": "repair", "data-audit": group.audit, "data-sink": group.sink, "data-table": group.table }, "Repair these…") : null),
    group.error ? h("p", { class: "warn" }, group.error) : null,
    group.rows ? group.rows.map((row) => row_of(row, name, write, differs(row, open))) : group.error ? null : h("p", { class: "empty" }, "Reading both sides…"));
}

function tally(group, still) {
  if (!group.rows) return rows(group.different);
  const listed = group.rows.length < group.different ? `${count(group.rows.length)} of ${rows(group.different)} listed` : rows(group.different);
  return still.length === group.rows.length ? listed : `${listed}, ${count(group.rows.length - still.length)} equal by now`;
}

function differs(row, open) {
  return row.mysql_has !== row.store_has || row.columns.some((column) => column.differs) || (BESIDE.has(row.class) && open.has(row.class));
}

function row_of(row, name, write, still) {
  const different = row.columns.filter((column) => column.differs);
  const alike = row.columns.filter((column) => !column.differs);
  const now_equal = !still;
  const label = key_text(row.key);
  const key = JSON.stringify(row.key);
  const box = write && !now_equal ? h("input", { type: "checkbox", checked: true, "data-row": key, "aria-label": `Repair ${label}` }) : null;
  const both = row.mysql_has && row.store_has;
  return h("div", { class: "row", "data-key": `${name}|${key}|${row.place}` },
    h("h4", {}, box, h("code", {}, label), " ", now_equal ? state_of("equal", "equal by now") : state_of("different", row.class),
      h("small", {}, now_equal ? `was ${row.class}` : CLASSES[row.class] ?? "", " · ", h("code", {}, row.place))),
    both && different.length ? columns_table(different) : null,
    both && !different.length && !now_equal ? h("p", { class: "about" }, `All values are equal; ${CLASSES[row.class]}${row.position ? ` (stored position ${row.position})` : ""}.`) : null,
    both && alike.length ? h("details", {}, h("summary", {}, alike.length === 1 ? "1 column is equal" : `${alike.length} columns are equal`), columns_table(alike)) : null,
    !both && row.columns.length ? columns_table(row.columns, row) : null,
    !both && !row.columns.length ? h("p", { class: "about" }, row.mysql_has ? "Only in MySQL." : row.store_has ? "Only in the store." : "On neither side.") : null);
}

function columns_table(columns, row = { mysql_has: true, store_has: true }) {
  return h("table", { class: "sides" },
    h("thead", {}, h("tr", {}, ["column", "MySQL", "store"].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, columns.map((column) => {
      const [mysql, store] = values(column, row);
      return h("tr", { class: column.differs ? "differs" : "" }, h("th", { scope: "row" }, column.name), h("td", { "data-label": "MySQL" }, mysql), h("td", { "data-label": "store" }, store));
    })));
}

// Both values of a column. A masked one is never shown, whatever came.
function values(column, row) {
  const absent = h("i", { class: "tag" }, "no row");
  if (column.masked) {
    const tag = () => h("i", { class: "tag" }, column.differs ? "personal, differs" : "personal");
    return [row.mysql_has ? tag() : absent, row.store_has ? tag() : absent];
  }
  const both = row.mysql_has && row.store_has;
  if (both && column.differs && typeof column.mysql === "string" && typeof column.store === "string") {
    const { begin, one, other, end } = apart(column.mysql, column.store);
    return [marked(begin, one, end), marked(begin, other, end)];
  }
  return [row.mysql_has ? value(column.mysql) : absent, row.store_has ? value(column.store) : absent.cloneNode(true)];
}

function marked(begin, middle, end) {
  const left = begin.length > KEPT ? `…${begin.slice(-KEPT)}` : begin;
  const right = end.length > KEPT ? `${end.slice(0, KEPT)}…` : end;
  return h("code", {}, left, middle ? h("mark", {}, middle) : h("i", { class: "tag" }, "nothing"), right);
}

function value(found) {
  if (found === null) return h("i", { class: "tag" }, "NULL");
  if (found === "") return h("i", { class: "tag" }, "empty text");
  return h("code", {}, String(found));
}
