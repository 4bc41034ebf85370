// Looking closer at a page's charts over time, all of them together: drag (or + − ← → on a focused
// chart) zooms, a double click (or 0) shows everything, and one crosshair crosses every chart.

import { byId, element } from "./dom.js";
import { figure, known } from "./format.js";

const STEP = 0.25; // of what is shown, per key
const SPIKE = 2.5; // a peak this many times higher than nearly all other points is cut off
const SPIKE_SHARE = 0.985;
const FEW_POINTS = 40;
const SPIKES_NAMED = 4;
const APART = 0.07; // of the whole length: closer ones share the label of the highest

let zoom = null; // [from, to] in the units of the page's time axis; null: everything
const plots = new Map(); // element → [from, to] of everything

/** What of [from, to] is shown. */
export const shownRange = (from, to) => zoom ?? [from, to];

/** After `Plotly.react` of a chart whose x axis is the page's time, from `from` to `to`. */
export function explore(id, from, to) {
  const plot = byId(id);
  const known = plots.has(plot);
  plots.set(plot, [from, to]);
  if (!known) listen(plot);
}

/** What an explorable chart's layout adds; on a touch screen a finger still scrolls the page. */
export const EXPLORABLE = { dragmode: matchMedia("(pointer: fine)").matches ? "zoom" : false };

function listen(plot) {
  const line = element("i", "crosshair");
  line.hidden = true;
  plot.append(line);
  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-roledescription", "chart; plus and minus zoom, arrows move, 0 shows all");
  plot.on("plotly_relayout", (change) => {
    if (change["xaxis.autorange"]) show(null);
    else if ("xaxis.range[0]" in change) show(plot._fullLayout.xaxis.range.map((value) => plot._fullLayout.xaxis.r2l(value)));
  });
  plot.addEventListener("pointermove", (event) => {
    const axis = plot._fullLayout?.xaxis;
    const pixel = event.clientX - plot.getBoundingClientRect().left - (axis?._offset ?? 0);
    cross(axis && pixel >= 0 && pixel <= axis._length ? axis.p2l(pixel) : null);
  });
  plot.addEventListener("pointerleave", () => cross(null));
  plot.addEventListener("keydown", (event) => byKey(plot, event));
  const actions = plot.closest(".card").querySelector(".card-actions");
  const all = element("button", "button small show-all", "Show all");
  all.type = "button";
  all.hidden = zoom === null;
  all.addEventListener("click", () => show(null));
  actions?.prepend(all);
}

function byKey(plot, event) {
  const [from, to] = plots.get(plot);
  const [left, right] = shownRange(from, to);
  const step = (right - left) * STEP;
  const next = {
    "+": [left + step, right - step], "=": [left + step, right - step], "-": [left - step, right + step],
    ArrowLeft: [left - step, right - step], ArrowRight: [left + step, right + step], 0: null,
  };
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in next)) return;
  event.preventDefault();
  const wanted = next[event.key];
  if (wanted === null) return show(null);
  const width = Math.min(to - from, wanted[1] - wanted[0]);
  const start = Math.min(Math.max(from, wanted[0]), to - width);
  show(width >= to - from ? null : [start, start + width]);
}

function show(range) {
  zoom = range;
  for (const button of document.querySelectorAll(".show-all")) button.hidden = zoom === null;
  dispatchEvent(new Event("zoomchange"));
}

function cross(moment) {
  for (const plot of plots.keys()) {
    const line = plot.querySelector(".crosshair");
    const axis = plot._fullLayout?.xaxis;
    const pixel = moment === null || !axis ? -1 : axis.l2p(moment);
    line.hidden = !(pixel >= 0 && pixel <= (axis?._length ?? 0));
    line.style.left = `${pixel + (axis?._offset ?? 0)}px`;
  }
}

/** The top of an axis that a single spike does not flatten, and labels for what is cut off there. */
export function clipped(xs, columns, axis = "y", least = 0) {
  const values = columns.flat().filter(known).sort((a, b) => a - b);
  const most = values.at(-1) ?? 0;
  const usual = values[Math.floor(SPIKE_SHARE * (values.length - 1))] ?? 0;
  const cut = values.length >= FEW_POINTS && usual > 0 && most > SPIKE * usual;
  const top = Math.max(least, cut ? usual * 1.5 : most * 1.06) || 1;
  const over = cut ? columns.flatMap((ys) => ys.map((y, at) => [xs[at], y]).filter(([, y]) => y > top)) : [];
  const apart = APART * (xs.at(-1) - xs[0]);
  const named = over.sort((a, b) => b[1] - a[1]).filter(([x], at, all) => all.findIndex(([other]) => Math.abs(other - x) < apart) === at);
  const marks = named.slice(0, SPIKES_NAMED).map(([x, y]) => ({
    x, y: 1, xref: "x", yref: `${axis} domain`, yanchor: "top", showarrow: false, text: `▲ ${figure(y)}`, font: { size: 11 },
    bgcolor: "rgba(128,128,128,0.18)",
  }));
  return { range: [0, top], marks };
}
