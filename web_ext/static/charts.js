// The two charts.  Colours and fonts come from the tokens and the theme shared with the report.
// The time axis is the simulated calendar, as UTC so that the viewer's zone never shifts it.

import { BAND_AXIS, CONFIG, axisTitle, bandTraces, calendarTicks, colour, faded, plain, themed } from "./axis.js";
import { byId, fillTable, setHidden } from "./dom.js";
import { EXPLORABLE, clipped, explore, shownRange } from "./explore.js";
import { count, dayAndClock, figure, interval, known, milliseconds, percent, words } from "./format.js";

const TABLE_ROWS = 24;
const PIXELS_PER_LETTER = 6.6;
const NARROW_PX = 560;

export class Charts {
  constructor(layouts) {
    this.layouts = layouts;
    for (const id of ["rate", "recall"]) {
      byId(`${id}-table`).closest("details").addEventListener("toggle", () => this.tables());
    }
  }

  /** Everything again: after new data, or another theme or width. */
  show({ points, windows, start, durationS, simS, byTypology }) {
    this.data = { points, windows, start, durationS, simS, byTypology };
    if (typeof Plotly === "undefined") return; // the library is still on its way
    this.rate();
    this.recall();
    this.tables();
  }

  base() {
    return { ...themed(this.layouts), margin: { l: 52, r: 26, t: 26, b: 34 }, showlegend: true, dragmode: false };
  }

  /** A moment of the run as the axis wants it: milliseconds of the simulated calendar. */
  date(simS) {
    return (this.data.start + simS) * 1000;
  }

  rate() {
    const { points, windows, start, durationS } = this.data;
    const empty = points.length === 0;
    setHidden(byId("rate-empty"), !empty);
    setHidden(byId("rate-chart"), empty);
    if (empty) return;
    const theme = this.base();
    const xs = points.map((point) => this.date(point.sim_s));
    const line = (name, key, style, unit, more = {}) => ({
      type: "scatter", mode: "lines", name, x: xs, y: points.map((point) => point[key] ?? null),
      line: { width: 1.8, ...style }, hovertemplate: `%{y:.3~g} ${unit}<extra>${name}</extra>`, ...more,
    });
    const date = (simS) => this.date(simS);
    const traces = [
      predicted(windows.predicted ?? [], date),
      ...bandTraces(windows, date, durationS),
      line("offered", "offered_tps", { color: colour("text-muted"), width: 1.4, dash: "2px,2px" }, "tx/s"),
      line("achieved", "achieved_tps", { color: colour("accent") }, "tx/s"),
      line("p99 response", "p99_ms", { color: colour("data-purple"), width: 1.4 }, "ms", { yaxis: "y2" }),
    ];
    const column = (key) => points.map((point) => point[key]);
    const planned = (windows.predicted ?? []).map(({ tps }) => tps);
    const rates = clipped(xs, [column("offered_tps"), column("achieved_tps")], "y", 1.06 * Math.max(0, ...planned));
    const times = clipped(xs, [column("p99_ms")], "y2");
    const [from, to] = shownRange(date(0), date(durationS));
    const layout = {
      ...theme, ...EXPLORABLE,
      showlegend: byId("rate-chart").clientWidth > NARROW_PX,
      hovermode: "x unified",
      hoversubplots: "axis",
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
      xaxis: {
        ...theme.xaxis, type: "date", range: [from, to], showgrid: false,
        anchor: "y2", ...calendarTicks(start, [from / 1000, to / 1000], byId("rate-chart").clientWidth), unifiedhovertitle: { text: "%{x|%A %-d %b, %H:%M} simulated" },
      },
      yaxis: { ...theme.yaxis, domain: [0.34, 1], range: rates.range, fixedrange: true, nticks: 5, ticksuffix: "", title: axisTitle(theme, "tx/s") },
      yaxis2: { ...theme.yaxis2, domain: [0, 0.24], range: times.range, fixedrange: true, nticks: 3, title: axisTitle(theme, "ms") },
      yaxis9: BAND_AXIS,
      shapes: [this.nowLine()],
      annotations: [...this.attackLabels(), ...rates.marks, ...times.marks],
    };
    Plotly.react("rate-chart", traces, layout, CONFIG);
    explore("rate-chart", date(0), date(durationS));
  }

  nowLine() {
    const now = this.date(this.data.simS);
    return { type: "line", xref: "x", yref: "paper", x0: now, x1: now, y0: 0, y1: 1, line: { color: colour("line-strong"), width: 1 } };
  }

  attackLabels() {
    const { windows, durationS } = this.data;
    const pixelsPerS = (byId("rate-chart").clientWidth - 78) / durationS;
    const attacks = (windows.attacks ?? []).toSorted((a, b) => a.start_s - b.start_s);
    return attacks.map(({ label, start_s: startS }, index) => {
      const nextS = attacks[index + 1]?.start_s ?? durationS;
      const text = `▲ ${plain(words(label))}`;
      const fits = (nextS - startS) * pixelsPerS > text.length * PIXELS_PER_LETTER;
      return {
        x: this.date(startS), y: 1, xref: "x", yref: "paper", xanchor: "left", yanchor: "top", showarrow: false, align: "left",
        // Where a name would run into the next attack the mark stays alone; pointing at it tells the name.
        text: fits ? text : "▲", hovertext: plain(words(label)), font: { size: 11, color: colour("data-fraud") },
      };
    });
  }

