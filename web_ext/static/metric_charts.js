// The charts of the metrics page.  Each is {id, rows(data), traces(data), layout(data, theme)}; the
// axis is running wall time, and pointing at a moment also tells the simulated one.

import { CONFIG, axisTitle, colour, faded, stopwatchTicks, themed } from "./axis.js";
import { scoreBars, scoreTable } from "./charts.js";
import { byId, fillTable, setHidden } from "./dom.js";
import { EXPLORABLE, clipped, explore, shownRange } from "./explore.js";
import { count, dayAndClock, figure, known, milliseconds, percent, stopwatch } from "./format.js";

const TABLE_ROWS = 30;
const ROLLING_S = 300;
const QUALITY_S = 60;
const MEGABYTE = 1e6;

const lineOf = (data, name, ys, style, unit, more = {}) => ({
  type: "scatter", mode: "lines", name, x: data.xs, y: ys, connectgaps: false, line: { width: 1.8, ...style },
  hovertemplate: `%{y:.3~g}\u202f${unit}<extra>${name}</extra>`, ...more,
});

const column = (data, key, factor = 1) => data.points.map((point) => (known(point[key]) ? point[key] * factor : null));

/** Mean of `key` over the last `spanS` wall seconds, at each point. */
function rolling(points, spanS, sums, ratio) {
  const totals = Object.fromEntries(sums.map((key) => [key, 0]));
  let first = 0;
  return points.map((point, index) => {
    for (const key of sums) totals[key] += point[key] ?? 0;
    while (points[first].wall_s <= point.wall_s - spanS) {
      for (const key of sums) totals[key] -= points[first][key] ?? 0;
      first += 1;
    }
    return ratio(totals, index - first + 1);
  });
}

const timed = { timed: true };

const targetChart = (id) => ({
  ...timed,
  id,
  unit: "ms",
  has: (data) => data.points.some((point) => known(point[`${id}_p50_ms`])),
  traces: (data) => [
    lineOf(data, "p99", column(data, `${id}_p99_ms`), { color: colour("data-purple") }, "ms"),
    lineOf(data, "p95", column(data, `${id}_p95_ms`), { color: colour("data-sky"), dash: "4px,2px" }, "ms"),
    lineOf(data, "p50", column(data, `${id}_p50_ms`), { color: colour("accent") }, "ms"),
  ],
  columns: ["p50", "p95", "p99"],
  row: (point) => ["p50", "p95", "p99"].map((p) => milliseconds(point[`${id}_${p}_ms`])),
});

