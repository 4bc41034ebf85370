// One transaction as a table row, and as a line of CSV.

import { element, icon } from "./dom.js";
import { clockOf, milliseconds, moment, money, words } from "./format.js";
import { resultOf, scoreBand } from "./verdicts.js";

const TRUTH = {
  fraud: { icon: "triangle", role: "fraud", word: "fraud" },
  decoy: { icon: "diamond", role: "suspicious", word: "decoy" },
  genuine: { icon: "dot", role: "genuine", word: "genuine" },
};

export function row(item) {
  const band = scoreBand(item.score);
  const result = resultOf(item);
  const truth = TRUTH[item.truth] ?? { icon: "ring", role: "none", word: item.truth ?? "" };
  const node = element(
    "tr",
    `result-${result.role}`,
    cell("feed-time", clockOf(moment(item.sim_time), true)),
    cell("feed-what", element("b", "", words(item.kind)), element("span", "muted", detail(item))),
    cell("feed-who", item.customer ?? ""),
    cell("feed-amount right", money(item.amount, item.currency)),
    cell("feed-score", mark(band.icon, band.role), element("b", "", scoreText(item.score)), element("span", "muted", band.word)),
    cell("feed-decision", item.decision ?? "n/a", ...(item.reasons ?? []).map((reason) => element("span", "reason", words(reason)))),
    cell("feed-truth", mark(truth.icon, truth.role), element("span", "", truth.word), element("span", "muted", words(item.typology))),
    cell("feed-result", element("span", `result ${result.role}`, icon(result.icon), result.word)),
  );
  node.item = item;
  node.title = `${item.transaction_id ?? ""} · bank: ${item.bank ?? "n/a"} · answered in ${milliseconds(item.response_ms)}`;
  return node;
}

const cell = (className, ...children) => element("td", className, ...children);

const detail = ({ merchant, channel }) => [merchant, words(channel)].filter(Boolean).join(" · ");

const scoreText = (score) => (score === null || score === undefined ? "n/a" : score.toFixed(2));

function mark(name, role) {
  const svg = icon(name);
  svg.setAttribute("class", `mark mark-${role}`);
  return svg;
}

const COLUMNS = [
  "sim_time", "transaction_id", "customer", "kind", "amount", "currency", "merchant", "channel",
  "score", "decision", "truth", "typology", "campaign", "bank", "response_ms",
];

/** What is shown, as a spreadsheet reads it; text that would be a formula gets an apostrophe. */
export function toCsv(items) {
  const lines = items.map((item) => COLUMNS.map((name) => csvCell(item[name])).join(","));
  return `${COLUMNS.join(",")}\n${lines.join("\n")}${lines.length ? "\n" : ""}`;
}

function csvCell(value) {
  if (value === null || value === undefined) return "";
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r\n]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
