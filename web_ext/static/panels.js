// The smaller panels: verdict in one line, latencies, errors.

import { byId, element, fillOnce, fillTable, icon, kindIcon, setHidden, setIcon, setText } from "./dom.js";
import { count, figure, interval, known, milliseconds, percent, span } from "./format.js";

const ALOUD_EVERY_MS = 10_000;
const TOP_ERRORS = 5;

const LATENCIES = [
  ["response", "Response"],
  ["scored", "of those scored"],
  ["nexum", "Nexum (bank)"],
  ["bastion", "Bastion (detector)"],
  ["lag", "Own queue"],
];

let saidAt = 0;

/** Four words; their sentences once the run is over.  Read aloud only when a word changes, and not too often. */
export function showVerdicts({ overall, words } = { words: [] }) {
  const over = overall !== undefined && overall !== "RUNNING";
  const list = byId("verdicts");
  if (list.children.length !== words.length) {
    list.replaceChildren(...words.map(() => element("li", "", icon("wait"), element("b"), element("span"))));
    byId("verdict-sentences").replaceChildren(...words.map(() => element("li", "", element("b"), element("span"))));
  }
  setHidden(byId("verdict-sentences"), !over);
  words.forEach((one, index) => {
    const item = list.children[index];
    item.dataset.kind = one.kind;
    item.title = one.sentence;
    setIcon(item.querySelector("svg"), kindIcon(one.kind));
    setText(item.children[1], one.subject);
    setText(item.children[2], one.word);
    const [subject, text] = byId("verdict-sentences").children[index].children;
    setText(subject, `${one.subject} `);
    setText(text, one.sentence);
  });
  const aloud = words.filter((one) => one.kind !== "none").map(({ subject, word }) => `${subject}: ${word}.`).join(" ");
  if (aloud !== byId("verdict-aloud").textContent && Date.now() - saidAt > ALOUD_EVERY_MS) {
    saidAt = Date.now();
    setText(byId("verdict-aloud"), aloud);
  }
}

const HAPPENING_ICONS = { attack: "triangle", fault: "fail", calm: "pass" };

/** What is under way, and the money of fraud, as the server says it. */
export function showStory({ now = [], money = [], unstopped = "" } = {}, over = false) {
  setText(byId("story-title"), over ? "Money of fraud" : "Now");
  fillOnce(byId("happenings"), now, ({ kind, title, text }) => {
    const item = element("li", "", icon(HAPPENING_ICONS[kind] ?? "dot"), element("div", "", element("b", "", title), element("span", "", text)));
    item.dataset.kind = kind;
    return item;
  });
  fillOnce(byId("stakes"), money, ({ key, label, value, part }) => {
    const bar = element("i");
    bar.style.width = `${100 * (part ?? 0)}%`;
    const note = key === "at_stake" ? "" : ` ${percent(part)}`;
    const row = element("div", "", element("dt", "", label), element("dd", "", element("span", "", element("b", "", value), element("span", "muted", note)), bar));
    row.dataset.key = key;
    return row;
  });
  setHidden(byId("stakes-empty"), money.length > 0);
  setText(byId("unstopped"), unstopped);
}

/** Of what ended, how much was fraud. */
export function showFraudRate({ fraud, transactions: { completed = 0, failed = 0, unknown = 0 } = {} }) {
  const ended = completed + failed + unknown;
  const tried = fraud?.transactions ?? 0;
  setHidden(byId("fraud-rate"), !ended);
  setText(byId("fraud-rate"), ended ? `Fraud rate ${percent(tried / ended)} (${count(tried)} fraud of ${count(ended)} total)` : "");
}

export function showLatency({ latency_ms: latency = {} }) {
  fillTable(
    byId("latency"),
    ["", "p50", "p95", "p99"],
    LATENCIES.filter(([key]) => key !== "scored" || latency.scored).map(([key, name]) => [name, ...["p50", "p95", "p99"].map((p) => milliseconds(latency[key]?.[p]))]),
  );
}

