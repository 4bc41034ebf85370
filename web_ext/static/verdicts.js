// Words for figures.  Every limit of this page is in this file.
// A verdict is {kind: "pass" | "warn" | "fail" | "wait", word}.

import { known } from "./format.js";

export const SCORE_MEDIUM = 0.3;
export const SCORE_HIGH = 0.7;

/** Below this many frauds a recall says little, and its verdict waits. */
const ENOUGH_FRAUDS = 30;

const verdict = (kind, word) => ({ kind, word });

/** At least `good` passes, at least `fair` warns, less fails. */
function atLeast(value, good, fair, [passWord, warnWord, failWord]) {
  if (value >= good) return verdict("pass", passWord);
  return value >= fair ? verdict("warn", warnWord) : verdict("fail", failWord);
}

export const frauds = (snapshot) => {
  const { tp = 0, fn = 0 } = snapshot.detection?.confusion ?? {};
  return tp + fn;
};

/** Share of answered or lost transactions that failed or whose answer never came. */
export function errorShare({ transactions: t = {} }) {
  const ended = (t.completed ?? 0) + (t.failed ?? 0) + (t.unknown ?? 0);
  return ended ? ((t.failed ?? 0) + (t.unknown ?? 0)) / ended : null;
}

export function ofRate({ rate = {} }) {
  if (!known(rate.achieved_share)) return verdict("wait", "waiting for load");
  return atLeast(rate.achieved_share, 0.99, 0.95, ["keeping up", "slipping", "falling behind"]);
}

export function ofDropped({ transactions: t = {} }) {
  if (!known(t.dropped) || !t.offered) return verdict("wait", "waiting for load");
  if (t.dropped === 0) return verdict("pass", "none lost");
  return atLeast(1 - t.dropped / t.offered, 0.999, 0.99, ["hardly any", "some lost", "many lost"]);
}

export function ofErrors(snapshot) {
  const share = errorShare(snapshot);
  if (share === null) return verdict("wait", "waiting for answers");
  return atLeast(1 - share, 0.99, 0.95, ["healthy", "some errors", "failing"]);
}

// 800 and 1,200 ms are Gatling's ranges, which performance engineers read at a glance.
export function ofResponse({ latency_ms: latency = {} }) {
  const p99 = latency.response?.p99;
  if (!known(p99)) return verdict("wait", "waiting for answers");
  return atLeast(-p99, -800, -1200, ["quick", "slow", "too slow"]);
}

export function ofCoverage({ detection = {} }) {
  if (!known(detection.coverage)) return verdict("wait", "nothing scored");
  return atLeast(detection.coverage, 0.99, 0.95, ["complete", "gaps", "large gaps"]);
}

export function ofRecall(snapshot) {
  const { recall } = snapshot.detection ?? {};
  const tried = frauds(snapshot);
  if (!known(recall)) return verdict("wait", "waiting for the first fraud");
  if (tried < ENOUGH_FRAUDS) return verdict("wait", `only ${tried} tried`);
  return atLeast(recall, 0.9, 0.7, ["catches most", "misses some", "misses much"]);
}

export function ofFalseAlarms({ detection = {} }) {
  const rate = detection.false_positives_per_10000;
  if (!known(rate)) return verdict("wait", "nothing scored");
  return atLeast(-rate, -20, -100, ["quiet", "some noise", "noisy"]);
}

const WORST_FIRST = ["fail", "warn", "wait", "pass"];

function worst(...all) {
  return all.reduce((a, b) => (WORST_FIRST.indexOf(b.kind) < WORST_FIRST.indexOf(a.kind) ? b : a));
}

const LOAD_WORDS = { pass: "keeping up", warn: "slipping", fail: "falling behind", wait: "waiting to begin" };

/** The page in three sentences: do we offer what we said, does the bank hold, does the detector catch. */
export function story(snapshot) {
  const load = worst(ofRate(snapshot), ofDropped(snapshot));
  const bank = worst(ofErrors(snapshot), ofResponse(snapshot));
  const detector = ofRecall(snapshot);
  if (detector.kind === "wait" && frauds(snapshot)) detector.word = `too few frauds to judge, ${frauds(snapshot)} so far`;
  return [
    { ...load, subject: "Load", word: LOAD_WORDS[load.kind] },
    { ...bank, subject: "Bank", word: bank.kind === "pass" ? "holding" : bank.word },
    { ...detector, subject: "Detector" },
  ];
}

/** Band of a score: word, shape and colour role together. */
export function scoreBand(score) {
  if (!known(score)) return { word: "not scored", icon: "ring", role: "none" };
  if (score < SCORE_MEDIUM) return { word: "low", icon: "dot", role: "genuine" };
  if (score <= SCORE_HIGH) return { word: "medium", icon: "diamond", role: "suspicious" };
  return { word: "high", icon: "triangle", role: "fraud" };
}

/** What became of a transaction, seen from the truth. */
export function resultOf({ truth, decision }) {
  const alerted = decision === "review" || decision === "block";
  if (decision === null || decision === undefined || decision === "n/a") {
    return { word: "not judged", role: "none", icon: "ring" };
  }
  if (truth === "fraud") {
    return alerted
      ? { word: "caught", role: "caught", icon: "pass" }
      : { word: "missed", role: "missed", icon: "fail" };
  }
  return alerted
    ? { word: "false alarm", role: "false-alarm", icon: "warn" }
    : { word: "passed", role: "none", icon: "dot" };
}
