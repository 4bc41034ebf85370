// The smaller panels: verdict in one line, latencies, errors.

import { byId, element, fillTable, icon, setHidden, setText } from "./dom.js";
import { count, milliseconds } from "./format.js";
import { story } from "./verdicts.js";

const ALOUD_EVERY_MS = 10_000;
const TOP_ERRORS = 5;

const LATENCIES = [
  ["response", "Response"],
  ["nexum", "Nexum (bank)"],
  ["bastion", "Bastion (detector)"],
  ["lag", "Lag of our own"],
];

let saidAt = 0;

/** Three words on the page; read aloud only when one of them changes, and not too often. */
export function showVerdicts(snapshot) {
  const parts = story(snapshot);
  const list = byId("verdicts");
  if (list.children.length !== parts.length) {
    list.replaceChildren(...parts.map(() => element("li", "", icon("wait"), element("b"), element("span"))));
  }
  parts.forEach(({ kind, subject, word }, index) => {
    const item = list.children[index];
    item.dataset.kind = kind;
    item.querySelector("use").setAttribute("href", `#i-${kind}`);
    setText(item.children[1], subject);
    setText(item.children[2], word);
  });
  const aloud = parts.filter(({ kind }) => kind !== "wait").map(({ subject, word }) => `${subject}: ${word}.`).join(" ");
  if (aloud !== byId("verdict-aloud").textContent && Date.now() - saidAt > ALOUD_EVERY_MS) {
    saidAt = Date.now();
    setText(byId("verdict-aloud"), aloud);
  }
}

export function showLatency({ latency_ms: latency = {} }) {
  fillTable(
    byId("latency"),
    ["", "p50", "p95", "p99"],
    LATENCIES.map(([key, name]) => [name, ...["p50", "p95", "p99"].map((p) => milliseconds(latency[key]?.[p]))]),
  );
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
