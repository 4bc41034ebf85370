// One EventSource per page.  Says when it is stale: three updates missed.
//
// EventSource reconnects by itself after a lost connection, but gives up for good when the
// server answers with an error; then we ask /api/status why, say so, and try again slowly.

const MISSED_UPDATES = 3;
const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 30_000;

export class Stream {
  /** handlers: onState, onUpdate, onFeed, onTrouble(message), onFreshness({stale, lastAt, reason}) */
  constructor(base, handlers) {
    this.base = base;
    this.expectEvery(1000);
    this.handlers = handlers;
    this.retryMs = FIRST_RETRY_MS;
    this.lastAt = null;
    this.openedAt = Date.now();
    this.reason = "";
    this.open();
    setInterval(() => this.report(), 1000);
    // A laptop that wakes up should not wait for a time-out to notice.
    document.addEventListener("visibilitychange", () => document.hidden || this.report());
  }

  /** How often updates come, from the scenario's dashboard block. */
  expectEvery(intervalMs) {
    this.staleAfterMs = intervalMs * MISSED_UPDATES + 500;
  }

  open() {
    this.source = new EventSource(`${this.base}/banksim/events`);
    this.source.addEventListener("state", (event) => this.take(event, this.handlers.onState));
    this.source.addEventListener("update", (event) => this.take(event, this.handlers.onUpdate));
    this.source.addEventListener("feed", (event) => this.take(event, this.handlers.onFeed));
    this.source.addEventListener("trouble", (event) => {
      this.handlers.onTrouble(JSON.parse(event.data).message);
    });
    this.source.onerror = () => this.failed();
  }

  take(event, handler) {
    this.lastAt = Date.now();
    this.retryMs = FIRST_RETRY_MS;
    this.reason = "";
    handler(JSON.parse(event.data));
    this.report();
  }

  async failed() {
    const source = this.source;
    if (source.readyState !== EventSource.CLOSED) {
      this.reason = "Locust does not answer. Trying again.";
      return;
    }
    this.reason = await this.why();
    this.report();
    setTimeout(() => this.source === source && this.open(), this.retryMs);
    this.retryMs = Math.min(LAST_RETRY_MS, this.retryMs * 2);
  }

  async why() {
    try {
      const answer = await fetch(`${this.base}/api/status`, { redirect: "manual" });
      if (answer.status === 401) return "You are signed out. Sign in on Locust's page.";
      if (answer.ok) return "Too many pages are watching. Close one; this one tries again.";
      return (await answer.json()).error;
    } catch {
      return "Locust does not answer. Trying again.";
    }
  }

  report() {
    const silentMs = Date.now() - (this.lastAt ?? this.openedAt);
    const stale = silentMs > this.staleAfterMs;
    this.handlers.onFreshness({ stale, lastAt: this.lastAt, reason: this.reason });
  }
}