const CHARTS = [
  {
    ...timed,
    id: "tps",
    unit: "tx/s",
    has: (data) => data.points.length > 0,
    traces: (data) => [
      lineOf(data, "offered", column(data, "offered_tps"), { color: colour("text-muted"), width: 1.3, dash: "2px,2px" }, "tx/s"),
      lineOf(data, "achieved", column(data, "achieved_tps"), { color: faded(colour("accent"), 0.55), width: 1.4 }, "tx/s"),
      lineOf(data, "mean of 5 min", rolling(data.points, ROLLING_S, ["achieved_tps"], ({ achieved_tps: sum }, n) => sum / n), { color: colour("accent"), width: 3 }, "tx/s"),
    ],
    columns: ["Offered, tx/s", "Achieved, tx/s"],
    row: (point) => [figure(point.offered_tps), figure(point.achieved_tps)],
  },
  {
    ...timed,
    id: "quality",
    unit: "%",
    has: (data) => data.points.some((point) => point.fraud > 0),
    traces: (data) => [
      lineOf(data, "recall", rolling(data.points, QUALITY_S, ["fraud", "fraud_alerted"], (sum) => (sum.fraud > 0 ? (100 * sum.fraud_alerted) / sum.fraud : null)), { color: colour("data-caught"), width: 2.2 }, "%"),
      lineOf(data, "precision", rolling(data.points, QUALITY_S, ["fraud_alerted", "false_positives"], (sum) => (sum.fraud_alerted + sum.false_positives > 0 ? (100 * sum.fraud_alerted) / (sum.fraud_alerted + sum.false_positives) : null)), { color: colour("data-suspicious"), dash: "5px,2px" }, "%"),
    ],
    range: [0, 102],
    columns: ["Fraud", "Caught", "False positives"],
    row: (point) => [count(point.fraud), count(point.fraud_alerted), count(point.false_positives)],
  },
  targetChart("nexum"),
  targetChart("bastion"),
  {
    ...timed,
    id: "errors",
    unit: "tx/s",
    has: (data) => data.points.length > 0,
    traces: (data) =>
      [["failed", "failed", "data-fraud", "solid"], ["unknown", "never answered", "data-suspicious", "4px,2px"], ["dropped", "not started", "data-purple", "2px,2px"], ["timeouts", "timeouts", "data-sky", "7px,2px"], ["http_errors", "HTTP errors", "accent", "7px,2px,2px,2px"], ["resent", "requests sent again", "data-neutral", "1px,3px"]].map(
        ([key, name, role, dash]) => lineOf(data, name, perSecond(data, key), { color: colour(role), dash }, "tx/s"),
      ),
    minTop: 1,
    columns: ["Failed", "Never answered", "Not started", "Timeouts", "HTTP errors", "Sent again"],
    row: (point) => [count(point.failed), count(point.unknown), count(point.dropped), count(point.timeouts), count(point.http_errors), count(point.resent)],
  },
  {
    id: "scores",
    has: (data) => data.histogram.some((bar) => bar.fraud + bar.genuine > 0),
    traces: (data) => scoreBars(data.histogram),
    layout: (theme) => ({
      barmode: "group", bargap: 0.15,
      xaxis: { ...theme.xaxis, range: [0, 1], fixedrange: true, tickvals: [0, 0.3, 0.5, 0.7, 1], title: axisTitle(theme, "score") },
      yaxis: { ...theme.yaxis, type: "log", dtick: 1, fixedrange: true, title: axisTitle(theme, "transactions") },
      shapes: [0.3, 0.7].map((at) => ({ type: "line", x0: at, x1: at, y0: 0, y1: 1, yref: "paper", line: { color: colour("line-strong"), width: 1, dash: "3px,3px" } })),
    }),
    table: (data) => scoreTable(data.histogram),
  },
  {
    ...timed,
    id: "use",
    unit: "%",
    has: (data) => data.points.some((point) => known(point.cpu_percent) && point.rss_bytes > 0),
    traces: (data) => [
      lineOf(data, "CPU", column(data, "cpu_percent"), { color: colour("accent") }, "%"),
      lineOf(data, "memory", column(data, "rss_bytes", 1 / MEGABYTE), { color: colour("data-purple"), dash: "5px,2px" }, "MB", { yaxis: "y2" }),
    ],
    minTop: 100,
    second: "MB",
    columns: ["CPU", "Memory", "Network"],
    row: (point) => [
      known(point.cpu_percent) ? `${figure(point.cpu_percent)}\u202f%` : "–",
      known(point.rss_bytes) ? `${figure(point.rss_bytes / MEGABYTE)}\u202fMB` : "–",
      known(point.network_bytes_s) ? `${figure(point.network_bytes_s / MEGABYTE)}\u202fMB/s` : "–",
    ],
  },
];

function perSecond(data, key) {
  return data.points.map((point, index) => {
    if (!known(point[key])) return null;
    const before = data.points[index - 1]?.wall_s;
    return point[key] / Math.max(1, known(before) ? point.wall_s - before : 1);
  });
}

/** data: {points, xs, fromS, toS, start, histogram} */
export function drawCharts(data, layouts) {
  const theme = { ...themed(layouts), margin: { l: 54, r: 20, t: 26, b: 34 }, showlegend: true, dragmode: false };
  for (const chart of CHARTS) {
    const has = chart.has(data);
    setHidden(byId(`${chart.id}-empty`), has);
    setHidden(byId(`${chart.id}-chart`), !has);
    setHidden(document.querySelector(`[data-png="${chart.id}-chart"]`), !has);
    if (has) draw(chart, data, theme);
    if (byId(`${chart.id}-table`).closest("details").open) table(chart, data);
  }
}

function draw(chart, data, theme) {
  const traces = chart.traces(data);
  const legend = { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } };
  const layout = { ...theme, legend, ...(chart.timed ? timeLayout(chart, data, theme, traces) : chart.layout(theme)) };
  Plotly.react(`${chart.id}-chart`, traces, layout, CONFIG);
  if (chart.timed) explore(`${chart.id}-chart`, data.fromS, data.toS);
}

