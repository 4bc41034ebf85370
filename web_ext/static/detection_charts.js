// The charts of the detection page, drawn from the results: scores with the movable line, precision
// over recall, cost of a threshold, quality against load.

import { CONFIG, axisTitle, colour } from "./axis.js";
import { scoreBars, scoreTable } from "./charts.js";
import { byId, fillTable, setHidden } from "./dom.js";
import { cents, count, figure, interval, known, milliseconds, minorDigits, percent, withUnit } from "./format.js";
import { countsAt } from "./threshold.js";

const TABLE_ROWS = 24;
const LEGEND = { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } };

const legible = (theme) => ({ ...theme, legend: LEGEND, margin: { l: 58, r: 24, t: 26, b: 44 }, showlegend: true, dragmode: false });
const shareAxis = (theme, title) => ({ ...theme.xaxis, range: [0, 102], ticksuffix: " %", tickvals: [0, 25, 50, 75, 100], fixedrange: true, title: axisTitle(theme, title) });

function place(id, has, draw, fill) {
  setHidden(byId(`${id}-empty`), has);
  setHidden(byId(`${id}-chart`), !has);
  setHidden(document.querySelector(`[data-png="${id}-chart"]`), !has);
  if (!has) return;
  draw();
  if (byId(`${id}-table`).closest("details").open) fill();
}

const thinned = (rows) => rows.filter((_, at) => at % Math.ceil(rows.length / TABLE_ROWS) === 0 || at === rows.length - 1);
const digits = (threshold) => String(Number(threshold.toPrecision(4)));

/** Fraud and genuine per score; the line stands at `threshold`, and is dragged by whoever calls this. */
export function drawScores(histogram, threshold, moved, theme) {
  const left = threshold > 0.6;
  const layout = {
    ...legible(theme), barmode: "group", bargap: 0.15,
    xaxis: { ...theme.xaxis, range: [0, 1], fixedrange: true, tickvals: [0, 0.3, 0.5, 0.7, 1], title: axisTitle(theme, "score") },
    yaxis: { ...theme.yaxis, type: "log", dtick: 1, fixedrange: true, title: axisTitle(theme, "transactions") },
    shapes: [{ type: "line", x0: threshold, x1: threshold, y0: 0, y1: 1, yref: "paper", line: { color: colour("text"), width: 2, dash: moved ? "solid" : "dot" } }],
    annotations: [{
      x: threshold, y: 1, yref: "paper", yanchor: "top", xanchor: left ? "right" : "left", xshift: left ? -6 : 6, showarrow: false,
      text: moved ? `threshold ${threshold.toFixed(3)}` : "drag to move", font: { size: 12, color: colour("text") },
    }],
  };
  Plotly.react("scores-chart", scoreBars(histogram), layout, CONFIG);
  if (byId("scores-table").closest("details").open) {
    fillTable(byId("scores-table"), ...scoreTable(histogram));
  }
}

export function drawPrecision({ scores, detection }, data, threshold, theme) {
  const rows = scores.sweep ?? [];
  const point = (name, x, y, marker) => ({
    type: "scatter", mode: "markers", name, x: [x * 100], y: [y * 100], marker: { size: 13, ...marker },
    hovertemplate: `recall %{x:.3~g} %, precision %{y:.3~g} %<extra>${name}</extra>`,
  });
  place("pr", rows.length > 0 && data !== null, () => {
    const here = countsAt(data, threshold);
    const line = {
      type: "scatter", mode: "lines", name: "any threshold", x: rows.map((row) => row.recall * 100), y: rows.map((row) => row.precision * 100),
      customdata: rows.map((row) => digits(row.threshold)), line: { color: colour("data-genuine"), width: 2 },
      hovertemplate: "threshold %{customdata}: recall %{x:.3~g} %, precision %{y:.3~g} %<extra></extra>",
    };
    const traces = [line];
    if (known(detection.recall) && known(detection.precision)) {
      traces.push(point("the detector's own", detection.recall, detection.precision, { symbol: "diamond", color: colour("data-suspicious"), line: { color: colour("text"), width: 1.5 } }));
    }
    if (here.tp + here.fp > 0) {
      traces.push(point("the line above", here.tp / (here.tp + here.fn), here.tp / (here.tp + here.fp), { symbol: "circle-open", color: colour("text"), line: { width: 2 } }));
    }
    const layout = { ...legible(theme), hovermode: "closest", xaxis: shareAxis(theme, "recall"), yaxis: { ...theme.yaxis, range: [0, 104], ticksuffix: " %", nticks: 5, fixedrange: true, title: axisTitle(theme, "precision") } };
    Plotly.react("pr-chart", traces, layout, CONFIG);
  }, () => fillTable(
    byId("pr-table"),
    ["Threshold", "Recall", "Precision", "False positive rate", "Alerts"],
    thinned(rows).map((row) => [digits(row.threshold), percent(row.recall), percent(row.precision), percent(row.false_positive_rate), count(row.flagged)]),
  ));
}

