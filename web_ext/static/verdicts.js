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

const share = (value, good, fair, words, waiting) => (known(value) ? atLeast(value, good, fair, words) : verdict("wait", waiting));

function ofDropped({ transactions: t = {} }) {
  if (!known(t.dropped) || !t.offered) return verdict("wait", "waiting for load");
  if (t.dropped === 0) return verdict("pass", "none lost");
  return atLeast(1 - t.dropped / t.offered, 0.999, 0.99, ["hardly any", "some lost", "many lost"]);
}

function ofErrors(snapshot) {
  const failed = errorShare(snapshot);
  return share(failed === null ? null : 1 - failed, 0.99, 0.95, ["healthy", "some errors", "failing"], "waiting for answers");
}

function ofRecall({ detection = {} }) {
  return share(detection.recall, 0.9, 0.7, ["catches most", "misses some", "misses much"], "waiting for the first fraud");
}

function ofSavings({ detection = {} }) {
  const cents = detection.net_savings_cents;
  if (!known(cents)) return verdict("wait", "waiting for the first fraud");
  return cents > 0 ? verdict("pass", "pays off") : verdict(cents < 0 ? "fail" : "warn", cents < 0 ? "costs more" : "nothing saved");
}

/**
 * What the key figures are held against: a goal of the scenario on this metric if it has one, else the
 * usual limits.  `few` says when there is too little to judge.
 */
const RULES = {
  rate: {
    metric: "achieved_rate", usual: "usual: at least 99 %", value: ({ rate = {} }) => rate.achieved_share,
    usually: ({ rate = {} }) => share(rate.achieved_share, 0.99, 0.95, ["keeping up", "slipping", "falling behind"], "waiting for load"),
  },
  dropped: { metric: "drops", usual: "usual: at most 0.1 %", value: ({ transactions: t = {} }) => (t.offered ? t.dropped : null), usually: ofDropped },
  errors: { metric: "errors", usual: "usual: at most 1 %", value: errorShare, usually: ofErrors },
  // 800 and 1,200 ms are Gatling's ranges, which performance engineers read at a glance.
  response: {
    metric: "response_time", statistic: "p99", usual: "usual: within 800 ms", value: ({ latency_ms: l = {} }) => l.response?.p99,
    usually: ({ latency_ms: l = {} }) => share(known(l.response?.p99) ? -l.response.p99 : null, -800, -1200, ["quick", "slow", "too slow"], "waiting for answers"),
  },
  coverage: {
    metric: "coverage", usual: "usual: at least 99 %", value: ({ detection = {} }) => detection.coverage,
    usually: ({ detection = {} }) => share(detection.coverage, 0.99, 0.95, ["complete", "gaps", "large gaps"], "nothing scored"),
  },
  recall: {
    metric: "recall", usual: "usual: at least 90 %", value: ({ detection = {} }) => detection.recall, usually: ofRecall,
    few: (snapshot) => (frauds(snapshot) < ENOUGH_FRAUDS ? `only ${frauds(snapshot)} tried` : ""),
  },
  falseAlarms: {
    metric: "fp_per_10000", usual: "usual: at most 20", value: ({ detection = {} }) => detection.false_positives_per_10000,
    usually: ({ detection = {} }) =>
      share(known(detection.false_positives_per_10000) ? -detection.false_positives_per_10000 : null, -20, -100, ["quiet", "some noise", "noisy"], "nothing scored"),
  },
  savings: { usual: "usual: above zero", value: ({ detection = {} }) => detection.net_savings_cents, usually: ofSavings },
};

const HOLDS = {
  ">=": (value, bound) => value >= bound,
  "<=": (value, bound) => value <= bound,
  ">": (value, bound) => value > bound,
  "<": (value, bound) => value < bound,
  "==": (value, bound) => value === bound,
  "!=": (value, bound) => value !== bound,
};
const SIGNS = { ">=": "≥", "<=": "≤", "==": "=", "!=": "≠" };

/** One figure against its goals: {kind, word, goal}, where `goal` tells what was expected. */
export function judge(name, snapshot, goals = []) {
  const rule = RULES[name];
  const value = rule.value(snapshot);
  const mine = goals.filter(({ metric, statistic }) => metric === rule.metric && (statistic || "") === (rule.statistic ?? ""));
  const usually = rule.usually(snapshot);
  const goal = mine.length ? `goal: ${mine.map(({ comparison, bound_text: text }) => `${SIGNS[comparison] ?? comparison} ${text}`).join(", ")}` : rule.usual;
  const few = known(value) ? (rule.few?.(snapshot) ?? "") : "";
  if (few) return { ...verdict("wait", few), goal };
  if (!mine.length || !known(value)) return { ...usually, goal };
  const met = mine.every(({ comparison, bound }) => HOLDS[comparison](value, bound));
  return { ...verdict(met ? "pass" : "fail", met ? "meets its goal" : "misses its goal"), goal };
}

const WORST_FIRST = ["fail", "warn", "wait", "pass"];

function worst(...all) {
  return all.reduce((a, b) => (WORST_FIRST.indexOf(b.kind) < WORST_FIRST.indexOf(a.kind) ? b : a));
}

const LOAD_WORDS = { pass: "keeping up", warn: "slipping", fail: "falling behind", wait: "waiting to begin" };

/** The page in three sentences: do we offer what we said, does the bank hold, does the detector catch. */
export function story(snapshot, goals) {
  const of = (name) => judge(name, snapshot, goals);
  const load = worst(of("rate"), of("dropped"));
  const bank = worst(of("errors"), of("response"));
  const detector = of("recall");
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
