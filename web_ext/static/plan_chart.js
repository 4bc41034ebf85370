// The scenario as one picture: rate above, a lane of campaigns per kind of fraud below, both on the
// simulated calendar.

import { BAND_AXIS, CONFIG, axisTitle, bandTraces, calendarTicks, colour, faded, plain, themed } from "./axis.js";
import { EXPLORABLE, explore, shownRange } from "./explore.js";
import { predicted } from "./charts.js";
import { byId, setHidden } from "./dom.js";
import { count, dayAndClock, known, words } from "./format.js";

const RATE_PX = 210;
const LANE_PX = 34;
const EDGES_PX = 76;
const LEFT_PX = 132;
const NARROW_PX = 600;

/** data: {plan, points, start, now, durationS} */
export function drawPlan(data, layouts) {
  if (typeof Plotly === "undefined") return; // the library is still on its way
  const { plan, durationS } = data;
  const empty = !plan.predicted.length;
  setHidden(byId("plan-empty"), !empty);
  setHidden(byId("plan-chart"), empty);
  if (empty) return;
  const theme = themed(layouts);
  const date = (simS) => (data.start + simS) * 1000;
  const lanes = [...new Set(plan.campaigns.map(({ typology }) => typology))].sort();
  const width = byId("plan-chart").clientWidth;
  const height = RATE_PX + LANE_PX * lanes.length + EDGES_PX;
  const laneShare = lanes.length ? (LANE_PX * lanes.length) / (height - EDGES_PX) : 0;
  const narrow = width < NARROW_PX;
  const name = (typology) => plain(words(typology));
  const traces = [
    predicted(plan.predicted, date),
    { type: "scatter", mode: "lines", name: "sent", x: data.points.map(({ sim_s: s }) => date(s)), y: data.points.map((point) => point.achieved_tps ?? null),
      line: { color: colour("accent"), width: 1.6 }, hovertemplate: "%{y:.3~g} tx/s sent<extra></extra>" },
    ...bars(plan.campaigns, date, name, data.start),
  ];
  const layout = {
    ...theme, height, showlegend: false, dragmode: false, hovermode: "closest",
    margin: { l: narrow ? 46 : LEFT_PX, r: 20, t: 22, b: 34 },
    xaxis: {
      ...theme.xaxis, type: "date", range: [date(0), date(durationS)], fixedrange: true, showgrid: false,
      anchor: lanes.length ? "y2" : "y", ...calendarTicks(data.start, durationS, width),
    },
    yaxis: { ...theme.yaxis, domain: [laneShare ? laneShare + 0.04 : 0, 1], rangemode: "tozero", fixedrange: true, nticks: 4, title: axisTitle(theme, "tx/s") },
    yaxis2: {
      ...theme.yaxis, domain: [0, laneShare], fixedrange: true, showgrid: true, type: "category", categoryorder: "array",
      categoryarray: lanes.map(name).reverse(), range: [-0.6, lanes.length - 0.4], showticklabels: !narrow, ticklabelstandoff: 6,
    },
    shapes: shapes(data, date),
    annotations: [...attackLabels(plan.attacks, date, durationS, width), ...faultLabels(plan.faults ?? [], date), nowLabel(data, date), ...(narrow ? laneLabels(lanes, date, name) : [])],
  };
  Plotly.react("plan-chart", traces, layout, CONFIG);
}

