// Who makes the load of a distributed run, and what to do when nobody is there.

import { byId, element, icon, setHidden } from "./dom.js";
import { count, known, percent } from "./format.js";

/** With more workers than this, those that are well are only counted. */
const MOST_LISTED = 8;

const SAID = {
  idle: ["wait", "waits for a run"],
  preparing: ["wait", "prepares"],
  live: ["pass", "works"],
  final: ["pass", "is done"],
  lost: ["fail", "is silent: others have its customers"],
  refused: ["fail", "cannot take part"],
};

let shown = "";

/** `workers` is null where the process makes its load itself. */
export function showWorkers(workers) {
  const list = byId("workers");
  if (!list) return; // a page without a place for them
  setHidden(list, workers === null || workers === undefined);
  const key = JSON.stringify(workers ?? null);
  if (key === shown) return;
  shown = key;
  if (workers?.length) list.replaceChildren(...itemsFor(workers));
  else list.replaceChildren(nobody());
}

function itemsFor(workers) {
  if (workers.length <= MOST_LISTED) return workers.map(item);
  const well = workers.filter(({ standing }) => SAID[standing]?.[0] !== "fail");
  const others = workers.filter((worker) => !well.includes(worker));
  const busiest = Math.max(0, ...well.map(({ cpu_percent: cpu }) => cpu ?? 0));
  const summary = element("li", "target pass", icon("pass"), element("b", "", `${count(well.length)} workers`), ` work, the busiest at ${percent(busiest / 100)} of a core`);
  return [summary, ...others.slice(0, MOST_LISTED).map(item)];
}

function item({ number, standing, share, cpu_percent: cpu, host, pid }) {
  const [kind, said] = SAID[standing] ?? ["wait", standing];
  const load = standing === "live" ? ` on ${percent(share)} of the load` : "";
  const busy = known(cpu) && standing === "live" ? `, ${percent(cpu / 100)} of a core` : "";
  const made = element("li", `target ${kind}`, icon(kind), element("b", "", `Worker ${number}`), ` ${said}${load}${busy}`);
  made.append(element("span", "target-url", ` · ${host}, process ${pid}`));
  return made;
}

function nobody() {
  const command = element("code", "", "locust -f locustfiles/banking.py --worker");
  return element("li", "target wait", icon("wait"), element("b", "", "No worker connected."), " Start one with ", command);
}
