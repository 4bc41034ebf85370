// The results, so far or final: more work for the server than the stream, so asked for now and then.

const ASK_EVERY_MS = 4_000;
const OVER = new Set(["finished", "failed"]);

export class ResultsSource {
  /** onNews() is called when there is something new in `results`; onRun() when another run or state is met. */
  constructor({ base, replay }, { onNews, onRun = () => {} }) {
    this.base = base;
    this.replayed = Boolean(replay);
    this.onNews = onNews;
    this.onRun = onRun;
    this.results = null;
    this.askedAt = 0;
    this.askedFor = "";
  }

  async ask(status) {
    // A record has the results of its end only, and they do not change while it is played.
    const key = this.replayed ? status.run_id : `${status.run_id} ${status.state}`;
    const changed = key !== this.askedFor;
    const grows = !this.replayed && !OVER.has(status.state);
    if (!changed && !(grows && Date.now() - this.askedAt > ASK_EVERY_MS)) return;
    [this.askedAt, this.askedFor] = [Date.now(), key];
    if (changed) this.onRun();
    try {
      const query = this.replayed ? `?run=${encodeURIComponent(status.run_id)}` : "";
      const answer = await fetch(`${this.base}/api/results.json${query}`);
      this.results = answer.ok ? await answer.json() : null;
      this.onNews();
    } catch {
      this.askedFor = ""; // the stream tells that the connection is lost; ask again when it is back
    }
  }
}
