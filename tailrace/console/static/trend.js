// Lag and throughput of the last hour, by lane. Lanes are told apart by colour and by the dashes of their lines.

import { UNKNOWN, span } from "./words.js";

const KEPT_MS = 3_600_000;
const HEIGHT = 190;
const DASHES = [[], [6, 3], [2, 3], [10, 3, 2, 3]];
const HUES = 5;
const TICKS = [0, 0.1, 1, 10, 100, 1000, 10_000, 100_000, 1_000_000]; // as the scale grows: evenly from 0 to 0.1, by tens above

// One version's trend, added to as more of it comes. `columns` by lane: {lag_s: […], applied_per_s: […]}.
export function empty() {
  return { at_ms: [], lanes: {} };
}

export function added(before, more) {
  const last = before.at_ms.at(-1) ?? -1;
  const from = more.at_ms.findIndex((at) => at > last);
  if (from < 0) return before;
  const at_ms = [...before.at_ms, ...more.at_ms.slice(from)];
  const first = at_ms.findIndex((at) => at >= at_ms.at(-1) - KEPT_MS);
  const lanes = {};
  for (const name of new Set([...Object.keys(before.lanes), ...Object.keys(more.lanes)])) {
    lanes[name] = {};
    for (const column of ["lag_s", "applied_per_s"]) {
      const old = before.lanes[name]?.[column] ?? before.at_ms.map(() => null);
      const fresh = more.lanes[name]?.[column]?.slice(from) ?? more.at_ms.slice(from).map(() => null);
      lanes[name][column] = [...old, ...fresh].slice(first);
    }
  }
  return { at_ms: at_ms.slice(first), lanes };
}

const plots = new Map();

export function draw(trend, sink) {
  const lanes = Object.keys(trend.lanes).sort();
  plot("plot-lag", trend, lanes, sink, "lag_s", span);
  plot("plot-applied", trend, lanes, sink, "applied_per_s", (value) => (value === null ? UNKNOWN : `${value.toFixed(value < 10 ? 1 : 0)}/s`));
}

function plot(id, trend, lanes, sink, column, worded) {
  const place = document.getElementById(id);
  const width = place.clientWidth;
  if (!width) return;
  const signature = JSON.stringify([lanes, sink, matchMedia("(prefers-color-scheme: dark)").matches]);
  const data = [trend.at_ms.map((at) => at / 1000), ...lanes.map((name) => trend.lanes[name][column])];
  const known = plots.get(id);
  if (known?.signature === signature) {
    if (known.plot.width !== width) known.plot.setSize({ width, height: HEIGHT });
    known.plot.setData(data);
    return;
  }
  known?.plot.destroy();
  plots.set(id, { signature, plot: made(place, width, data, lanes, sink, worded) });
}

function made(place, width, data, lanes, sink, worded) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1, size: 4 }, font: "11px system-ui, sans-serif" };
  const built = new uPlot({
    width, height: HEIGHT,
    cursor: { sync: { key: "trend" }, drag: { x: true, y: false } },
    legend: { live: true },
    scales: { x: { time: true }, y: { distr: 4, asinh: 0.1, range: (_, low, high) => [0, Math.max(1, high ?? 1)] } },
    axes: [
      { ...axis, size: 28, values: (_, ticks) => ticks.map((at) => clock(at).slice(0, 5)) },
      { ...axis, size: 46, splits: (plotted) => TICKS.filter((tick) => tick <= plotted.scales.y.max) },
    ],
    series: [
      { label: "time", value: (plotted, at) => clock(at ?? plotted.data[0].at(-1)) },
      ...lanes.map((name, index) => ({
        label: name, show: !sink || name.startsWith(`${sink}.`), stroke: colour(`--lane-${index % HUES}`), width: 1.5,
        dash: DASHES[Math.floor(index / HUES) % DASHES.length], spanGaps: false, points: { show: false }, 
        value: (plotted, found, series, index) => worded((index === null ? plotted.data[series].at(-1) : found) ?? null),
      })),
    ],
  }, data, place);
  for (const label of built.root.querySelectorAll(".u-legend th")) {
    label.tabIndex = 0;
    label.setAttribute("role", "button");
    label.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        label.click();
      }
    });
  }
  return built;
}

function clock(at) {
  return at === undefined ? "" : new Date(at * 1000).toLocaleTimeString("en-GB");
}
