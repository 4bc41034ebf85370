// The live feed: everything that was sampled, filtered as somebody likes, and taken away as CSV.

import { isAlert, muted, setMuted } from "./alerts.js";
import { byId, element, setHidden, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { toCsv } from "./feed_row.js";
import { count, words } from "./format.js";
import { Shell, settings } from "./shell.js";
import { SCORE_HIGH, SCORE_MEDIUM, resultOf } from "./verdicts.js";

const MAX_ROWS = 250; // more than anyone reads; all that is kept can be filtered

const feed = new Feed({ rows: MAX_ROWS, keep: 500, onShown: tell });
const known = { kind: new Set(), typology: new Set() };

const BANDS = {
  0: (score) => score < SCORE_MEDIUM,
  0.3: (score) => score >= SCORE_MEDIUM && score <= SCORE_HIGH,
  0.7: (score) => score > SCORE_HIGH,
};

/** The filter as it stands in the form: a function of one item. */
function chosen() {
  const text = byId("filter-text").value.trim().toLowerCase();
  const [kind, typology, band] = ["kind", "typology", "band"].map((name) => byId(`filter-${name}`).value);
  const [score, low, high] = ["score", "min", "max"].map((name) => number(byId(`filter-${name}`)));
  const mistakes = byId("filter-mistakes").checked;
  const threshold = shell.dashboard.fraud_alert_threshold ?? 0.8;
  const tests = [
    text && ((item) => [item.customer, item.merchant, item.transaction_id].some((field) => field?.toLowerCase().includes(text))),
    kind && ((item) => item.kind === kind),
    typology && ((item) => item.typology === typology),
    band === "alert" && ((item) => isAlert(item, threshold)),
    BANDS[band] && ((item) => typeof item.score === "number" && BANDS[band](item.score)),
    score !== null && ((item) => typeof item.score === "number" && item.score >= score),
    low !== null && ((item) => Number(item.amount) >= low),
    high !== null && ((item) => Number(item.amount) <= high),
    mistakes && ((item) => ["missed", "false-positive"].includes(resultOf(item).role)),
  ].filter(Boolean);
  filtering = tests.length > 0;
  return (item) => tests.every((test) => test(item));
}

let filtering = false;

function number(input) {
  return input.value === "" || !input.validity.valid ? null : Number(input.value);
}

function tell({ items, shown, accepts }) {
  for (const name of ["kind", "typology"]) offer(name, items);
  const matching = filtering ? items.filter(accepts).length : items.length;
  const hidden = items.length - matching;
  const parts = [`${count(shown.length)} shown of the last ${count(items.length)}`];
  if (filtering) parts.push(`${count(hidden)} filtered out`);
  if (matching > shown.length && shown.length === MAX_ROWS) parts.push(`${count(matching - shown.length)} older ones match as well`);
  setText(byId("feed-count"), parts.join(" · "));
  byId("feed-csv").disabled = shown.length === 0;
  setText(byId("feed-empty"), filtering ? "Nothing of what is kept matches. New transactions are looked at as they come." : "Waiting for the first transaction.");
}

/** A new kind or typology becomes a choice when it is first seen. */
function offer(name, items) {
  const fresh = new Set(items.map((item) => item[name]).filter((value) => value && !known[name].has(value)));
  for (const value of [...fresh].sort()) {
    known[name].add(value);
    const option = element("option", "", words(value));
    option.value = value;
    byId(`filter-${name}`).append(option);
  }
}

function download() {
  const url = URL.createObjectURL(new Blob([toCsv(feed.shown)], { type: "text/csv" }));
  const link = element("a");
  link.href = url;
  link.download = `banksim-feed-${shell.status?.run_id ?? "no-run"}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

let askedFor = null;

/** The stream begins with the newest few; what was kept before them is asked for once a run. */
async function askForOlder(runId) {
  if (runId === askedFor || settings.replay) return;
  askedFor = runId;
  try {
    const answer = await fetch(`${settings.base}/api/feed`);
    if (answer.ok && runId === shell.status.run_id) feed.remember((await answer.json()).items);
  } catch {
    // the stream tells that the connection is lost, and brings what is new when it is back
  }
}

function render({ status, dashboard }) {
  setHidden(byId("feed-card"), status.state === "idle");
  byId("sound").checked = shell.alerts.sound;
  feed.keep = dashboard.max_feed_items ?? 500;
  if (status.state !== "idle") askForOlder(status.run_id);
}

const shell = new Shell({ render, feed });

// On a phone the transactions come first; the filters are one tap away.
byId("filters-fold").open = !matchMedia("(max-width: 720px)").matches;
byId("filters").addEventListener("input", () => feed.filter(chosen()));
byId("filters").addEventListener("reset", () => setTimeout(() => feed.filter(chosen())));
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("feed-csv").addEventListener("click", download);
byId("sound").addEventListener("change", (event) => shell.alerts.chooseSound(event.target.checked));
byId("pop-ups").checked = !muted();
byId("pop-ups").addEventListener("change", (event) => setMuted(!event.target.checked));
