// The run so far, as points; merged when there are more than a screen can show.
// The same rule as the server's: rates are averaged, counts added, p99 keeps its worst.

const MAX_POINTS = 2400;
const AVERAGED = ["offered_tps", "achieved_tps", "predicted_tps"];
const ADDED = ["fraud", "alerts"];

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

function merge(first, second) {
  const point = { ...second };
  for (const name of AVERAGED) point[name] = combine(first[name], second[name], (a, b) => (a + b) / 2);
  for (const name of ADDED) point[name] = combine(first[name], second[name], (a, b) => a + b);
  point.p99_ms = combine(first.p99_ms, second.p99_ms, Math.max);
  return point;
}

function combine(first, second, rule) {
  if (first === null || first === undefined) return second ?? null;
  if (second === null || second === undefined) return first;
  return rule(first, second);
}
