// Plays the record of a run into a page, with the messages the live stream would have brought.
//
// The whole record is fetched and indexed once.  Of each message only its points and
// transactions are kept as objects; the rest stays text until its moment is shown.  A record that
// breaks off (the process was killed) is played as far as it goes.

const VERSION = 1;
const TICK_MS = 50;
const MAX_ITEMS = 60; // of one message, as in the live stream
const KEPT_ITEMS = 500; // shown after a jump

export class Player {
  /** handlers as for Stream; onMove(player) after every change of position, speed or play */
  constructor(base, run, handlers) {
    this.base = base;
    this.run = run;
    this.handlers = handlers;
    this.frames = [];
    this.items = [];
    this.plans = [];
    this.windows = [];
    this.position = 0;
    this.speed = 1;
    this.playing = false;
    this.note = "";
    this.open();
  }

  expectEvery() {}

  get lengthMs() {
    return this.frames.at(-1)?.at ?? 0;
  }

  /** The scenario's plan as it stood at this moment, or null. */
  get plan() {
    const found = lastUpTo(this.plans, this.position);
    return found ? JSON.parse(found.text).data : null;
  }

  async open() {
    try {
      if (this.run === null) throw new Error("This is not the name of a run. Choose one on the Results page.");
      this.index(await this.fetched());
    } catch (error) {
      this.handlers.onTrouble(error.message);
      return;
    }
    this.seek(this.position);
    this.play(this.playing);
    setInterval(() => this.tick(), TICK_MS);
  }

  async fetched() {
    const address = `${this.base}/banksim/report/${encodeURIComponent(this.run)}/record.jsonl.gz?download=1`;
    let answer;
    try {
      answer = await fetch(address);
    } catch {
      throw new Error("Locust does not answer, so the record could not be read. Reload this page.");
    }
    if (answer.status === 401) throw new Error("You are signed out. Sign in on Locust's page.");
    if (!answer.ok) throw new Error("There is no record of this run: it is not in the report folder, or its scenario says not to keep one.");
    return this.unpacked(answer.body);
  }

  async unpacked(body) {
    const parts = [];
    try {
      const reader = body.pipeThrough(new DecompressionStream("gzip")).pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) parts.push(part.value);
    } catch {
      // What was unpacked until here is good; whether the end is missing is seen by its last line.
    }
    return parts.join("");
  }

  index(text) {
    let ended = false;
    let startedMs = 0;
    for (const line of text.split("\n")) {
      if (!line) continue;
      let message;
      try {
        message = JSON.parse(line);
      } catch {
        break;
      }
      const { event, at_ms: at, data } = message;
      if (event === "record") {
        if (data.version !== VERSION) throw new Error("This record was made by another version of banksim, which can play it.");
        startedMs = data.started_ms;
      } else if (event === "plan") this.plans.push({ at, text: line });
      else if (event === "end") ended = true;
      else if (event === "state" || event === "update") this.add(at, data, line, startedMs);
    }
    if (!this.frames.length) throw new Error("The record of this run is damaged and cannot be played.");
    if (!ended) this.note = "The record breaks off before the run's end; what there is can be played.";
  }

  add(writtenAt, data, text, startedMs) {
    const at = this.frames.length ? writtenAt : 0; // the first one is what the record begins with
    const from = this.frames.at(-1)?.at ?? 0;
    const { points, next } = data.timeline;
    this.frames.push({ at, text, points, next });
    for (const item of data.feed.items) {
      const happened = (item.ended_at_ms ?? startedMs + writtenAt) - startedMs;
      this.items.push({ at: Math.min(at, Math.max(from, happened)), item });
    }
    if (data.windows) this.windows.push({ at, windows: data.windows });
  }

  play(on) {
    if (on && this.position >= this.lengthMs) this.seek(0);
    this.playing = on;
    this.tickedAt = performance.now();
    this.handlers.onMove(this);
  }

  setSpeed(speed) {
    this.speed = speed;
    this.handlers.onMove(this);
  }

  tick() {
    const now = performance.now();
    if (this.playing) this.advance((now - this.tickedAt) * this.speed);
    this.tickedAt = now;
  }

  /** Play on for `ms` of the record's time: what lies in between comes as the live stream brings it. */
  advance(ms) {
    const from = this.position;
    const to = Math.min(this.lengthMs, from + ms);
    this.position = to;
    const passed = this.frames.slice(upTo(this.frames, from), upTo(this.frames, to));
    const items = this.items.slice(upTo(this.items, from), upTo(this.items, to)).map(({ item }) => item);
    if (passed.length) {
      const { status, snapshot, feed } = JSON.parse(passed.at(-1).text).data;
      const before = lastUpTo(this.frames, from);
      const timeline = { since: before.next, next: passed.at(-1).next, points: passed.flatMap(({ points }) => points) };
      const windows = lastUpTo(this.windows, to).windows;
      this.shownOf = feed.shown_of;
      this.handlers.onUpdate({ status, snapshot, windows, timeline, feed: this.feed(items.slice(-MAX_ITEMS)) });
    } else if (items.length) {
      this.handlers.onFeed({ feed: this.feed(items.slice(-MAX_ITEMS)) });
    }
    if (to >= this.lengthMs) this.playing = false;
    this.handlers.onMove(this);
  }

  /** Show the run as it stood at `ms`. */
  seek(ms) {
    this.position = Math.min(this.lengthMs, Math.max(0, ms));
    const at = this.position;
    const passed = this.frames.slice(0, upTo(this.frames, at));
    const { status, snapshot, feed } = JSON.parse(passed.at(-1).text).data;
    const items = this.items.slice(0, upTo(this.items, at)).slice(-KEPT_ITEMS).map(({ item }) => item);
    this.shownOf = feed.shown_of;
    this.handlers.onState({
      status,
      snapshot,
      windows: lastUpTo(this.windows, at).windows,
      timeline: { since: 0, next: passed.at(-1).next, points: passed.flatMap(({ points }) => points) },
      feed: this.feed(items),
    });
    this.handlers.onMove(this);
  }

  feed(items) {
    const next = items.length ? items.at(-1).seq + 1 : 0;
    return { since: items[0]?.seq ?? 0, next, cut: 0, items, shown_of: this.shownOf };
  }
}

/** How many of `entries` (in order) are not later than `at`. */
function upTo(entries, at) {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle].at <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

const lastUpTo = (entries, at) => entries[upTo(entries, at) - 1] ?? null;