export function drawCost({ scores, run }, data, threshold, theme) {
  const rows = scores.sweep ?? [];
  place("cost", rows.length > 0 && data !== null, () => {
    const lost = (caught, alarms) => [data.valueCents - caught, alarms * data.falsePositiveCents];
    const points = [[1, ...lost(0, 0)], ...rows.map((row) => [row.threshold, ...lost(row.caught_cents, row.false_positives)])];
    const scale = 10 ** minorDigits(run.currency);
    const line = (name, value, role, style) => ({
      type: "scatter", mode: "lines", name, x: points.map(([at]) => at), y: points.map((at) => value(at) / scale),
      customdata: points.map((at) => cents(value(at), run.currency)), line: { color: colour(role), shape: "hv", ...style },
      hovertemplate: `%{customdata}<extra>${name}</extra>`,
    });
    const own = lost(data.own.caughtCents, data.own.fp).reduce((a, b) => a + b);
    const layout = {
      ...legible(theme), hovermode: "x unified",
      xaxis: { ...theme.xaxis, range: [0, 1], fixedrange: true, title: axisTitle(theme, "threshold on the score"), unifiedhovertitle: { text: "threshold %{x:.3f}" } },
      yaxis: { ...theme.yaxis, rangemode: "tozero", nticks: 5, tickformat: "~s", fixedrange: true, title: axisTitle(theme, run.currency ?? "") },
      shapes: [
        { type: "line", x0: threshold, x1: threshold, y0: 0, y1: 1, yref: "paper", line: { color: colour("line-strong"), width: 1 } },
        { type: "line", x0: 0, x1: 1, y0: own / scale, y1: own / scale, line: { color: colour("text-muted"), width: 1.5, dash: "8px,4px" } },
      ],
      annotations: [{ x: 0.01, y: own / scale, xanchor: "left", yanchor: "bottom", showarrow: false, text: `the detector's own: ${cents(own, run.currency)}`, font: { size: 12, color: colour("text-muted") } }],
    };
    const traces = [
      line("fraud missed", ([, missed]) => missed, "data-fraud", { width: 1.6, dash: "2px,2px" }),
      line("false positives", ([, , alarms]) => alarms, "data-suspicious", { width: 1.6, dash: "6px,3px" }),
      line("both", ([, missed, alarms]) => missed + alarms, "data-genuine", { width: 2.4 }),
    ];
    Plotly.react("cost-chart", traces, layout, CONFIG);
  }, () => fillTable(
    byId("cost-table"),
    ["Threshold", "Fraud missed", "False positives", "Both"],
    thinned(rows).map((row) => {
      const [missed, alarms] = [data.valueCents - row.caught_cents, row.false_positives * data.falsePositiveCents];
      return [digits(row.threshold), ...[missed, alarms, missed + alarms].map((value) => cents(value, run.currency))];
    }),
  ));
}

export function drawLoad({ quality_against_load: all = [] }, theme) {
  const rows = all.filter((row) => row.ended > 0);
  place("load", rows.some((row) => known(row.mixed_recall)), () => {
    const judged = rows.filter((row) => known(row.mixed_recall));
    const recall = {
      type: "scatter", mode: "lines+markers", name: "recall at one mix", x: judged.map((row) => row.offered_tps), y: judged.map((row) => row.mixed_recall * 100),
      marker: { symbol: judged.map((row) => (!row.enough ? "triangle-up-open" : "triangle-up")), size: 10, color: colour("data-fraud") }, line: { color: colour("data-fraud"), width: 2 },
      error_y: { type: "data", symmetric: false, thickness: 1.4, width: 4, array: judged.map((row) => (row.mixed_recall_high - row.mixed_recall) * 100), arrayminus: judged.map((row) => (row.mixed_recall - row.mixed_recall_low) * 100) },
      customdata: judged.map((row) => [count(row.fraud), interval(row.mixed_recall_low, row.mixed_recall_high)]),
      hovertemplate: "recall at one mix %{y:.3~g} % of %{customdata[0]} frauds, interval %{customdata[1]}<extra></extra>",
    };
    const p99 = {
      type: "scatter", mode: "lines+markers", name: "p99 response", yaxis: "y2", x: rows.map((row) => row.offered_tps), y: rows.map((row) => row.p99_ms),
      marker: { symbol: "circle", size: 6, color: colour("data-purple") }, line: { color: colour("data-purple"), width: 1.4, dash: "4px,2px" },
      hovertemplate: "p99 %{y:.3~g} ms<extra></extra>",
    };
    const layout = {
      ...legible(theme), margin: { l: 58, r: 58, t: 26, b: 44 }, hovermode: "x unified",
      xaxis: { ...theme.xaxis, rangemode: "tozero", fixedrange: true, title: axisTitle(theme, "offered, tx/s"), unifiedhovertitle: { text: "%{x:.3~g} tx/s offered" } },
      yaxis: { ...theme.yaxis, range: [0, 104], ticksuffix: " %", nticks: 5, fixedrange: true },
      yaxis2: { ...theme.yaxis, overlaying: "y", side: "right", rangemode: "tozero", showgrid: false, tickmode: "auto", nticks: 4, fixedrange: true, title: axisTitle(theme, "ms") },
    };
    Plotly.react("load-chart", [recall, p99], layout, CONFIG);
  }, () => fillTable(
    byId("load-table"),
    ["Offered", "Transactions", "Frauds", "Recall at one mix", "95 % interval", "Coverage", "p99 response"],
    rows.map((row) => [withUnit(row.offered_tps, "tx/s"), count(row.ended), count(row.fraud), percent(row.mixed_recall), interval(row.mixed_recall_low, row.mixed_recall_high), percent(row.coverage), milliseconds(row.p99_ms)]),
  ));
}

export const perTenThousand = ({ fp, tn }) => (fp + tn ? figure((10_000 * fp) / (fp + tn)) : "–");