/** Every rate that a search for the limit has tried, the highest on top, and what it is about to find out. */
export function showLadder(capacity) {
  setHidden(byId("ladder-card"), !capacity);
  if (!capacity) return;
  const { steps, until, finished, hold_s: holdS, testing_tps: testing, testing_s: testedS, left_s: leftS } = capacity;
  setText(byId("ladder-now"), finished ? limitFound(capacity) : waitFor(testing, Math.min(testedS ?? 0, holdS), holdS, leftS));
  setText(byId("ladder-until"), `To hold, a step must meet: ${until.join(" · ")}. One that does not is tried once more.`);
  const rungs = steps.map((step, nth) => ({ ...step, nth }));
  if (!finished && known(testing)) rungs.push({ tps: testing, nth: steps.length });
  rungs.sort((one, other) => other.tps - one.tps || other.nth - one.nth);
  const table = byId("ladder");
  if (!table.tBodies.length) {
    table.append(element("thead", "", element("tr", "", ...RUNG_HEADS.map((head) => element("th", "", head)))), element("tbody"));
  }
  fillOnce(table.tBodies[0], rungs, rung);
}

const RUNG_HEADS = ["Rate asked", "Result", "Offered", "p99", "Errors", "Scored", "Recall"];

function rung({ tps, offered_tps: offered, p99_ms: p99, errors, coverage, held, reason, repeats, ...step }) {
  const [kind, said] = held === undefined ? ["wait", "under test"] : held ? ["pass", "held"] : ["fail", reason];
  const recall = [percent(step.mixed_recall), interval(step.mixed_recall_low, step.mixed_recall_high)].filter(Boolean).join(", ");
  const rate = (value) => (known(value) ? `${figure(value)} tx/s` : "");
  const cells = held === undefined ? ["", "", "", "", ""] : [rate(offered), milliseconds(p99), percent(errors), percent(coverage), recall];
  const head = element("th", "", rate(tps));
  head.scope = "row";
  const result = element("td", `target ${kind}`, icon(kind), `${repeats ? "again: " : ""}${said}`);
  const row = element("tr", "", head, result, ...cells.map((text) => element("td", "", text)));
  row.dataset.kind = kind;
  return row;
}

function waitFor(testing, testedS, holdS, leftS) {
  const left = known(leftS) ? `about ${span(Math.ceil(leftS))} to go` : "how long it takes is known once a rate has failed";
  return `${figure(testing)} tx/s is under test, for ${Math.round(testedS)} of ${span(holdS)}; ${left}`;
}

function limitFound({ found_tps: found, failed_tps: failed }) {
  if (!known(found)) return "Not even the lowest rate held";
  return `${figure(found)} tx/s held, ${known(failed) ? `${figure(failed)} tx/s did not` : "the highest rate that was tried"}`;
}

const RANGES = [
  ["fast", ({ fast_ms: fast }) => `up to ${milliseconds(fast)}`],
  ["middle", ({ fast_ms: fast, slow_ms: slow }) => `${milliseconds(fast)} to ${milliseconds(slow)}`],
  ["slow", ({ slow_ms: slow }) => `over ${milliseconds(slow)}`],
  ["failed", () => "failed"],
];

/** Response times as one bar, failed ones apart; the words beneath say the same. */
export function showRanges({ response_ranges: found }) {
  const total = found ? RANGES.reduce((sum, [name]) => sum + found[name], 0) : 0;
  setHidden(byId("ranges-part"), !total);
  if (!total) return;
  const bar = byId("ranges");
  const keys = byId("ranges-keys");
  if (!bar.children.length) {
    bar.append(...RANGES.map(([name]) => element("span", name)));
    keys.append(...RANGES.map(([name]) => element("li", "", element("i", name), element("span"), " ", element("b"))));
  }
  RANGES.forEach(([name, label], index) => {
    bar.children[index].style.width = `${(100 * found[name]) / total}%`;
    setHidden(bar.children[index], !found[name]);
    setText(keys.children[index].children[1], label(found));
    setText(keys.children[index].children[2], percent(found[name] / total));
  });
}

export function showErrors({ errors = [] }) {
  setHidden(byId("errors-empty"), errors.length > 0);
  const rows = errors.slice(0, TOP_ERRORS).map((error) => {
    const where = [error.target, error.call].filter(Boolean).join(" ");
    const text = where ? `${where}: ${error.error}` : error.error;
    return element("li", "", element("b", "", count(error.count)), element("span", "", text));
  });
  byId("errors").replaceChildren(...rows);
}
