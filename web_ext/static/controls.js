// Pause, resume, stop and speed: plain POSTs, their problems shown where they were pressed.

import { byId, setHidden, setText } from "./dom.js";
import { known, span } from "./format.js";

const STEPS_PER_DECADE = 100; // the slider's 0..400 is 1..10,000 times
const STOP_ARMED_MS = 4_000;
const SPEED_SETTLES_MS = 2_500;

const STEERABLE = new Set(["running", "paused"]);

export class Controls {
  constructor({ base, minSpeed, maxSpeed, replay }) {
    this.base = base;
    this.replayed = Boolean(replay);
    this.slider = byId("speed-slider");
    this.number = byId("speed-number");
    this.number.min = minSpeed;
    this.number.max = maxSpeed;
    this.minSpeed = minSpeed;
    this.maxSpeed = maxSpeed;
    this.editingUntil = 0;
    this.listen();
  }

  listen() {
    byId("pause").addEventListener("click", () => this.post("pause"));
    byId("resume").addEventListener("click", () => this.post("resume"));
    byId("stop").addEventListener("click", () => this.stop());
    byId("stop").addEventListener("blur", () => this.disarm());
    this.slider.addEventListener("input", () => this.preview(10 ** (this.slider.value / STEPS_PER_DECADE)));
    this.slider.addEventListener("change", () => this.send(round(10 ** (this.slider.value / STEPS_PER_DECADE))));
    this.number.addEventListener("input", () => {
      this.hold();
      if (this.number.validity.valid && this.number.value) this.say(Number(this.number.value));
    });
    this.number.addEventListener("change", () => this.send(Number(this.number.value)));
  }

  show({ state, speed }) {
    const steerable = STEERABLE.has(state) && !this.replayed;
    const paused = state === "paused";
    const hadFocus = document.activeElement;
    setHidden(byId("pause"), paused);
    setHidden(byId("resume"), !paused);
    // The button that was pressed vanishes; whoever uses the keyboard stays where they were.
    if (hadFocus?.hidden) (paused ? byId("resume") : byId("pause")).focus();
    for (const id of ["pause", "resume", "speed-slider", "speed-number"]) byId(id).disabled = !steerable;
    byId("stop").disabled = !(steerable || state === "opening") || this.replayed;
    if (!known(speed) || Date.now() < this.editingUntil) return;
    if (document.activeElement !== this.number) this.number.value = round(speed);
    this.slider.value = Math.round(Math.log10(Math.max(1, speed)) * STEPS_PER_DECADE);
    this.say(speed);
  }

  preview(speed) {
    this.hold();
    this.number.value = round(speed);
    this.say(speed);
  }

  /** While somebody chooses a speed, the run's own value does not overwrite it. */
  hold() {
    this.editingUntil = Date.now() + SPEED_SETTLES_MS;
  }

  say(speed) {
    this.slider.setAttribute("aria-valuetext", `${round(speed)} times real time`);
    const meaning = speed >= 60 ? `1 simulated hour in ${span(3600 / speed)}` : `1 simulated minute in ${span(60 / speed)}`;
    setText(byId("speed-means"), `${meaning} of wall time`);
  }

  send(speed) {
    if (!(speed >= this.minSpeed && speed <= this.maxSpeed)) {
      this.complain(`Speed can be ${this.minSpeed} to ${this.maxSpeed.toLocaleString("en")} times real time.`);
      return;
    }
    this.hold();
    this.post("speed", { multiplier: speed });
  }

  stop() {
    if (!this.armed) {
      this.armed = setTimeout(() => this.disarm(), STOP_ARMED_MS);
      setText(byId("stop-word"), "Stop for good?");
      byId("stop").classList.add("armed");
      return;
    }
    this.disarm();
    this.post("stop");
  }

  disarm() {
    clearTimeout(this.armed);
    this.armed = null;
    setText(byId("stop-word"), "Stop");
    byId("stop").classList.remove("armed");
  }

  async post(action, body) {
    this.complain("");
    try {
      const answer = await fetch(`${this.base}/api/control/${action}`, {
        method: "POST",
        headers: body ? { "Content-Type": "application/json" } : {},
        body: body ? JSON.stringify(body) : undefined,
      });
      if (!answer.ok) this.complain((await answer.json()).error);
    } catch {
      this.complain(`Locust did not answer, so nothing may have changed. Try ${action} again.`);
    }
  }

  complain(message) {
    setText(byId("control-problem"), message);
    setHidden(byId("control-problem"), !message);
  }
}

function round(speed) {
  return speed >= 100 ? Math.round(speed) : Number(speed.toPrecision(3));
}
