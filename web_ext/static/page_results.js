// Results: of the last run, or so far while it goes on; and those of past runs, two side by side.

import { Charts } from "./charts.js";
import { byId, element, fillTable, setHidden, setText } from "./dom.js";
import { count, figure, interval, known, milliseconds, percent, span, withUnit, words } from "./format.js";
import { startOf } from "./header.js";
import { showVerdicts } from "./panels.js";
import { PastRuns } from "./past_runs.js";
import { listenForPng } from "./png.js";
import { ResultsSource } from "./results_source.js";
import { Shell, settings } from "./shell.js";

const FILES = [
  ["report.html", "Report, HTML", false],
  ["results.json", "Results, JSON", true],
  ["timeline.csv", "Timeline, CSV", true],
  ["detection.csv", "Detection, CSV", true],
  ["feed.csv", "Feed, CSV", true],
  ["transactions.csv", "All transactions, CSV", true],
  ["junit.xml", "JUnit, XML", true],
  ["record.jsonl.gz", "Record, JSON lines", true],
];

const charts = new Charts(settings.chartLayout);
const past = new PastRuns(settings.base);

const source = new ResultsSource(settings, { onNews: () => shell.draw(), onRun: () => past.load() });

let results = null;

function render({ status, windows, timeline }) {
  results = source.results;
  setHidden(byId("results"), !results || status.state === "idle");
  if (status.state !== "idle") source.ask(status);
  if (!results) return;
  showSummary(status);
  showVerdicts(results.verdict);
  showThresholds(results.thresholds ?? []);
  showTypologies(results.fraud.by_typology ?? {});
  showDetails();
  charts.show({
    points: timeline.points,
    windows,
    start: startOf(status) ?? 0,
    durationS: status.duration_s ?? 0,
    simS: status.sim_s ?? 0,
    byTypology: results.fraud.by_typology,
  });
}

function showSummary(status) {
  const { run, transactions: t, fraud, detection: d } = results;
  const tiles = Object.fromEntries(results.tiles.map((tile) => [tile.key, `${tile.value}: ${tile.note}`]));
  setText(byId("summary-title"), run.scenario?.title ?? run.run_id);
  setText(byId("summary-state"), results.partial ? `so far; the run is ${words(status.state)}` : `final, ${words(run.end)}`);
  const ended = (t.completed ?? 0) + (t.failed ?? 0) + (t.unknown ?? 0);
  const facts = [
    ["Runtime", `${span(run.wall_s)} of wall time, ${span(run.simulated_s)} simulated`],
    ["Transactions", count(ended)],
    ["Fraud", `${count(fraud.transactions)}${ended ? ` (${percent(fraud.transactions / ended)})` : ""}`],
    ["Recall", tiles.recall],
    ["False positives", tiles.false_positives],
    ["Precision", percent(d.precision)],
    ["Seed", String(run.seed ?? "–")],
    ["Run", run.run_id ?? status.run_id],
  ];
  byId("summary-facts").replaceChildren(...facts.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value))));
  showDownloads(status);
}

let offered = "";

function showDownloads(status) {
  const files = past.filesOf(status.run_id);
  const key = `${status.run_id} ${results.partial} ${files.length}`;
  if (key === offered) return;
  offered = key;
  const links = results.partial
    ? [link(`${settings.base}/api/results.json`, "Results so far, JSON"), link(`${settings.base}/api/feed.csv`, "Feed, CSV")]
    : FILES.filter(([name]) => files.includes(name)).map(([name, label, download]) =>
        link(`${settings.base}/banksim/report/${encodeURIComponent(status.run_id)}/${name}${download ? "?download=1" : ""}`, label),
      );
  if (!results.partial && files.includes("report.html")) {
    links.splice(1, 0, renderButton("pdf", "Report, PDF", status.run_id), renderButton("png", "Charts, PNG", status.run_id));
  }
  byId("downloads").replaceChildren(...links);
}

/** Drawn on demand: a browser without a window takes some seconds for it. */
function renderButton(kind, text, run) {
  const button = element("button", "button small", text);
  button.type = "button";
  button.addEventListener("click", async () => {
    button.disabled = true;
    setText(button, "Drawing …");
    sayProblem("");
    try {
      const answer = await fetch(`${settings.base}/api/render`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ run, kind }) });
      const found = await answer.json();
      if (answer.ok) location.assign(`${settings.base}/banksim/report/${encodeURIComponent(run)}/${found.file}?download=1`);
      else sayProblem(found.error);
    } catch {
      sayProblem("Locust did not answer. Try again.");
    } finally {
      button.disabled = false;
      setText(button, text);
    }
  });
  return button;
}

function sayProblem(text) {
  setText(byId("download-problem"), text);
  setHidden(byId("download-problem"), !text);
}

function link(href, text) {
  const node = element("a", "button small", text);
  node.href = href;
  return node;
}

function showThresholds(rows) {
  setHidden(byId("thresholds-part"), rows.length === 0);
  fillTable(byId("thresholds"), ["Threshold", "Measured", "Verdict", "Why"], rows.map((row) => [row.expression, row.measured, row.passed ? "✓ passed" : "✕ failed", row.reason]));
}

function showTypologies(byTypology) {
  const rows = Object.entries(byTypology).filter(([, row]) => row.transactions > 0);
  setHidden(byId("typologies-empty"), rows.length > 0);
  setHidden(byId("typologies"), rows.length === 0);
  fillTable(
    byId("typologies"),
    ["Typology", "Tried", "Caught", "Missed", "Recall", "95 % interval"],
    rows.map(([name, row]) => [
      words(name), count(row.transactions), count(row.alerted), known(row.recall) ? count(row.transactions - row.alerted) : "–", percent(row.recall), interval(row.recall_low, row.recall_high),
    ]),
  );
}

function showDetails() {
  const { rate, latency_ms: latency, transactions: t, detection: d, kafka } = results;
  const mean = (name) => milliseconds(latency[name]?.mean);
  const rows = [
    ["Peak rate", withUnit(rate.peak_tps, "tx/s")],
    ["Achieved of offered", percent(rate.achieved_share)],
    ["Latency of Nexum, mean and p99", `${mean("nexum")}, ${milliseconds(latency.nexum?.p99)}`],
    ["Latency of Bastion, mean and p99", `${mean("bastion")}, ${milliseconds(latency.bastion?.p99)}`],
    ["Response, p50, p95, p99", ["p50", "p95", "p99"].map((p) => milliseconds(latency.response?.[p])).join(", ")],
    ["Error rate", percent(t.error_share)],
    ["Dropped, never sent", count(t.dropped)],
    ["Coverage, scored of sent", percent(d.coverage)],
    ["Area under the ROC curve", known(d.roc_auc) ? figure(d.roc_auc) : "–"],
    ["Kafka messages delivered", kafka?.enabled ? count(kafka.delivered ?? kafka.events?.delivered) : "–"],
  ];
  fillTable(byId("details-table"), ["Figure", "Value"], rows);
}

const shell = new Shell({ render });
past.load();
for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", () => shell.draw());
listenForPng(() => shell.status?.run_id);
