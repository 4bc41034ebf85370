// Choose a scenario, see what it would do, start it.  While a run goes on the same form switches:
// the run is ended with its report, then the next one begins.

import { byId, element, setHidden, setText, sparkline } from "./dom.js";
import { count, figure, percent, span, withUnit, words } from "./format.js";

const ACTIVE = new Set(["opening", "running", "paused", "draining"]);
const ARMED_MS = 4_000;
const FIELDS = ["scenario", "target_mode", "speed", "customers", "seed", "nexum_url", "bastion_url", "threshold", "transaction_log"];
const CHECKED = ["pick-mode", "pick-nexum", "pick-bastion", "pick-threshold"];
const SVG_WIDTH = 100;
const SVG_HEIGHT = 30;

export class Picker {
  constructor(base) {
    this.base = base;
    this.root = byId("picker");
    this.cards = new Map();
    this.active = this.state = null;
    this.waiting = false;
    byId("pick-scenario").addEventListener("change", () => this.about());
    byId("pick-mode").addEventListener("change", () => this.about());
    byId("pick-speed").addEventListener("input", () => this.about());
    for (const field of CHECKED) byId(field).addEventListener("change", () => this.check());
    byId("picker-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.load();
  }

  async load() {
    try {
      const answer = await fetch(`${this.base}/api/scenarios`);
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error);
      this.fill(found);
    } catch (error) {
      this.complain(error.message || "The scenarios could not be listed. Reload this page.");
    }
  }

  fill({ scenarios, broken, selected, mode }) {
    this.cards = new Map(scenarios.map((card) => [card.name, card]));
    const options = scenarios.map((card) => {
      const option = element("option", "", card.title === card.name ? card.name : `${card.title} (${card.name})`);
      option.value = card.name;
      return option;
    });
    byId("pick-scenario").replaceChildren(...options);
    byId("pick-cards").replaceChildren(...scenarios.map((card) => this.card(card)));
    if (this.cards.has(selected)) byId("pick-scenario").value = selected;
    byId("pick-mode").value = mode;
    setHidden(byId("picker-broken"), broken.length === 0);
    setText(byId("picker-broken"), `Not listed, since they do not load: ${broken.map(({ name, error }) => `${name} (${error.split("\n")[0]})`).join("; ")}`);
    this.about();
  }

  /** A scenario to press: its rate over time with its attacks, how long it takes, how much fraud to expect. */
  card({ name, title, curve, attacks, wall_s: wallS, frauds, search }) {
    const picture = sparkline(curve, SVG_WIDTH, SVG_HEIGHT);
    for (const [from, to] of attacks) {
      const band = document.createElementNS(picture.namespaceURI, "rect");
      for (const [key, value] of [["x", from * SVG_WIDTH], ["width", Math.max(1, (to - from) * SVG_WIDTH)], ["height", SVG_HEIGHT]]) band.setAttribute(key, value);
      picture.prepend(band);
    }
    const facts = search ? "until the limit is known" : `${span(wallS)} · ${count(frauds)} frauds`;
    const button = element("button", "pick-card", element("b", "", title), picture, element("span", "muted", facts));
    button.type = "button";
    button.dataset.name = name;
    button.addEventListener("click", () => {
      byId("pick-scenario").value = name;
      this.about();
    });
    return element("li", "", button);
  }

  about() {
    for (const button of byId("pick-cards").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.name === byId("pick-scenario").value));
    for (const field of document.querySelectorAll(".live-only")) setHidden(field, byId("pick-mode").value !== "live");
    const card = this.cards.get(byId("pick-scenario").value);
    if (!card) return;
    const speed = Number(byId("pick-speed").value) || card.speed;
    byId("pick-speed").placeholder = String(card.speed);
    byId("pick-customers").placeholder = String(card.customers);
    setText(byId("pick-description"), card.description);
    const facts = [
      ["Simulated", span(card.duration_hours * 3600)],
      ["Takes", span((card.duration_hours * 3600) / speed)],
      ["Peak rate", withUnit(card.peak_tps, "tx/s")],
      ["Transactions", card.search ? "as many as hold" : `about ${figure(Math.round((card.transactions * card.speed) / speed))}`],
      ["Customers", count(Number(byId("pick-customers").value) || card.customers)],
      ["Fraud", card.typologies.length ? `about ${percent(card.fraud_rate)}: ${card.typologies.map(words).join(", ")}` : percent(card.fraud_rate)],
    ];
    byId("pick-facts").replaceChildren(
      ...facts.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value))),
    );
  }

  show({ state }) {
    const active = ACTIVE.has(state);
    setHidden(this.root, false);
    if (state === this.state) return;
    this.state = state;
    this.active = active;
    this.waiting = false;
    // Without a run the form is the page; beside one, and after it, it is the last thing.
    const idle = state === "idle";
    if (!idle) byId("figures").after(this.root);
    else byId("run").before(this.root);
    this.root.open = idle;
    this.root.classList.toggle("folded", !idle);
    setText(byId("picker-fold"), active ? "Switch to another scenario" : "Run again, or another scenario");
    setText(byId("picker-title"), active ? "Switch scenario" : idle ? "No run yet" : "Start another run");
    setText(
      byId("picker-lead"),
      active
        ? "The run under way is ended first: what was sent is answered, and its report is written."
        : state === "idle"
          ? "Choose a scenario and start it. What you leave empty is as the scenario says."
          : "What you leave empty is as the scenario says.",
    );
    this.disarm();
  }

  /** What is filled in, as a start takes it. */
  asked() {
    const form = new FormData(byId("picker-form"));
    return Object.fromEntries(FIELDS.map((name) => [name, String(form.get(name) ?? "").trim()]).filter(([, value]) => value));
  }

  /** Whether the addresses answer and the thresholds can be read, before anything starts. */
  async check() {
    const number = (this.checks = (this.checks ?? 0) + 1);
    this.complain("");
    this.praise("Checking …");
    try {
      const answer = await fetch(`${this.base}/api/control/check`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(this.asked()),
      });
      const found = await answer.json();
      if (number !== this.checks) return; // another one is under way
      this.praise(answer.ok ? found.message : "");
      if (!answer.ok) this.complain(found.error);
    } catch {
      if (number === this.checks) this.praise("");
    }
  }

  praise(message) {
    setText(byId("start-checked"), message);
    setHidden(byId("start-checked"), !message);
  }

  async submit() {
    if (this.waiting) return;
    if (this.active && !this.armed) {
      this.armed = setTimeout(() => this.disarm(), ARMED_MS);
      setText(byId("start-word"), "End this run and start?");
      return;
    }
    this.disarm();
    this.waiting = true;
    setText(byId("start-word"), "Starting");
    this.complain("");
    const body = this.asked();
    if (this.active) body.switch = true;
    try {
      const answer = await fetch(`${this.base}/api/control/start`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      if (!answer.ok) this.complain((await answer.json()).error);
    } catch {
      this.complain("Locust did not answer, so nothing may have started. Try again.");
    } finally {
      this.waiting = false;
      this.disarm();
    }
  }

  disarm() {
    clearTimeout(this.armed);
    this.armed = null;
    if (!this.waiting) setText(byId("start-word"), this.active ? "Switch" : "Start");
  }

  complain(message) {
    setText(byId("start-problem"), message);
    setHidden(byId("start-problem"), !message);
  }
}
