// The last transactions, newest first.  Holds still while somebody looks or points at it.
// Keeps more than it shows, so that another filter finds what has passed already; and shows more
// than it draws while rows keep coming, since each new one moves all those below it.

import { byId, setHidden, setText } from "./dom.js";
import { Drawer } from "./drawer.js";
import { row } from "./feed_row.js";
import { count } from "./format.js";
import { resultOf } from "./verdicts.js";

const everything = () => true;
/** Rows drawn while it moves: what one sees, and some to scroll to.  All are there when it is held. */
const MOVING_ROWS = 30;
const MISTAKES = new Set(["missed", "false-positive"]);
const KEYS = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, m: "mistake" };

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
    scroll.addEventListener("focusout", () => this.drawer.open || this.hold("drawer", false));
    // Whoever has scrolled down reads; the rows must not move away from under the eyes.
    scroll.addEventListener("scroll", () => this.hold("scroll", scroll.scrollTop > 0), { passive: true });
    this.selected = null; // the item that the keys stand on
    this.drawer = new Drawer({ items: () => this.items, step: (by) => this.step(by) });
    this.body.addEventListener("click", (event) => {
      const item = event.target.closest("tr")?.item;
      if (!item) return;
      this.select(item);
      this.drawer.show(item);
    });
    this.drawer.dialog.addEventListener("close", () => this.hold("drawer", false));
    document.addEventListener("keydown", (event) => this.key(event, scroll));
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

  /** Keys move through what is shown, wherever nothing is being typed; arrows only within the feed. */
  key(event, scroll) {
    const inside = scroll.contains(event.target) || this.drawer.open;
    const typing = event.target.closest("input, select, textarea, summary, .chart");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && this.selected && scroll === event.target) {
      event.preventDefault(); // or the key would press a button of the drawer
      return this.drawer.show(this.selected);
    }
    if (!(event.key in KEYS) || (event.key.startsWith("Arrow") && !inside)) return;
    event.preventDefault();
    this.step(KEYS[event.key]);
  }

  /** To the next one (1: older, -1: newer), or to the next "mistake" that is older. */
  step(by) {
    const at = this.shown.findIndex(({ seq }) => seq === this.selected?.seq);
    const wrong = by === "mistake" ? this.shown.findIndex((item, place) => place > at && MISTAKES.has(resultOf(item).role)) : -1;
    const item = by === "mistake" ? this.shown[wrong] : this.shown[at + by] ?? (at < 0 ? this.shown[0] : undefined);
    if (!item) return;
    this.select(item);
    if (this.drawer.open) this.drawer.show(item);
    else byId("feed-scroll").focus({ preventScroll: true });
  }

  select(item) {
    this.selected = item;
    this.hold("drawer", true);
    this.drawRows(this.rows);
    for (const node of this.body.children) {
      node.classList.toggle("selected", node.item.seq === item.seq);
      if (node.item.seq === item.seq) node.scrollIntoView({ block: "nearest" });
    }
  }

  hold(reason, held) {
    if (held === this.reasons.has(reason)) return;
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
    this.reasons.delete("scroll"); // it is at its top again, without an event that says so
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

  /** Add what was there before the oldest one that is known. */
  remember(older) {
    const first = this.items[0]?.seq ?? Infinity;
    const room = this.keep - this.items.length;
    const news = room > 0 ? older.filter((item) => item.seq < first).slice(-room) : [];
    if (!news.length) return;
    this.items.unshift(...news);
    this.filter(this.accepts);
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
    this.drawRows(held ? this.rows : MOVING_ROWS);
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
    this.body.prepend(...news.slice(0, MOVING_ROWS).map(row));
    if (news.length > MOVING_ROWS) while (this.body.children.length > MOVING_ROWS) this.body.lastElementChild.remove();
    this.shown.unshift(...news);
    this.shown.length = Math.min(this.shown.length, this.rows);
    this.waiting = 0;
    this.passedBy = 0;
  }

  /** Exactly the first `wanted` of what is shown, as rows. */
  drawRows(wanted) {
    const drawn = this.body.children.length;
    const target = Math.min(wanted, this.shown.length);
    for (let extra = drawn; extra > target; extra -= 1) this.body.lastElementChild.remove();
    if (drawn < target) this.body.append(...this.shown.slice(drawn, target).map(row));
  }
}

function shareInWords(share) {
  if (!share || !share.seen) return "";
  const oneIn = share.seen / Math.max(1, share.sampled);
  if (oneIn < 1.05) return "all are shown";
  return `a sample: 1 in ${oneIn < 10 ? oneIn.toFixed(1) : count(oneIn)}`;
}