  recall() {
    drawRecall(this.data.byTypology, this.base());
  }

  tables() {
    if (!this.data) return;
    if (byId("rate-table").closest("details").open) this.rateTable();
    if (byId("recall-table").closest("details").open) recallTable(this.data.byTypology);
  }

  rateTable() {
    const { points, start } = this.data;
    const every = Math.max(1, Math.ceil(points.length / TABLE_ROWS));
    const rows = points.filter((_, index) => (points.length - 1 - index) % every === 0).reverse();
    fillTable(
      byId("rate-table"),
      ["Simulated", "Predicted, tx/s", "Offered, tx/s", "Achieved, tx/s", "p99 response"],
      rows.map((point) => [
        dayAndClock(start + point.sim_s, start), figure(point.predicted_tps), figure(point.offered_tps),
        figure(point.achieved_tps), milliseconds(point.p99_ms),
      ]),
    );
  }
}

/** The table behind it. */
export function recallTable(byTypology) {
  fillTable(
    byId("recall-table"),
    ["Kind of fraud", "Tried", "Caught", "Recall", "95 % interval"],
    typologyRows(byTypology).map((row) => [
      words(row.name), count(row.transactions), count(row.alerted), percent(row.recall), interval(row.recall_low, row.recall_high),
    ]),
  );
}

/** Recall per kind of fraud with its interval, into the elements "recall-…". */
export function drawRecall(byTypology, theme) {
  const rows = typologyRows(byTypology);
  setHidden(byId("recall-empty"), rows.length > 0);
  setHidden(byId("recall-chart"), rows.length === 0);
  if (rows.length === 0) return;
  const names = rows.map((row) => `${plain(words(row.name))} · ${count(row.transactions)}`);
  const bars = {
    type: "bar", orientation: "h", y: names, x: rows.map((row) => (row.recall ?? 0) * 100),
    // Pale where so few were tried that the bar says little.
    marker: { color: rows.map((row) => faded(colour("data-caught"), !row.enough ? 0.35 : 0.85)) }, width: 0.55, cliponaxis: false,
    error_x: {
      type: "data", symmetric: false, color: colour("text"), thickness: 1.4, width: 4,
      array: rows.map((row) => (known(row.recall_high) ? (row.recall_high - row.recall) * 100 : 0)),
      arrayminus: rows.map((row) => (known(row.recall_low) ? (row.recall - row.recall_low) * 100 : 0)),
    },
    customdata: rows.map((row) => [count(row.alerted), count(row.transactions), interval(row.recall_low, row.recall_high)]),
    hovertemplate: "%{customdata[0]} of %{customdata[1]} caught: %{x:.3~g} %<br>95 % interval %{customdata[2]}<extra></extra>",
  };
  const layout = {
    ...theme, showlegend: false, height: 56 + 44 * rows.length, bargap: 0.4, hovermode: "closest",
    margin: { l: 10, r: 24, t: 6, b: 34 },
    xaxis: { ...theme.xaxis, range: [0, 100], tickvals: [0, 25, 50, 75, 100], ticksuffix: " %", fixedrange: true },
    yaxis: { ...theme.yaxis, automargin: true, autorange: "reversed", fixedrange: true, showgrid: false, ticklabelstandoff: 6 },
  };
  Plotly.react("recall-chart", [bars], layout, CONFIG);
}

/** The scenario's rate as steps: each window holds its value to its end. */
export function predicted(windows, date) {
  const x = [];
  const y = [];
  for (const { start_s: startS, end_s: endS, tps } of windows) {
    x.push(date(startS), date(endS));
    y.push(tps, tps);
  }
  return {
    type: "scatter", mode: "lines", name: "predicted", x, y, fill: "tozeroy", hoverinfo: "skip",
    line: { width: 0 }, fillcolor: faded(colour("data-sky"), 0.2),
  };
}

/** Fraud and genuine per score; hatching tells them apart without colour. */
export function scoreBars(histogram) {
  return [["genuine", ""], ["fraud", "/"]].map(([name, shape]) => ({
    type: "bar", name, x: histogram.map((bar) => (bar.low + bar.high) / 2), y: histogram.map((bar) => bar[name] || null),
    marker: { color: faded(colour(`data-${name}`), 0.85), pattern: { shape, fillmode: "overlay", fgcolor: colour("surface"), size: 6, solidity: 0.2 } },
    customdata: histogram.map((bar) => `${bar.low.toFixed(2)} to ${bar.high.toFixed(2)}`),
    hovertemplate: `%{y} ${name}, score %{customdata}<extra></extra>`,
  }));
}

/** The table behind them: [heads, rows]. */
export function scoreTable(histogram) {
  const rows = histogram.map((bar) => [`${bar.low.toFixed(2)} to ${bar.high.toFixed(2)}`, count(bar.genuine), count(bar.fraud)]);
  return [["Score", "Genuine", "Fraud"], rows];
}

export function typologyRows(byTypology) {
  return Object.entries(byTypology ?? {})
    .map(([name, row]) => ({ name, ...row }))
    .filter((row) => row.transactions > 0)
    .sort((a, b) => (a.recall ?? 0) - (b.recall ?? 0) || a.name.localeCompare(b.name));
}
