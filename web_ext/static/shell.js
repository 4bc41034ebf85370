// What every page has: one live stream, the bar, the notice, alerts.  A page brings `render`
// (called at most once per frame, and not while nobody can see it) and may listen to the feed.

import { Alerts } from "./alerts.js";
import { byId } from "./dom.js";
import { showBar, showFreshness, showNotice, showState } from "./header.js";
import { showWorkers } from "./workers.js";
import { replay } from "./replay.js";
import { Stream } from "./stream.js";
import { Timeline } from "./timeline.js";

export const settings = JSON.parse(byId("settings").textContent);

export class Shell {
  /** page: {render(shell), feed: Feed or null, ownEmptyState: it says itself that there is no run} */
  constructor(page) {
    this.page = page;
    this.status = null;
    this.snapshot = {};
    this.windows = {};
    this.trouble = "";
    this.shownOf = null;
    this.timeline = new Timeline();
    this.alerts = new Alerts();
    this.drawing = false;
    this.all = false;
    this.applyDashboard(settings.dashboard);
    const handlers = {
      onState: (message) => this.takeState(message),
      onUpdate: (message) => this.takeUpdate(message),
      onFeed: (message) => this.takeFeed(message.feed),
      onTrouble: (message) => {
        this.trouble = message;
        this.draw();
      },
      onFreshness: showFreshness,
    };
    this.stream = settings.replay ? replay(settings.base, settings.replay.run, handlers) : new Stream(settings.base, handlers);
    for (const event of ["themechange", "resize", "load", "zoomchange"]) addEventListener(event, () => this.draw());
  }

  get dashboard() {
    return this.status?.dashboard ?? settings.dashboard ?? {};
  }

  takeState(message) {
    this.windows = message.windows ?? {};
    this.timeline.replace(message.timeline);
    // Another state of the same run brings no reason to forget; a jump within a record does.
    const sameRun = this.status?.run_id === message.status.run_id && !settings.replay;
    if (sameRun) this.page.feed?.extend(message.feed);
    else this.page.feed?.replace(message.feed);
    this.alerts.seen(message.feed);
    this.shownOf = message.feed.shown_of;
    this.take(message);
  }

  takeUpdate(message) {
    this.windows = message.windows ?? this.windows;
    this.timeline.extend(message.timeline);
    this.takeFeed(message.feed);
    this.take(message);
  }

  takeFeed(feed) {
    this.shownOf = feed.shown_of;
    this.page.feed?.extend(feed);
    this.alerts.extend(feed);
    this.draw(false);
  }

  take(message) {
    this.status = message.status;
    this.snapshot = message.snapshot ?? {};
    this.trouble = "";
    this.applyDashboard(message.status.dashboard);
    this.stream?.expectEvery(this.dashboard.refresh_rate_ms ?? 1000);
    this.draw();
  }

  /** The scenario's dashboard block, where it concerns all pages. */
  applyDashboard(dashboard = {}) {
    this.alerts.configure(dashboard);
    const root = document.documentElement;
    const theme = dashboard.theme ?? "auto";
    if (root.dataset.defaultTheme === theme) return;
    root.dataset.defaultTheme = theme;
    dispatchEvent(new Event("defaulttheme"));
  }

  /** Soon; without `all` only the feed, which moves many times between two updates. */
  draw(all = true) {
    this.all ||= all;
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      const everything = this.all;
      this.all = false;
      if (everything) this.render();
      else this.page.feed?.draw(this.shownOf);
    });
  }

  render() {
    showNotice(this.status ?? {}, this.snapshot.verdict, settings.base, this.trouble, this.page.ownEmptyState);
    if (!this.status) return;
    showState(this.status, Boolean(settings.replay));
    showBar(this.status, this.snapshot);
    showWorkers(this.status.workers);
    this.page.feed?.draw(this.shownOf);
    this.page.render(this);
  }
}
