// One transaction opened: what became of it and why, the steps of its campaign, the customer's other
// transactions, and what was sent and answered.  All of it from what the page has kept.

import { byId, element, fillTable, icon, setText } from "./dom.js";
import { clockOf, milliseconds, moment, money, words } from "./format.js";
import { resultOf } from "./verdicts.js";

const MOST_LISTED = 12;

export class Drawer {
  /** items(): what is kept, oldest first; step(by): another transaction was asked for, by its place in the feed. */
  constructor({ items, step }) {
    this.items = items;
    this.dialog = byId("drawer");
    byId("drawer-close").addEventListener("click", () => this.dialog.close());
    byId("drawer-before").addEventListener("click", () => step(-1));
    byId("drawer-after").addEventListener("click", () => step(1));
    byId("drawer-mistake").addEventListener("click", () => step("mistake"));
  }

  get open() {
    return this.dialog.open;
  }

  show(item) {
    const result = resultOf(item);
    setText(byId("drawer-title"), `${words(item.kind)} of ${money(item.amount, item.currency)}`);
    byId("drawer-result").replaceChildren(icon(result.icon), result.word);
    byId("drawer-result").className = `result ${result.role}`;
    byId("drawer-why").replaceChildren(...why(item).map((text) => element("li", "", text)));
    const steps = item.campaign ? this.items().filter((other) => other.campaign === item.campaign) : [];
    list("campaign", steps, item, `${steps.length} kept of the attack “${words(item.typology)}” (${item.campaign})`);
    const others = this.items().filter((other) => (item.account === undefined ? other.customer === item.customer : other.account === item.account));
    list("history", others, item, `${others.length} kept of ${item.customer}`);
    fillTable(byId("drawer-calls"), ["", "Sent or answered"], calls(item));
    if (!this.dialog.open) this.dialog.showModal();
  }
}

function why(item) {
  const scored = typeof item.score === "number";
  const said = scored
    ? `The detector gave ${item.score.toFixed(2)} and decided “${item.decision}”.`
    : `The detector gave no usable score${item.detector_error ? `: ${item.detector_error}` : ""}.`;
  const reasons = item.reasons?.length ? `Its reasons: ${item.reasons.map(words).join(", ")}.` : scored ? "It gave no reasons." : "";
  const kind = item.typology ? `: ${words(item.typology)}` : "";
  return [said, reasons, `In truth it is ${item.truth}${kind}.`].filter(Boolean);
}

function list(name, items, current, title) {
  byId(`drawer-${name}-part`).hidden = items.length < 2;
  setText(byId(`drawer-${name}-title`), title);
  const at = items.findIndex(({ seq }) => seq === current.seq);
  const from = Math.max(0, Math.min(at - MOST_LISTED / 2, items.length - MOST_LISTED));
  const rows = items.slice(from, from + MOST_LISTED).map((item) => {
    const result = resultOf(item);
    return [`${item.seq === current.seq ? "▸ " : ""}${clockOf(moment(item.sim_time), true)}`, words(item.kind), money(item.amount, item.currency), item.score?.toFixed(2) ?? "n/a", result.word];
  });
  fillTable(byId(`drawer-${name}`), ["Simulated", "What", "Amount", "Score", "Result"], rows);
}

const calls = (item) => [
  ["Sent", [words(item.kind), money(item.amount, item.currency), item.merchant, words(item.channel), item.sim_time.slice(0, 19).replace("T", " ")].filter(Boolean).join(" · ")],
  ["Bank", [item.bank, milliseconds(item.bank_ms), item.bank_detail].filter(Boolean).join(" · ")],
  ["Detector", [item.decision, milliseconds(item.detector_ms), item.detector_error].filter(Boolean).join(" · ")],
  ["Answered in", `${milliseconds(item.response_ms)}, from the due moment`],
  ["Transaction", item.transaction_id],
];
