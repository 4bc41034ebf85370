// What the charts share: colours by role, the simulated calendar as an axis, texts without markup.

import { clockOf, dayOf, stopwatch } from "./format.js";

export const CONFIG = { displayModeBar: false, responsive: true };

const CALENDAR_STEPS_S = [60, 300, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800];
const STOPWATCH_STEPS_S = [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400];
const PIXELS_PER_TICK = 90;

export const colour = (role) => getComputedStyle(document.documentElement).getPropertyValue(`--${role}`).trim();

export function faded(hex, alpha) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${red},${green},${blue},${alpha})`;
}

/** Ticks on the calendar's own grid from `fromS` to `toS`: a run that starts at 09:20 still has them on full hours. */
export function calendarTicks(start, [fromS, toS], width) {
  const wanted = Math.max(2, width / PIXELS_PER_TICK);
  const lengthS = toS - fromS;
  const stepS = CALENDAR_STEPS_S.find((step) => lengthS / step <= wanted) ?? Math.ceil(lengthS / wanted / 604_800) * 604_800;
  const tickvals = [];
  const ticktext = [];
  for (let at = Math.ceil(fromS / stepS) * stepS; at <= toS; at += stepS) {
    tickvals.push(at * 1000);
    ticktext.push(at % 86_400 === 0 ? `<b>Day ${dayOf(at, start)}</b>` : clockOf(at));
  }
  return { tickvals, ticktext, ticks: "outside", ticklen: 4 };
}

/** Attacks and faults behind a chart: hatched one way each, so that they differ without colour. */
export function bandTraces({ attacks = [], faults = [] }, date, durationS) {
  const kinds = [["attack", attacks, "data-fraud", "/"], ["fault made on purpose", faults, "text-muted", "x"]];
  return kinds.filter(([, spans]) => spans.length).map(([name, spans, role, shape]) => ({
    type: "scatter", mode: "lines", name, yaxis: "y9", fill: "toself", hoverinfo: "skip", line: { width: 0 },
    x: spans.flatMap(({ start_s: from, end_s: to }) => [from, from, Math.min(to, durationS), Math.min(to, durationS), from].map(date).concat(null)),
    y: spans.flatMap(() => [0, 1, 1, 0, 0, null]),
    fillpattern: { shape, size: 8, solidity: 0.14, fgcolor: faded(colour(role), 0.75), bgcolor: faded(colour(role), 0.07) },
  }));
}

/** The axis that `bandTraces` stand on. */
export const BAND_AXIS = { overlaying: "y", range: [0, 1], visible: false, fixedrange: true };

/** Ticks of the wall clock, in running time. */
export function stopwatchTicks(fromS, toS, width) {
  const wanted = Math.max(2, width / PIXELS_PER_TICK);
  const stepS = STOPWATCH_STEPS_S.find((step) => (toS - fromS) / step <= wanted) ?? 86_400 * Math.ceil((toS - fromS) / wanted / 86_400);
  const tickvals = [];
  for (let at = Math.ceil(fromS / stepS) * stepS; at <= toS; at += stepS) tickvals.push(at);
  return { tickvals, ticktext: tickvals.map(stopwatch), ticks: "outside", ticklen: 4 };
}

export const axisTitle = (theme, text) => ({ ...theme.yaxis.title, text, standoff: 4 });

export function themed(layouts) {
  return structuredClone(layouts[document.documentElement.dataset.theme] ?? layouts.light);
}

// Plotly reads a few tags (<b>, <a href>) in its texts: names from a scenario lose their brackets.
export const plain = (text) => text.replaceAll("<", "‹").replaceAll(">", "›").replaceAll("%{", "% {");
