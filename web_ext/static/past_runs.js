// Runs of the report folder: a table, and two of them side by side.

import { byId, element, headRow, setHidden, setText } from "./dom.js";
import { MISSING, count, figure, interval, known, milliseconds, percent, span, withUnit, words } from "./format.js";

const COLUMNS = [
  ["Transactions", ({ transactions }) => count(transactions)],
  ["Peak", ({ peak_tps: tps }) => withUnit(tps, "tx/s")],
  ["p99", ({ p99_ms: ms }) => milliseconds(ms)],
  ["Errors", ({ error_share: share }) => percent(share)],
  ["Recall", ({ recall }) => percent(recall)],
  ["False positives", ({ false_positive_rate: rate }) => percent(rate)],
];

const COMPARED = [
  ["Scenario", (run) => run.title ?? MISSING],
  ["Seed", (run) => String(run.seed ?? MISSING)],
  ["Ended", (run) => words(run.end)],
  ["Verdict", (run) => run.verdict ?? MISSING],
  ["Speed", (run) => (known(run.speed) ? `${figure(run.speed)}×` : MISSING)],
  ["Wall time", (run) => span(run.wall_s)],
  ["Transactions", (run) => count(run.transactions), (run) => run.transactions],
  ["Dropped", (run) => count(run.dropped), (run) => run.dropped],
  ["Achieved rate", (run) => withUnit(run.achieved_tps, "tx/s"), (run) => run.achieved_tps],
  ["Response p50", (run) => milliseconds(run.p50_ms), (run) => run.p50_ms],
  ["Response p99", (run) => milliseconds(run.p99_ms), (run) => run.p99_ms],
  ["Errors", (run) => percent(run.error_share), (run) => run.error_share, "points"],
  ["Fraud", (run) => count(run.fraud), (run) => run.fraud],
  ["Recall", (run) => percent(run.recall), (run) => run.recall, "points"],
  ["Recall, 95 % interval", (run) => interval(run.recall_low, run.recall_high) || MISSING],
  ["Precision", (run) => percent(run.precision), (run) => run.precision, "points"],
  ["False positive rate", (run) => percent(run.false_positive_rate), (run) => run.false_positive_rate, "points"],
  ["Coverage", (run) => percent(run.coverage), (run) => run.coverage, "points"],
  ["Thresholds", (run) => thresholds(run)],
];

export class PastRuns {
  constructor(base) {
    this.base = base;
    this.runs = [];
    this.chosen = [];
  }

  async load() {
    try {
      const answer = await fetch(`${this.base}/api/runs`);
      if (!answer.ok) return;
      this.runs = (await answer.json()).runs;
      this.draw();
    } catch {
      setText(byId("runs-count"), "The list could not be read. Reload this page.");
    }
  }

  filesOf(runId) {
    return (this.runs.find((run) => run.run_id === runId)?.files ?? []).map(({ name }) => name);
  }

  draw() {
    const none = this.runs.length === 0;
    setHidden(byId("runs-empty"), !none);
    setHidden(byId("runs"), none);
    setText(byId("runs-count"), none ? "" : `${count(this.runs.length)} in the report folder`);
    const heads = ["", "Run", "Scenario", "Verdict", ...COLUMNS.map(([name]) => name), "Thresholds", ""];
    const head = headRow(heads);
    byId("runs").replaceChildren(element("thead", "", head), element("tbody", "", ...this.runs.map((run) => this.row(run))));
  }

  row(run) {
    const box = element("input");
    box.type = "checkbox";
    box.checked = this.chosen.includes(run.run_id);
    box.disabled = Boolean(run.problem);
    box.setAttribute("aria-label", `Compare ${run.run_id}`);
    box.addEventListener("change", () => this.choose(run.run_id, box.checked));
    const name = run.files.some((file) => file.name === "report.html") ? reportLink(this.base, run.run_id) : element("span", "", run.run_id);
    const started = run.started_at ? new Date(run.started_at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : "";
    const cells = run.problem
      ? [wide(element("td", "muted", run.problem), COLUMNS.length + 3)]
      : [
          element("td", "", run.title ?? "", element("span", "muted", run.scenario ?? "")),
          element("td", `verdict-word ${run.verdict_kind}`, run.verdict ?? ""),
          ...COLUMNS.map(([, show]) => element("td", "right", show(run))),
          element("td", "", thresholds(run)),
        ];
    const replay = run.files.some((file) => file.name === "record.jsonl.gz") ? replayLink(this.base, run.run_id) : null;
    return element("tr", "", element("td", "", box), element("td", "run-name", name, element("span", "muted", started)), ...cells, element("td", "", replay));
  }

  choose(runId, on) {
    // Two at most: a third takes the place of the one chosen first.
    this.chosen = on ? [...this.chosen, runId].slice(-2) : this.chosen.filter((id) => id !== runId);
    this.draw();
    const pair = this.chosen.map((id) => this.runs.find((run) => run.run_id === id)).filter(Boolean);
    setHidden(byId("comparison"), pair.length < 2);
    setHidden(byId("compare-page"), pair.length < 2);
    if (pair.length === 2) this.compare(pair.toSorted((a, b) => a.run_id.localeCompare(b.run_id)));
  }

  compare([before, after]) {
    const page = byId("compare-page");
    setHidden(page, false);
    page.href = `${this.base}/banksim/compare/${encodeURIComponent(before.run_id)}/${encodeURIComponent(after.run_id)}`;
    const head = headRow(["", before.run_id, after.run_id, "Difference"]);
    const rows = COMPARED.map(([name, show, value, unit]) =>
      element("tr", "", element("th", "", name), element("td", "", show(before)), element("td", "", show(after)), element("td", "", value ? difference(value(before), value(after), unit) : "")),
    );
    byId("comparison-table").replaceChildren(element("thead", "", head), element("tbody", "", ...rows));
  }
}

function difference(before, after, unit) {
  if (!known(before) || !known(after)) return MISSING;
  const change = after - before;
  if (change === 0) return "equal";
  const sign = change > 0 ? "+" : "−";
  if (unit === "points") return `${sign}${figure(Math.abs(change) * 100)} points`;
  return before ? `${sign}${percent(Math.abs(change / before))}` : `${sign}${figure(Math.abs(change))}`;
}

function thresholds({ thresholds: all, thresholds_failed: failed }) {
  if (!all) return "none";
  return failed ? `✕ ${count(failed)} of ${count(all)} failed` : `✓ ${count(all)} passed`;
}

function replayLink(base, runId) {
  const link = element("a", "", "Replay");
  link.href = `${base}/banksim/?replay=${encodeURIComponent(runId)}`;
  link.setAttribute("aria-label", `Replay ${runId}`);
  return link;
}

function wide(cell, columns) {
  cell.colSpan = columns;
  return cell;
}

function reportLink(base, runId) {
  const link = element("a", "", runId);
  link.href = `${base}/banksim/report/${encodeURIComponent(runId)}/report.html`;
  return link;
}
