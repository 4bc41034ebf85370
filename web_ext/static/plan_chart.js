// The scenario as one picture: rate above, a lane of campaigns per kind of fraud below, both on the
// simulated calendar.

import { BAND_AXIS, CONFIG, axisTitle, bandTraces, calendarTicks, colour, faded, plain, themed } from "./axis.js";
import { EXPLORABLE, explore, shownRange } from "./explore.js";
import { predicted } from "./charts.js";
import { byId, setHidden } from "./dom.js";
import { count, dayAndClock, known, words } from "./format.js";

const RATE_PX = 190;
const LANE_PX = 20;
const EDGES_PX = 76;
const LEFT_PX = 168;
const NARROW_PX = 600;
/** With more campaigns than this, those of one kind share a lane. */
const MOST_LANES = 36;

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
  const { lanes, lane } = lanesOf(plan.campaigns);
  const width = byId("plan-chart").clientWidth;
  const height = RATE_PX + LANE_PX * lanes.length + EDGES_PX;
  const laneShare = lanes.length ? (LANE_PX * lanes.length) / (height - EDGES_PX) : 0;
  const narrow = width < NARROW_PX;
  const [from, to] = shownRange(date(0), date(durationS));
  const traces = [
    predicted(plan.predicted, date),
    ...bandTraces(plan, date, durationS),
    { type: "scatter", mode: "lines", name: "sent", x: data.points.map(({ sim_s: s }) => date(s)), y: data.points.map((point) => point.achieved_tps ?? null),
      line: { color: colour("accent"), width: 1.6 }, hovertemplate: "%{y:.3~g} tx/s sent<extra></extra>" },
    ...bars(plan.campaigns, date, lane, data),
  ];
  const layout = {
    ...theme, ...EXPLORABLE, height, showlegend: false, hovermode: "closest",
    margin: { l: narrow ? 46 : LEFT_PX, r: 20, t: 22, b: 34 },
    xaxis: {
      ...theme.xaxis, type: "date", range: [from, to], showgrid: false,
      anchor: lanes.length ? "y2" : "y", ...calendarTicks(data.start, [from / 1000, to / 1000], width),
    },
    yaxis: { ...theme.yaxis, domain: [laneShare ? laneShare + 0.04 : 0, 1], rangemode: "tozero", fixedrange: true, nticks: 4, title: axisTitle(theme, "tx/s") },
    yaxis2: {
      ...theme.yaxis, domain: [0, laneShare], fixedrange: true, showgrid: true, type: "category", categoryorder: "array",
      categoryarray: lanes.toReversed(), range: [-0.6, lanes.length - 0.4], showticklabels: !narrow, ticklabelstandoff: 6, tickfont: { ...theme.yaxis.tickfont, size: 11 },
    },
    yaxis9: BAND_AXIS,
    shapes: shapes(data, date),
    annotations: [...attackLabels(plan.attacks, date, durationS, width), ...faultLabels(plan.faults ?? [], date), nowLabel(data, date)],
  };
  Plotly.react("plan-chart", traces, layout, CONFIG);
  explore("plan-chart", date(0), date(durationS));
}

/** {lanes: names from top to bottom, lane(row): the name of its lane}: a lane each, or one per kind of fraud. */
function lanesOf(campaigns) {
  const shared = campaigns.length > MOST_LANES;
  const names = new Map();
  for (const row of campaigns.toSorted((a, b) => a.start_s - b.start_s)) {
    const name = plain(words(shared ? row.typology : row.label || row.typology));
    const taken = [...names.values()].filter((other) => other === name || other.startsWith(`${name} (`)).length;
    names.set(row.campaign, shared || !taken ? name : `${name} (${taken + 1})`);
  }
  return { lanes: [...new Set(names.values())], lane: (row) => names.get(row.campaign) };
}

/** Campaigns as thick lines: vermillion until the first alert, green from there on, a cross where none ever came. */
function bars(campaigns, date, lane, { start, now }) {
  const line = (rows, from, to, role, title) => ({
    type: "scatter", mode: "lines", name: title, yaxis: "y2", line: { color: colour(role), width: 8 }, hovertemplate: "%{text}<extra></extra>",
    x: rows.flatMap((row) => [date(from(row)), date(Math.max(to(row), from(row) + 60)), null]),
    y: rows.flatMap((row) => [lane(row), lane(row), null]),
    text: rows.flatMap((row) => [tell(row, start), tell(row, start), ""]),
  });
  const marks = (rows, key, marker) => ({
    type: "scatter", mode: "markers", yaxis: "y2", x: rows.map((row) => date(row[key])), y: rows.map(lane), marker,
    text: rows.map((row) => tell(row, start)), hovertemplate: "%{text}<extra></extra>",
  });
  const begun = campaigns.filter((row) => row.begun);
  const alerted = begun.filter((row) => known(row.first_alert_s));
  const never = begun.filter((row) => !known(row.first_alert_s) && row.end_s < now);
  return [
    marks(campaigns.filter((row) => !row.begun), "start_s", { symbol: "circle-open", size: 9, color: colour("data-fraud"), line: { width: 1.6 } }),
    line(begun, (row) => row.start_s, (row) => row.first_alert_s ?? row.end_s, "data-fraud", "before the first alert"),
    line(alerted, (row) => row.first_alert_s, (row) => row.end_s, "data-caught", "after it"),
    marks(alerted, "first_alert_s", { symbol: "diamond", size: 10, color: colour("data-caught"), line: { color: colour("surface"), width: 1.5 } }),
    marks(never, "end_s", { symbol: "x", size: 9, color: colour("data-fraud"), line: { color: colour("surface"), width: 1 } }),
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
  // Business hours are a strip below the rate, so that nothing lies over an attack.
  const strip = ({ start_s: from, end_s: to }) => ({
    type: "rect", xref: "x", yref: "y domain", x0: date(from), x1: date(Math.min(to, durationS)), y0: 0, y1: 0.05, fillcolor: faded(colour("data-sky"), 0.7), line: { width: 0 },
  });
  const marker = { type: "line", xref: "x", yref: "paper", x0: date(now), x1: date(now), y0: 0, y1: 1, line: { color: colour("text"), width: 1.5 } };
  return [...joined(plan.business_hours).map(strip), marker];
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
