// The last transactions, newest first.  Holds still while somebody looks or points at it.

import { byId, element, icon, setHidden, setText } from "./dom.js";
import { count, clockOf, milliseconds, money, moment, words } from "./format.js";
import { resultOf, scoreBand } from "./verdicts.js";

const MAX_ROWS = 40;
const MAX_WAITING = 200;

const TRUTH = {
  fraud: { icon: "triangle", role: "fraud", word: "fraud" },
  decoy: { icon: "diamond", role: "suspicious", word: "decoy" },
  genuine: { icon: "dot", role: "genuine", word: "genuine" },
};

export class Feed {
  constructor() {
    this.body = byId("feed");
    this.next = 0;
    this.waiting = [];
    this.passedBy = 0;
    this.reasons = new Set();
    const scroll = byId("feed-scroll");
    this.holdWhile(scroll, "pointerenter", "pointerleave", "hover");
    this.holdWhile(scroll, "focusin", "focusout", "focus");
    byId("feed-hold").addEventListener("click", (event) => {
      const held = event.currentTarget.getAttribute("aria-pressed") !== "true";
      event.currentTarget.setAttribute("aria-pressed", String(held));
      setText(event.currentTarget, held ? "Go on" : "Hold");
      this.hold("button", held);
    });
  }

  holdWhile(node, begin, end, reason) {
    node.addEventListener(begin, (event) => event.pointerType !== "touch" && this.hold(reason, true));
    node.addEventListener(end, () => this.hold(reason, false));
  }

  hold(reason, held) {
    if (held) this.reasons.add(reason);
    else this.reasons.delete(reason);
    this.draw();
  }

  replace(feed) {
    this.next = 0;
    this.waiting = [];
    this.passedBy = 0;
    this.body.replaceChildren();
    this.extend(feed);
  }

  /** Add what is new; an item that came twice is left out by its number. */
  extend(feed) {
    const fresh = feed.items.filter((item) => item.seq >= this.next);
    if (fresh.length) this.next = fresh.at(-1).seq + 1;
    this.waiting.push(...fresh);
    const over = this.waiting.length - MAX_WAITING;
    if (over > 0) {
      this.waiting.splice(0, over);
      this.passedBy += over;
    }
    this.share = feed.shown_of;
    this.draw();
  }

  draw() {
    if (this.reasons.size === 0 && this.waiting.length) {
      this.body.prepend(...this.waiting.slice(-MAX_ROWS).reverse().map(row));
      while (this.body.children.length > MAX_ROWS) this.body.lastElementChild.remove();
      this.waiting = [];
      this.passedBy = 0;
    }
    const held = this.reasons.size > 0;
    setHidden(byId("feed-held"), !held);
    if (held) setText(byId("feed-held"), `Held while you look · ${count(this.waiting.length + this.passedBy)} new since`);
    const empty = this.body.children.length === 0;
    setHidden(byId("feed-empty"), !empty);
    setHidden(byId("feed-scroll"), empty);
    setText(byId("feed-share"), shareInWords(this.share));
  }
}

function shareInWords(share) {
  if (!share || !share.seen) return "";
  const oneIn = share.seen / Math.max(1, share.sampled);
  if (oneIn < 1.05) return "all are shown";
  return `a sample: 1 in ${oneIn < 10 ? oneIn.toFixed(1) : count(oneIn)}`;
}

function row(item) {
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
    cell("feed-decision", item.decision ?? "n/a"),
    cell("feed-truth", mark(truth.icon, truth.role), element("span", "", truth.word), element("span", "muted", words(item.typology))),
    cell("feed-result", element("span", `result ${result.role}`, icon(result.icon), result.word)),
  );
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
