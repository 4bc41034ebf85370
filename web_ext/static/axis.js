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

/** Ticks on the calendar's own grid: a run that starts at 09:20 still has them on full hours. */
export function calendarTicks(start, durationS, width) {
  const wanted = Math.max(2, width / PIXELS_PER_TICK);
  const stepS = CALENDAR_STEPS_S.find((step) => durationS / step <= wanted) ?? Math.ceil(durationS / wanted / 604_800) * 604_800;
  const tickvals = [];
  const ticktext = [];
  for (let at = Math.ceil(start / stepS) * stepS; at <= start + durationS; at += stepS) {
    tickvals.push(at * 1000);
    ticktext.push(at % 86_400 === 0 ? `<b>Day ${dayOf(at, start)}</b>` : clockOf(at));
  }
  return { tickvals, ticktext, ticks: "outside", ticklen: 4 };
}

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
