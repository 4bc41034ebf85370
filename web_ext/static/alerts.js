// Pop-ups for transactions whose score is above the scenario's threshold: one small line at a time, the
// newest, with what it truly was.

import { byId, element, icon, setHidden } from "./dom.js";
import { money, words } from "./format.js";
import { resultOf } from "./verdicts.js";

const TOAST_MS = 7_000;
const SHOWN_AT_LEAST_MS = 1_200;
const SOUND_EVERY_MS = 1_500;
const MUTE_KEY = "banksim.alerts";
const SOUND_KEY = "banksim.sound";

export class Alerts {
  constructor() {
    this.root = byId("toasts");
    this.threshold = 0.8;
    this.scenarioSound = false;
    this.silent = false;
    this.next = 0;
    this.soundedAt = this.shownAt = 0;
  }

  configure({ fraud_alert_threshold: threshold, sound_alerts: sound }) {
    this.threshold = threshold ?? 0.8;
    this.scenarioSound = Boolean(sound);
  }

  /** What the viewer chose, else what the scenario says. */
  get sound() {
    const chosen = stored(SOUND_KEY);
    return chosen === null ? this.scenarioSound : chosen === "on";
  }

  chooseSound(on) {
    store(SOUND_KEY, on ? "on" : "off");
    this.soundedAt = 0;
    if (on) this.beep(); // a browser lets a page sound only from a click, and this is one
  }

  /** What was there before this page was opened is no news. */
  seen(feed) {
    this.next = feed.next;
  }

  extend(feed) {
    const fresh = feed.items.filter((item) => item.seq >= this.next);
    if (fresh.length) this.next = fresh.at(-1).seq + 1;
    for (const item of fresh) if (isAlert(item, this.threshold)) this.pop(item);
  }

  pop(item) {
    if (muted()) return;
    if (this.sound && !this.silent) this.beep();
    const read = this.root.matches(":hover, :focus-within") || Date.now() - this.shownAt < SHOWN_AT_LEAST_MS;
    if (read && this.root.firstChild) return;
    this.shownAt = Date.now();
    const node = this.toast(item);
    this.root.replaceChildren(node);
    setHidden(this.root, false);
    setTimeout(() => this.drop(node), TOAST_MS);
  }

  drop(node) {
    if (node.matches(":hover, :focus-within")) setTimeout(() => this.drop(node), TOAST_MS / 2);
    else this.close(node);
  }

  close(node) {
    node.remove();
    setHidden(this.root, !this.root.firstChild);
  }

  toast(item) {
    const close = element("button", "toast-close", icon("fail"));
    close.type = "button";
    close.setAttribute("aria-label", "Close this alert");
    const result = resultOf(item);
    const what = [words(item.typology), money(item.amount, item.currency), ...(item.reasons ?? []).slice(0, 2).map(words)];
    const said = `${words(item.decision)} · ${item.score.toFixed(2)} · ${what.filter(Boolean).join(" · ")}`;
    const node = element("article", `toast ${result.role}`, icon(result.icon), element("b", "", result.word), element("span", "", said), close);
    node.title = [item.customer, item.merchant].filter(Boolean).join(" · ");
    close.addEventListener("click", () => this.close(node));
    return node;
  }

  /** Two short tones; browsers allow them only after the first click on the page. */
  beep() {
    if (Date.now() - this.soundedAt < SOUND_EVERY_MS) return;
    this.soundedAt = Date.now();
    try {
      this.audio ??= new AudioContext();
      for (const [start, hertz] of [[0, 880], [0.16, 660]]) {
        const [tone, volume] = [this.audio.createOscillator(), this.audio.createGain()];
        tone.frequency.value = hertz;
        volume.gain.value = 0.06;
        tone.connect(volume).connect(this.audio.destination);
        tone.start(this.audio.currentTime + start);
        tone.stop(this.audio.currentTime + start + 0.12);
      }
    } catch {
      this.silent = true; // no audio on this machine
    }
  }
}

export const isAlert = ({ score }, threshold) => typeof score === "number" && score > threshold;

/** The Feed page shows every alert as a row, so pop-ups are off there unless somebody wants them. */
export const muted = () => (stored(MUTE_KEY) ?? (byId("feed-card") ? "off" : "on")) === "off";

export const setMuted = (off) => store(MUTE_KEY, off ? "off" : "on");

function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage may be forbidden; pop-ups then stay on
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // as above: the choice is forgotten with the page
  }
}
