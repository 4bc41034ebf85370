// The detection page: how well fraud is caught, and what another threshold would have done.

import { themed } from "./axis.js";
import { drawRecall, recallTable } from "./charts.js";
import { drawCost, drawLoad, drawPrecision, drawScores, perTenThousand } from "./detection_charts.js";
import { byId, element, setHidden, setText } from "./dom.js";
import { cents, count, percent } from "./format.js";
import { listenForPng } from "./png.js";
import { ResultsSource } from "./results_source.js";
import { Shell, settings } from "./shell.js";
import { countsAt, whatIf } from "./threshold.js";

const source = new ResultsSource(settings, { onNews: () => shell.draw(), onRun: () => (chosen = null) });

let chosen = null; // the threshold somebody moved to; null: the detector's own decisions
let dragging = false;

function render({ status }) {
  setHidden(byId("detection"), status.state === "idle");
  if (status.state === "idle") return;
  source.ask(status);
  draw();
}

function draw() {
  const { results } = source;
  const data = results && whatIf(results);
  setHidden(byId("detection-empty"), Boolean(data));
  setHidden(byId("threshold-part"), !data);
  if (!results || typeof Plotly === "undefined") return;
  const theme = themed(settings.chartLayout);
  const threshold = chosen ?? data?.start ?? 0.5;
  if (data) {
    drawScores(results.scores.histogram, threshold, chosen !== null, theme);
    showCounts(data, threshold, results.run.currency);
  }
  drawPrecision(results, data, threshold, theme);
  drawCost(results, data, threshold, theme);
  if (dragging) return; // the rest does not depend on the line
  drawRecall(results.fraud.by_typology, { ...theme, dragmode: false });
  setHidden(document.querySelector('[data-png="recall-chart"]'), byId("recall-chart").hidden);
  if (byId("recall-table").closest("details").open) recallTable(results.fraud.by_typology);
  drawLoad(results, theme);
}

function showCounts(data, threshold, currency) {
  const moved = chosen !== null;
  const found = moved ? countsAt(data, threshold) : data.own;
  byId("threshold").value = String(threshold);
  setText(byId("threshold-value"), threshold.toFixed(3));
  byId("threshold-reset").disabled = !moved;
  setText(byId("threshold-of"), moved ? `A threshold of ${threshold.toFixed(3)} would have` : "What the detector decided itself");
  for (const name of ["tp", "fp", "fn", "tn"]) setText(byId(`cell-${name}`), count(found[name]));
  const { tp, fp, fn } = found;
  const facts = [
    ["Recall", tp + fn ? percent(tp / (tp + fn)) : "–"],
    ["Precision", tp + fp ? percent(tp / (tp + fp)) : "–"],
    ["False positives", `${perTenThousand(found)} per 10\u2009000`],
    ["Net savings", cents(found.caughtCents - fp * data.falsePositiveCents, currency)],
  ];
  byId("threshold-facts").replaceChildren(...facts.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value))));
}

function moveTo(threshold) {
  chosen = Math.min(1, Math.max(0, threshold));
  shell.draw();
}

function letDrag(plot) {
  const scoreAt = (event) => {
    const axis = plot._fullLayout.xaxis;
    return axis.p2d(event.clientX - plot.getBoundingClientRect().left - axis._offset);
  };
  plot.addEventListener("pointerdown", (event) => {
    if (event.button || !plot._fullLayout || event.target.closest(".legend")) return;
    const score = scoreAt(event);
    if (score < 0 || score > 1) return;
    plot.setPointerCapture(event.pointerId);
    dragging = true;
    moveTo(score);
  });
  plot.addEventListener("pointermove", (event) => plot.hasPointerCapture(event.pointerId) && moveTo(scoreAt(event)));
  plot.addEventListener("lostpointercapture", () => {
    dragging = false;
    shell.draw();
  });
}

const shell = new Shell({ render });

byId("threshold").addEventListener("input", (event) => moveTo(Number(event.target.value)));
byId("threshold-reset").addEventListener("click", () => {
  chosen = null;
  shell.draw();
});
letDrag(byId("scores-chart"));
for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", () => shell.draw());
listenForPng(() => shell.status?.run_id);