function timeLayout(chart, data, theme, traces) {
  const width = byId(`${chart.id}-chart`).clientWidth;
  const first = traces.filter((trace) => !trace.yaxis).map((trace) => trace.y);
  const { range, marks } = chart.range ? { range: chart.range, marks: [] } : clipped(data.xs, first, "y", chart.minTop);
  const [fromS, toS] = shownRange(data.fromS, data.toS);
  const layout = {
    ...EXPLORABLE,
    hovermode: "x unified",
    xaxis: {
      ...theme.xaxis, range: [fromS, toS], showgrid: false, ...stopwatchTicks(fromS, toS, width),
      unifiedhovertitle: { text: "%{customdata}" },
    },
    yaxis: { ...theme.yaxis, range, fixedrange: true, nticks: 5, title: axisTitle(theme, chart.unit) },
    annotations: marks,
  };
  for (const trace of traces) trace.customdata = data.moments;
  if (!chart.second) return layout;
  const axis = { ...theme.yaxis, overlaying: "y", side: "right", rangemode: "tozero", showgrid: false, fixedrange: true, tickmode: "auto", nticks: 5 };
  return { ...layout, margin: { ...theme.margin, r: 54 }, yaxis2: { ...axis, title: axisTitle(theme, chart.second) } };
}

function table(chart, data) {
  if (chart.table) {
    fillTable(byId(`${chart.id}-table`), ...chart.table(data));
    return;
  }
  const every = Math.max(1, Math.ceil(data.points.length / TABLE_ROWS));
  const rows = data.points.filter((_, index) => (data.points.length - 1 - index) % every === 0).reverse();
  fillTable(
    byId(`${chart.id}-table`),
    ["Wall clock", "Simulated", ...chart.columns],
    rows.map((point) => [stopwatch(point.wall_s), dayAndClock(data.start + point.sim_s, data.start), ...chart.row(point)]),
  );
}

/** One number per KPI: [label, value, small print]. */
export function kpis(snapshot, points, start) {
  const { detection = {}, latency_ms: latency = {}, fraud = {} } = snapshot;
  const last = points.filter((point) => point.wall_s > (points.at(-1)?.wall_s ?? 0) - 3600);
  const mean = last.length ? last.reduce((sum, point) => sum + (point.achieved_tps ?? 0), 0) / last.length : null;
  const peak = points.reduce((best, point) => ((point.achieved_tps ?? -1) > (best?.achieved_tps ?? -1) ? point : best), null);
  const { tp = 0, fp = 0, tn = 0, fn = 0 } = detection.confusion ?? {};
  const judged = tp + fp + tn + fn;
  const use = points.at(-1) ?? {};
  return [
    ["Average rate", known(mean) ? `${figure(mean)}\u202ftx/s` : "–", "last hour of wall time"],
    ["Peak rate", peak ? `${figure(peak.achieved_tps)}\u202ftx/s` : "–", peak ? `at ${stopwatch(peak.wall_s)}, ${dayAndClock(start + peak.sim_s, start)}` : ""],
    ["Recall", percent(detection.recall), tp + fn ? `${count(tp)} of ${count(tp + fn)} frauds caught` : "waiting for the first fraud"],
    ["Precision", percent(detection.precision), tp + fp ? `${count(tp)} of ${count(tp + fp)} alerts are right` : "no alert so far"],
    ["Accuracy", judged ? percent((tp + tn) / judged) : "–", "of all verdicts; high where fraud is rare"],
    ["False positive rate", percent(detection.false_positive_rate), "of genuine transactions"],
    ["Campaigns noticed", fraud.campaigns_total ? `${count(detection.campaigns_detected)} of ${count(fraud.campaigns_total)}` : "–", "at least one alert"],
    ["Nexum available", availability(snapshot, "nexum"), calls(latency.nexum)],
    ["Bastion available", availability(snapshot, "bastion"), calls(latency.bastion)],
    ["CPU", known(use.cpu_percent) ? `${figure(use.cpu_percent)}\u202f%` : "–", "of one core, this process"],
    ["Memory", use.rss_bytes ? `${figure(use.rss_bytes / MEGABYTE)}\u202fMB` : "–", "this process"],
    ["Network", known(use.network_bytes_s) ? `${figure(use.network_bytes_s / MEGABYTE)}\u202fMB/s` : "–", "this machine, both ways"],
  ];
}

function availability({ calls: rows = [] }, target) {
  const mine = rows.filter((row) => row.target === target);
  const asked = mine.reduce((sum, row) => sum + row.count, 0);
  return asked ? percent(1 - mine.reduce((sum, row) => sum + row.failed, 0) / asked) : "–";
}

const calls = (summary) => (summary?.count ? `${count(summary.count)} calls` : "not called");
