// Where the run is: state, clocks, progress, targets, and what to do when there is nothing.

import { byId, element, fillOnce, icon, setHidden, setText } from "./dom.js";
import { MISSING, count, dateOf, dayAndClock, figure, known, milliseconds, moment, percent, span, stopwatch, words } from "./format.js";

const STATE_WORDS = {
  idle: "No run",
  opening: "Getting ready",
  running: "Running",
  paused: "Paused",
  draining: "Draining",
  finished: "Finished",
  failed: "Failed",
};

/** Simulated start of the run in epoch seconds, or null. */
export function startOf({ sim_time: simTime, sim_s: simS }) {
  const now = moment(simTime);
  // The moment is told in whole seconds, rounded down; a run starts on a whole second.
  return known(now) && known(simS) ? Math.ceil(now - simS - 1e-6) : null;
}

export function showState({ state, scenario, message }, replayed) {
  byId("state").dataset.state = state;
  byId("state").title = message ?? "";
  const word = STATE_WORDS[state] ?? state;
  setText(byId("state-word"), replayed ? `Was ${word.toLowerCase()}` : word);
  const title = state === "idle" ? "" : scenario?.title || words(scenario?.name);
  setText(byId("scenario"), title);
  byId("scenario").title = scenario?.description ?? "";
}

/** The load at a glance, on every page. */
export function showBar({ state, users }, snapshot) {
  setHidden(byId("bar-stats"), state === "idle");
  setText(byId("bar-users"), count(users));
  const over = state === "finished" || state === "failed";
  setText(byId("bar-rate"), `${figure(over ? null : (snapshot.rate?.achieved_tps ?? null))} tx/s`);
  setText(byId("bar-errors"), percent(snapshot.transactions?.error_share));
}

export function showRun(status, snapshot = {}) {
  const start = startOf(status);
  const now = moment(status.sim_time);
  setText(byId("sim-clock"), dayAndClock(now, start));
  setText(byId("sim-date"), known(now) ? ` · ${dateOf(now)}` : "");
  setText(byId("wall-clock"), stopwatch(status.wall_s));
  showProgress(status, start);
  showTargets(status.targets ?? [], snapshot.latency_ms ?? {});
}

function showProgress(status, start) {
  const { progress, opening } = status;
  const share = opening ? opening.done / Math.max(1, opening.total) : (progress ?? 0);
  const bar = byId("progress");
  bar.setAttribute("aria-valuenow", String(Math.round(share * 100)));
  bar.classList.toggle("opening", Boolean(opening));
  byId("progress-fill").style.width = `${Math.min(100, share * 100)}%`;
  if (opening) {
    setText(byId("progress-word"), opening.text[0].toUpperCase() + opening.text.slice(1));
    setText(byId("progress-left"), "The clock starts after that");
    return;
  }
  setText(byId("progress-word"), `${percent(progress)} of ${span(status.duration_s)} simulated`);
  setText(byId("progress-left"), timeLeft(status, start));
}

function timeLeft({ state, speed, sim_s: simS, duration_s: durationS }, start) {
  if (!known(start) || !known(durationS)) return "";
  const end = dayAndClock(start + durationS, start);
  if (state === "paused") return `paused; ends at ${end}, simulated`;
  if (state === "draining") return "waiting for the last answers";
  if (state !== "running" || !known(speed) || speed <= 0) return `ends at ${end}, simulated`;
  return `about ${span(Math.max(0, (durationS - simS) / speed))} of wall time left, until ${end}`;
}

/** Attacks as marks above the bar: where on the way trouble waits. */
export function showBands(windows, durationS) {
  const bands = byId("progress-bands");
  bands.replaceChildren();
  if (!known(durationS) || durationS <= 0) return;
  for (const { start_s: startS, end_s: endS } of windows.attacks ?? []) {
    const band = element("i");
    band.style.left = `${(100 * startS) / durationS}%`;
    band.style.width = `${(100 * Math.max(0, Math.min(endS, durationS) - startS)) / durationS}%`;
    bands.append(band);
  }
}

