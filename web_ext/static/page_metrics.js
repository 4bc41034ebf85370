// The metrics page: figures and charts over a range of wall time.

import { themed } from "./axis.js";
import { drawRecall, recallTable } from "./charts.js";
import { byId, element, setHidden, setText } from "./dom.js";
import { dayAndClock, span, stopwatch } from "./format.js";
import { startOf } from "./header.js";
import { drawCharts, kpis } from "./metric_charts.js";
import { listenForPng } from "./png.js";
import { Shell, settings } from "./shell.js";
import { resample } from "./timeline.js";

const RANGE_KEY = "banksim.range";

function range() {
  const value = document.querySelector("input[name=range]:checked").value;
  return value === "all" ? Infinity : Number(value);
}

function render({ status, snapshot, timeline, dashboard }) {
  const idle = status.state === "idle";
  setHidden(byId("metrics"), idle);
  if (idle) return;
  const start = startOf(status) ?? 0;
  const toS = Math.max(status.wall_s ?? 0, 1);
  const fromS = Math.max(0, toS - range());
  const resolutionS = dashboard.chart_resolution_seconds ?? 5;
  const inRange = timeline.points.filter((point) => point.wall_s >= fromS);
  const points = resample(inRange, resolutionS);
  showKpis(kpis(snapshot, timeline.points, start));
  const shown = Number.isFinite(range()) ? `the last ${span(Math.min(range(), toS))}` : "the whole run";
  setText(byId("range-means"), `Wall time: ${shown}, a point each ${span(resolutionS)}`);
  if (typeof Plotly === "undefined") return; // the library is still on its way
  const moments = points.map((point) => `${stopwatch(point.wall_s)} wall clock, ${dayAndClock(start + point.sim_s, start)} simulated`);
  const data = { points, xs: points.map((point) => point.wall_s), moments, fromS, toS, start, histogram: snapshot.scores?.histogram ?? [] };
  drawCharts(data, settings.chartLayout);
  const theme = { ...themed(settings.chartLayout), dragmode: false };
  drawRecall(snapshot.fraud?.by_typology, theme);
  if (byId("recall-table").closest("details").open) recallTable(snapshot.fraud?.by_typology);
}

function showKpis(rows) {
  const root = byId("kpis");
  if (root.children.length !== rows.length) {
    root.replaceChildren(
      ...rows.map(() => element("div", "kpi", element("div", "tile-label"), element("div", "kpi-value"), element("div", "tile-note"))),
    );
  }
  rows.forEach((texts, index) => texts.forEach((text, at) => setText(root.children[index].children[at], text)));
}

function rememberedRange() {
  try {
    return localStorage.getItem(RANGE_KEY);
  } catch {
    return null;
  }
}

const remembered = document.querySelector(`input[name=range][value="${CSS.escape(rememberedRange() ?? "all")}"]`);
if (remembered) remembered.checked = true;

const shell = new Shell({ render });

byId("range").addEventListener("change", () => {
  try {
    localStorage.setItem(RANGE_KEY, document.querySelector("input[name=range]:checked").value);
  } catch {
    // it is forgotten with the page then
  }
  shell.draw();
});
for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", () => shell.draw());
listenForPng(() => shell.status?.run_id);
