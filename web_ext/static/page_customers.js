// Customers: who acted, what they spent, and, when the truth is asked for, who was attacked.

import { byId, fillTable, setHidden, setText } from "./dom.js";
import { count, known, money, words } from "./format.js";
import { Shell, settings } from "./shell.js";

const ASK_EVERY_MS = 2_000;
const PAGE = 100; // customers of one answer, as the API has it
const OVER = ["finished", "failed", "paused"];

let answer = null;
let askedAt = 0;
let askedFor = "";
let start = 0;

async function ask(status) {
  const [sort, truth] = [byId("sort").value, byId("truth").checked];
  const key = [status.run_id, status.state, sort, truth, start].join(" ");
  if (key === askedFor && (OVER.includes(status.state) || Date.now() - askedAt < ASK_EVERY_MS)) return;
  [askedFor, askedAt] = [key, Date.now()];
  try {
    const found = await fetch(`${settings.base}/api/customers?sort=${sort}&from=${start}&truth=${truth ? 1 : 0}`);
    if (!found.ok || key !== askedFor) return; // somebody asked for something else meanwhile
    answer = await found.json();
    shell.draw();
  } catch {
    askedFor = ""; // the stream tells that the connection is lost; ask again when it is back
  }
}

function render({ status }) {
  setHidden(byId("customers"), status.state === "idle");
  if (settings.replay) {
    setText(byId("customers-empty"), "A record does not say what each customer did.");
    return;
  }
  if (status.state !== "idle") ask(status);
  if (!answer) return;
  const { rows, acted, currency, note } = answer;
  setText(byId("customers-count"), acted ? `${count(start + 1)} to ${count(start + rows.length)} of ${count(acted)} who acted; ${count(answer.customers)} customers` : "");
  setText(byId("customers-note"), note);
  setHidden(byId("customers-note"), !note);
  setHidden(byId("customers-empty"), acted > 0 || Boolean(note));
  const truth = rows.some((row) => known(row.fraud));
  fillTable(
    byId("customer-table"),
    ["Customer", "Persona", "City", "Transactions", "Spent", "Alerts", ...(truth ? ["Fraud on the account"] : [])],
    rows.map((row) => [
      row.name,
      words(row.persona),
      row.city,
      count(row.transactions),
      money(row.spent, currency),
      count(row.alerts),
      ...(truth ? [count(row.fraud)] : []),
    ]),
  );
  byId("earlier").disabled = start === 0;
  byId("later").disabled = start + rows.length >= acted;
}

function change() {
  start = 0;
  shell.draw();
}

function turn(step) {
  start = Math.max(0, start + step);
  shell.draw();
}

const shell = new Shell({ render });

byId("sort").addEventListener("change", change);
byId("truth").addEventListener("change", (event) => {
  const fraud = byId("sort").querySelector("[value=fraud]");
  fraud.disabled = !event.target.checked;
  if (fraud.disabled && byId("sort").value === "fraud") byId("sort").value = "transactions";
  change();
});
byId("earlier").addEventListener("click", () => turn(-PAGE));
byId("later").addEventListener("click", () => turn(PAGE));
