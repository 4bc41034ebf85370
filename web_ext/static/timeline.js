// The run so far, as points; merged when there are more than a screen can show.
// The same rule as the server's: rates are averaged, counts added, times keep their worst.

const MAX_POINTS = 2400;
const AVERAGED = ["offered_tps", "achieved_tps", "predicted_tps", "cpu_percent", "rss_bytes", "network_bytes_s"];
const ADDED = ["fraud", "fraud_alerted", "false_positives", "alerts", "failed", "unknown", "dropped", "resent", "timeouts", "http_errors"];

export class Timeline {
  constructor() {
    this.points = [];
    this.next = 0;
  }

  replace({ next, points }) {
    this.points = points.slice();
    this.next = next;
  }

  /** Add what is new; points that came twice (a join overlaps with an update) are left out. */
  extend({ since, next, points }) {
    if (next <= this.next) return;
    this.points.push(...points.slice(Math.max(0, this.next - since)));
    this.next = next;
    if (this.points.length > MAX_POINTS) this.points = halve(this.points);
  }
}

export function halve(points) {
  const merged = [];
  for (let index = 0; index < points.length; index += 2) {
    merged.push(index + 1 < points.length ? merge(points[index], points[index + 1]) : points[index]);
  }
  return merged;
}

/** Points of at least `everyS` wall seconds each: neighbours within one stretch become one. */
export function resample(points, everyS) {
  const merged = [];
  let stretch = null;
  for (const point of points) {
    const here = Math.floor(point.wall_s / everyS);
    if (here === stretch) merged.push(merge(merged.pop(), point));
    else merged.push(point);
    stretch = here;
  }
  return merged;
}

function merge(first, second) {
  const point = { ...second };
  for (const name of Object.keys({ ...first, ...second })) {
    if (AVERAGED.includes(name)) point[name] = combine(first[name], second[name], (a, b) => (a + b) / 2);
    else if (ADDED.includes(name)) point[name] = combine(first[name], second[name], (a, b) => a + b);
    else if (name.endsWith("_ms")) point[name] = combine(first[name], second[name], Math.max);
  }
  return point;
}

function combine(first, second, rule) {
  if (first === null || first === undefined) return second ?? null;
  if (second === null || second === undefined) return first;
  return rule(first, second);
}
