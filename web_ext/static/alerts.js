// Pop-ups for transactions whose score is above the scenario's threshold.  At most three stand
// at once; more are counted in one line, so that an attack does not bury the page.

import { byId, element, icon, setHidden, setText } from "./dom.js";
import { clockOf, count, moment, money, words } from "./format.js";

const MAX_TOASTS = 3;
const TOAST_MS = 7_000;
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
    this.more = 0;
    this.soundedAt = 0;
    this.rest = element("p", "toasts-more");
    this.root.append(this.rest);
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
    if (this.root.querySelectorAll(".toast").length >= MAX_TOASTS) {
      this.more += 1;
    } else {
      const node = this.toast(item);
      this.root.prepend(node);
      setTimeout(() => this.drop(node), TOAST_MS);
    }
    this.show();
  }

  drop(node) {
    if (node.matches(":hover, :focus-within")) {
      setTimeout(() => this.drop(node), TOAST_MS / 2);
      return;
    }
    node.remove();
    this.show();
  }

  show() {
    const standing = this.root.querySelectorAll(".toast").length;
    if (!standing) this.more = 0;
    setHidden(this.root, standing === 0);
    setHidden(this.rest, this.more === 0);
    setText(this.rest, `and ${count(this.more)} more`);
  }

  toast(item) {
    const close = element("button", "toast-close", icon("fail"));
    close.type = "button";
    close.setAttribute("aria-label", "Close this alert");
    const node = element(
      "article",
      "toast",
      icon("triangle"),
      element(
        "div",
        "",
        element("b", "", `Score ${item.score.toFixed(2)} · ${money(item.amount, item.currency)}`),
        element("div", "toast-who", [item.customer, item.merchant ?? words(item.kind)].filter(Boolean).join(" · ")),
        element("div", "muted", [clockOf(moment(item.sim_time)), ...(item.reasons ?? []).slice(0, 2).map(words)].join(" · ")),
      ),
      close,
    );
    close.addEventListener("click", () => {
      node.remove();
      this.show();
    });
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

export const muted = () => stored(MUTE_KEY) === "off";

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
