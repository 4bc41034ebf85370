// The key figures.  Each has a label, a value with its unit, a word for it, and the small print.

import { drawSparkline, element, icon, setIcon, setText, sparkline } from "./dom.js";
import { MISSING, cents, count, figure, interval, known, milliseconds, percent, withUnit } from "./format.js";
import { errorShare, judge } from "./verdicts.js";

const SPARK_POINTS = 90;

const TILES = [
  {
    id: "rate",
    label: "Achieved of offered",
    wide: true,
    spark: "achieved_tps",
    value: ({ rate = {} }) =>
      known(rate.achieved_tps) ? `${figure(rate.achieved_tps)} of ${withUnit(rate.offered_tps, "tx/s")}` : MISSING,
    note: ({ rate = {} }) =>
      known(rate.achieved_share) ? `${percent(rate.achieved_share)} over the run · peak ${withUnit(rate.peak_tps, "tx/s")}` : "",
    rule: "rate",
  },
  {
    id: "dropped",
    label: "Dropped",
    value: ({ transactions: t = {} }) => (t.offered ? count(t.dropped) : MISSING),
    note: ({ transactions: t = {} }) => (t.offered ? `of ${count(t.offered)} offered` : ""),
    rule: "dropped",
  },
  {
    id: "errors",
    label: "Errors",
    value: (snapshot) => percent(errorShare(snapshot)),
    note: ({ transactions: t = {} }) =>
      t.sent ? `${count(t.failed)} failed, ${count(t.unknown)} unknown` : "",
    rule: "errors",
  },
  {
    id: "p99",
    label: "Response p99",
    spark: "p99_ms",
    value: ({ latency_ms: l = {} }) => milliseconds(l.response?.p99),
    note: ({ latency_ms: l = {} }) => (known(l.response?.p50) ? `half within ${milliseconds(l.response.p50)}` : ""),
    rule: "response",
  },
  {
    id: "coverage",
    label: "Coverage",
    value: ({ detection = {} }) => percent(detection.coverage),
    note: () => "scored of sent",
    rule: "coverage",
  },
  {
    id: "recall",
    label: "Recall",
    value: ({ detection = {} }) => percent(detection.recall),
    note: ({ detection = {} }) => {
      const range = interval(detection.recall_low, detection.recall_high);
      return range ? `interval ${range}` : "caught of tried";
    },
    rule: "recall",
  },
  {
    id: "false-alarms",
    label: "False positives",
    value: ({ detection = {} }) => figure(detection.false_positives_per_10000),
    note: () => "per 10\u2009000 genuine",
    rule: "falseAlarms",
  },
  {
    id: "savings",
    label: "Net savings",
    wide: true,
    value: ({ detection = {} }, currency) => cents(detection.net_savings_cents, currency),
    note: ({ detection = {} }, currency) =>
      known(detection.caught_cents)
        ? `${cents(detection.caught_cents, currency)} of ${cents(detection.value_cents, currency)} fraud stopped, less ${cents(detection.false_alert_cost_cents, currency)} for each false alert`
        : "",
    rule: "savings",
  },
];

export class Tiles {
  constructor(root) {
    this.tiles = TILES.map((spec) => ({ spec, ...build(spec) }));
    root.replaceChildren(...this.tiles.map(({ node }) => node));
  }

  /** `scenario` brings its currency and its goals. */
  show(snapshot, points, { currency, goals } = {}) {
    const recent = points.slice(-SPARK_POINTS);
    for (const { spec, node, value, note, word, mark, spark, goal } of this.tiles) {
      const { kind, word: said, goal: expected } = judge(spec.rule, snapshot, goals);
      if (node.dataset.kind !== kind) node.dataset.kind = kind;
      setText(value, spec.value(snapshot, currency));
      setText(note, spec.note(snapshot, currency));
      setText(goal, expected);
      setText(word, said);
      setIcon(mark, kind);
      if (spark) drawSparkline(spark, recent.map((point) => point[spec.spark] ?? null));
    }
  }
}

function build(spec) {
  const value = element("div", "tile-value", MISSING);
  const note = element("div", "tile-note");
  const goal = element("div", "tile-note tile-goal");
  const word = element("span");
  const mark = icon("wait");
  const spark = spec.spark ? sparkline([]) : null;
  const node = element(
    "div",
    spec.wide ? "tile tile-wide" : "tile",
    element("div", "tile-label", spec.label),
    value,
    element("div", "tile-word", mark, word, spark),
    note,
    goal,
  );
  node.id = `tile-${spec.id}`;
  node.dataset.kind = "wait";
  return { node, value, note, word, mark, spark, goal };
}

/** The life of a transaction, left to right, with what fell by the way. */
export function showFunnel(root, { transactions: t = {}, detection = {} }) {
  // Without a detector nothing is scored, which is not the same as nothing caught.
  const { tp, fp, tn, fn } = known(detection.coverage) ? detection.confusion : {};
  const steps = [
    ["Offered", t.offered, lost(t.dropped, "dropped")],
    ["Sent", t.sent, lost(t.in_flight, "in flight")],
    ["Bank accepted", known(t.completed) ? t.completed - (t.refused ?? 0) : null, joined(lost(t.refused, "refused"), lost((t.failed ?? 0) + (t.unknown ?? 0), "failed"))],
    ["Scored", tp + fp + tn + fn, ""],
    ["Alerted", tp + fp, ""],
    ["Caught", tp, "fraud, alerted", "caught", "pass"],
    ["Missed", fn, "fraud, let through", "missed", "fail"],
    ["False positives", fp, "genuine, alerted", "false-alarm", "warn"],
  ];
  if (root.children.length !== steps.length) root.replaceChildren(...steps.map(step));
  steps.forEach(([, number, note], index) => {
    const item = root.children[index];
    setText(item.querySelector(".funnel-number"), count(number));
    setText(item.querySelector(".funnel-note"), note);
  });
}

function step([label, , , role, mark]) {
  return element(
    "li",
    role ? `funnel-step result ${role}` : "funnel-step",
    element("div", "funnel-label", role ? icon(mark) : null, label),
    element("div", "funnel-number"),
    element("div", "funnel-note"),
  );
}

const lost = (number, word) => (number ? `${count(number)} ${word}` : "");
const joined = (...parts) => parts.filter(Boolean).join(", ");