function showTargets(targets, latency) {
  const rows = targets.map(({ latency_ms: lastMs, ...row }) => ({ ...row, latency: milliseconds(latency[row.name.toLowerCase()]?.mean ?? lastMs) }));
  fillOnce(byId("targets"), rows, target);
}

function target({ name, url, ok, detail, latency }) {
  const kind = ok === true ? "pass" : ok === false ? "fail" : "wait";
  const unasked = url ? "not called yet" : "not in use";
  const said = ok === true ? "answers" : ok === false ? "does not answer" : unasked;
  const after = detail || (latency === MISSING ? said : `${said} in ${latency} on average`);
  const item = element("li", `target ${kind}`, icon(kind), element("b", "", words(name)), ` ${after}`);
  if (url) item.append(element("span", "target-url", ` · ${url}`));
  return item;
}

/** What stands where figures would be, or above them: {kind, title, text, findings, actions: [[text, address]]}. */
function noticeFor(status, verdict, base, ownEmptyState) {
  const { state, message, report, story } = status;
  if (state === "idle") {
    if (ownEmptyState) return null;
    const text = "Choose a scenario on the Control page and start it. This page follows by itself.";
    return { kind: "empty", title: message || "No run yet", text, actions: [["Choose a scenario", `${base}/banksim/${location.search}`]] };
  }
  const actions = reportAction(report, base);
  if (state === "failed") return { kind: "fail", title: "The run failed", text: message || "Locust's log says why.", actions };
  if (state === "finished") {
    const text = `${verdict?.sentence ?? ""} The figures below are final.`.trim();
    if (story?.money?.length) actions.push(["What if the threshold were …", `${base}/banksim/detection${location.search}`]);
    return { kind: verdict?.kind ?? "empty", title: verdict?.overall ?? "The run is finished", text, findings: story?.findings, actions };
  }
  return null;
}

function reportAction(report, base) {
  // Only an address on this very site, whatever the status says.
  if (!report || !/^\/(?!\/)/.test(report)) return [];
  return [["Open the report", base && !report.startsWith(`${base}/`) ? base + report : report]];
}

const NOTICE_ICONS = { empty: "simulated", fail: "fail", warn: "warn", pass: "pass", none: "simulated" };

export function showNotice(status, verdict, base, trouble, ownEmptyState = false) {
  const notice = trouble ? { kind: "fail", title: "No figures", text: trouble } : noticeFor(status, verdict, base, ownEmptyState);
  setHidden(byId("notice"), !notice);
  if (!notice) return;
  const { kind, title, text, findings = [], actions = [] } = notice;
  byId("notice").dataset.kind = kind;
  byId("notice").querySelector("use").setAttribute("href", `#i-${NOTICE_ICONS[kind]}`);
  setText(byId("notice-title"), title);
  setText(byId("notice-text"), text);
  fillOnce(byId("notice-findings"), findings, (sentence) => element("li", "", sentence));
  setHidden(byId("notice-findings"), findings.length === 0);
  fillOnce(byId("notice-actions"), actions, ([word, address], place) => {
    const link = element("a", place ? "button" : "button primary", word);
    link.href = address;
    return link;
  });
}

export function showFreshness({ stale, lastAt, reason }) {
  const badge = byId("live");
  setHidden(badge, !stale && lastAt === null);
  badge.dataset.stale = String(stale);
  document.documentElement.classList.toggle("stale", stale);
  const since = lastAt === null ? "no figures yet" : `figures from ${wallTime(lastAt)}`;
  setText(byId("live-word"), stale ? `No updates: ${since}` : "Live");
  badge.title = stale ? reason || "Nothing came for three updates. Trying again." : "An update each second";
}

const wallTime = (epochMs) => new Date(epochMs).toTimeString().slice(0, 8);

