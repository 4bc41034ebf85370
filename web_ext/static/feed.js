// The last transactions, newest first.  Holds still while somebody looks or points at it.
// Keeps more than it shows, so that another filter finds what has passed already.

import { byId, setHidden, setText } from "./dom.js";
import { row } from "./feed_row.js";
import { count } from "./format.js";

const everything = () => true;

export class Feed {
  /** rows: shown at most; keep: remembered at most; onShown(feed): after each change of what is shown */
  constructor({ rows = 40, keep = 200, onShown = () => {} } = {}) {
    this.body = byId("feed");
    this.rows = rows;
    this.keep = keep;
    this.onShown = onShown;
    this.accepts = everything;
    this.items = []; // remembered, oldest first
    this.shown = []; // newest first, one per row
    this.next = 0;
    this.waiting = 0; // newest of `items` that are not drawn yet
    this.passedBy = 0;
    this.fresh = false;
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
    this.fresh = true;
    this.draw();
  }

  replace(feed) {
    this.next = 0;
    this.items = [];
    this.waiting = 0;
    this.passedBy = 0;
    this.clear();
    this.extend(feed);
  }

  clear() {
    this.shown = [];
    this.body.replaceChildren();
  }

  /** Add what is new; an item that came twice is left out by its number. */
  extend(feed) {
    const fresh = feed.items.filter((item) => item.seq >= this.next);
    if (fresh.length) this.next = fresh.at(-1).seq + 1;
    this.items.push(...fresh);
    this.waiting += fresh.length;
    const over = this.items.length - this.keep;
    if (over > 0) this.items.splice(0, over);
    if (this.waiting > this.items.length) {
      this.passedBy += this.waiting - this.items.length;
      this.waiting = this.items.length;
    }
    this.fresh = true;
  }

  /** Show only what `accepts` says yes to, from all that is remembered. */
  filter(accepts) {
    this.accepts = accepts;
    this.clear();
    this.waiting = this.items.length;
    this.fresh = true;
    this.draw(this.share, true);
  }

  draw(share = this.share, evenHeld = false) {
    this.share = share;
    if (!this.fresh) return;
    this.fresh = false;
    const held = this.reasons.size > 0;
    if ((!held || evenHeld) && this.waiting) this.prepend();
    setHidden(byId("feed-held"), !held);
    if (held) setText(byId("feed-held"), `Held while you look · ${count(this.waiting + this.passedBy)} new since`);
    const empty = this.shown.length === 0;
    setHidden(byId("feed-empty"), !empty);
    setHidden(byId("feed-scroll"), empty);
    setText(byId("feed-share"), shareInWords(this.share));
    this.onShown(this);
  }

  prepend() {
    const news = this.items.slice(this.items.length - this.waiting).filter(this.accepts).slice(-this.rows).reverse();
    this.body.prepend(...news.map(row));
    this.shown.unshift(...news);
    this.shown.length = Math.min(this.shown.length, this.rows);
    while (this.body.children.length > this.rows) this.body.lastElementChild.remove();
    this.waiting = 0;
    this.passedBy = 0;
  }
}

function shareInWords(share) {
  if (!share || !share.seen) return "";
  const oneIn = share.seen / Math.max(1, share.sampled);
  if (oneIn < 1.05) return "all are shown";
  return `a sample: 1 in ${oneIn < 10 ? oneIn.toFixed(1) : count(oneIn)}`;
}