/** Campaigns as thick lines; a moment's campaign still has a visible length. */
function bars(campaigns, date, name, start) {
  const segments = (rows) => ({
    x: rows.flatMap((row) => [date(row.start_s), date(Math.max(row.end_s, row.start_s + 60)), null]),
    y: rows.flatMap((row) => [name(row.typology), name(row.typology), null]),
    text: rows.flatMap((row) => [tell(row, start), tell(row, start), ""]),
  });
  const line = (rows, style, title) => ({
    type: "scatter", mode: "lines", name: title, yaxis: "y2", ...segments(rows), line: style, hovertemplate: "%{text}<extra></extra>",
  });
  const marks = (rows, key, marker) => ({
    type: "scatter", mode: "markers", yaxis: "y2", x: rows.map((row) => date(row[key])), y: rows.map((row) => name(row.typology)), marker,
    text: rows.map((row) => tell(row, start)), hovertemplate: "%{text}<extra></extra>",
  });
  const begun = campaigns.filter((row) => row.begun);
  const alerted = begun.filter((row) => known(row.first_alert_s));
  return [
    marks(campaigns.filter((row) => !row.begun), "start_s", { symbol: "circle-open", size: 9, color: colour("data-fraud"), line: { width: 1.6 } }),
    line(begun, { color: colour("data-fraud"), width: 8 }, "begun"),
    marks(alerted, "first_alert_s", { symbol: "diamond", size: 11, color: colour("data-caught"), line: { color: colour("surface"), width: 1.5 } }),
  ];
}

function tell(row, start) {
  const when = dayAndClock(start + row.start_s, start);
  const what = plain(words(row.label || row.typology));
  if (!row.begun) return `${what}, planned for ${when}: ${count(row.size)} transactions`;
  const first = known(row.first_alert_s) ? `, first ${dayAndClock(start + row.first_alert_s, start)}` : "";
  return `${what}, from ${when}: ${count(row.transactions)} transactions, ${count(row.alerted)} alerted${first}`;
}

function shapes({ plan, now, durationS }, date) {
  const band = (fillcolor) => ({ start_s: from, end_s: to }) => ({
    type: "rect", xref: "x", yref: "paper", x0: date(from), x1: date(Math.min(to, durationS)), y0: 0, y1: 1, fillcolor, line: { width: 0 }, layer: "below",
  });
  const marker = { type: "line", xref: "x", yref: "paper", x0: date(now), x1: date(now), y0: 0, y1: 1, line: { color: colour("text"), width: 1.5 } };
  return [...joined(plan.business_hours).map(band(faded(colour("data-sky"), 0.1))), ...plan.attacks.map(band(colour("data-attack-band"))), ...(plan.faults ?? []).map(band(colour("data-fault-band"))), marker];
}

/** Hours that touch are one stretch, or their borders would show. */
function joined(spans) {
  const found = [];
  for (const span of spans) {
    if (found.at(-1)?.end_s === span.start_s) found.at(-1).end_s = span.end_s;
    else found.push({ ...span });
  }
  return found;
}

const above = { yref: "paper", showarrow: false, align: "left", font: { size: 11 } };

function attackLabels(attacks, date, durationS, width) {
  const pixelsPerS = (width - LEFT_PX) / durationS;
  const sorted = attacks.toSorted((a, b) => a.start_s - b.start_s);
  return sorted.map(({ label, start_s: startS }, index) => {
    const text = `▲ ${plain(words(label))}`;
    const room = ((sorted[index + 1]?.start_s ?? durationS) - startS) * pixelsPerS;
    return { ...above, x: date(startS), y: 1, xref: "x", xanchor: "left", yanchor: "top", text: room > text.length * 6.6 ? text : "▲", hovertext: text, font: { size: 11, color: colour("data-fraud") } };
  });
}

const faultLabels = (faults, date) =>
  faults.map(({ label, start_s: startS }) => ({ ...above, x: date(startS), y: 0, xref: "x", yref: "y domain", xanchor: "left", yanchor: "bottom", text: `× ${plain(words(label))}`, textangle: -90, font: { size: 10, color: colour("text-muted") } }));

const nowLabel = ({ now, durationS }, date) => ({
  ...above, x: date(now), y: 1, xref: "x", xanchor: now > durationS * 0.9 ? "right" : "left", yanchor: "bottom", text: "<b>now</b>", font: { size: 11, color: colour("text") },
});

const laneLabels = (lanes, date, name) =>
  lanes.map((typology) => ({ ...above, yref: "y2", y: name(typology), yshift: 11, x: date(0), xref: "x", xanchor: "left", text: name(typology), font: { size: 10, color: colour("text-muted") } }));
