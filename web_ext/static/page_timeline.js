// The whole scenario on simulated time.  The plan comes from /api/timeline, asked for every few
// seconds; where the run stands comes with the stream.

import { byId, element, fillTable, icon, setHidden, setText } from "./dom.js";
import { count, dayAndClock, known, span, words } from "./format.js";
import { showBands, showRun, startOf } from "./header.js";
import { drawPlan } from "./plan_chart.js";
import { listenForPng } from "./png.js";
import { Shell, settings } from "./shell.js";

const ASK_EVERY_MS = 2_500;
const NEXT_SHOWN = 10;
const PAST_SHOWN = 8;
const ICONS = { business: "wall", attack: "triangle", campaign: "triangle", fault: "warn", peak: "speed", end: "stop" };

let plan = null;
let askedAt = 0;
let askedFor = "";

async function ask(status) {
  if (settings.replay) {
    plan = shell.stream.plan;
    return;
  }
  const key = `${status.run_id} ${status.state} ${status.speed}`;
  if (Date.now() - askedAt < ASK_EVERY_MS && key === askedFor) return;
  if (status.state === "finished" && key === askedFor) return;
  askedAt = Date.now();
  askedFor = key;
  try {
    const answer = await fetch(`${settings.base}/api/timeline`);
    if (answer.ok) {
      plan = await answer.json();
      shell.draw();
    }
  } catch {
    askedFor = ""; // the stream tells that the connection is lost; ask again when it is back
  }
}

function render(shown) {
  const { status, snapshot, windows, timeline } = shown;
  const idle = status.state === "idle";
  setHidden(byId("plan"), idle);
  if (idle) return;
  ask(status);
  showRun(status, snapshot);
  showBands(windows, status.duration_s);
  const start = startOf(status) ?? 0;
  const now = status.sim_s ?? 0;
  showFacts(status, windows, start, now);
  if (!plan) return;
  showEvents(plan.events, status, start, now);
  drawPlan({ plan, points: timeline.points, start, now, durationS: status.duration_s ?? 0 }, settings.chartLayout);
  if (byId("campaign-table").closest("details").open) campaigns(plan, start);
}

function showFacts({ scenario, speed, state, duration_s: durationS }, windows, start, now) {
  const next = plan?.events.find((event) => event.sim_s > now);
  const left = known(speed) && speed > 0 ? (durationS - now) / speed : null;
  const rows = [
    ["Scenario", scenario?.title ?? ""],
    ["Now", phaseOf(windows, now)],
    ["Next", next ? `${words(next.text)}, in ${span(next.sim_s - now)} simulated` : "nothing more"],
    ["Ends", state === "finished" ? "finished" : state === "paused" ? "paused" : `in about ${span(left)} of wall time`],
  ];
  byId("plan-facts").replaceChildren(...rows.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value))));
}

function phaseOf(windows, now) {
  const inside = ({ start_s: from, end_s: to }) => from <= now && now < to;
  const attacks = (windows.attacks ?? []).filter(inside).map(({ label }) => words(label));
  const hours = (windows.business_hours ?? []).some(inside) ? "business hours" : "outside business hours";
  const faults = (windows.faults ?? []).filter(inside).map(({ label }) => `fault: ${words(label)}`);
  return [...attacks, ...faults, hours].join("; ");
}

function showEvents(events, { speed, state }, start, now) {
  const next = events.filter((event) => event.sim_s > now);
  const past = events.filter((event) => event.sim_s <= now).reverse();
  const running = state === "running" && speed > 0;
  byId("events-next").replaceChildren(
    ...next.slice(0, NEXT_SHOWN).map((event) => eventRow(event, start, running ? `in ${span((event.sim_s - now) / speed)} of wall time` : "")),
    ...(next.length > NEXT_SHOWN ? [element("li", "muted", `and ${count(next.length - NEXT_SHOWN)} more`)] : []),
  );
  byId("events-past").replaceChildren(...past.slice(0, PAST_SHOWN).map((event) => eventRow(event, start, "")));
  setHidden(byId("events-empty"), next.length > 0);
  setHidden(byId("past-empty"), past.length > 0);
}

function eventRow({ sim_s: simS, kind, text }, start, wall) {
  return element(
    "li",
    `event event-${kind}`,
    icon(ICONS[kind] ?? "dot"),
    element("b", "", dayAndClock(start + simS, start)),
    element("span", "", words(text)),
    element("span", "muted", wall),
  );
}

function campaigns({ campaigns: rows, campaigns_total: total }, start) {
  fillTable(
    byId("campaign-table"),
    ["Kind of fraud", "Begins", "Transactions", "Alerted", "First alert"],
    rows.slice(0, 100).map((row) => [
      words(row.typology),
      dayAndClock(start + row.start_s, start),
      row.begun ? count(row.transactions) : `${count(row.size)} planned`,
      row.begun ? count(row.alerted) : "–",
      known(row.first_alert_s) ? `after ${span(row.first_alert_s - row.start_s)} simulated` : row.begun ? "none so far" : "–",
    ]),
  );
  setText(byId("campaign-table").closest("details").querySelector("summary"), `Show the campaigns as a table (${count(total)})`);
}

const shell = new Shell({ render });
byId("campaign-table").closest("details").addEventListener("toggle", () => shell.draw());
listenForPng(() => shell.status?.run_id);
