// What another threshold on the score would have done, worked out from the score bins of the results.
// What got no score raises no alert at any threshold.

/** Counts at a threshold: {tp, fp, fn, tn, caughtCents}. */
export function countsAt({ bins, unscored }, threshold) {
  const found = { tp: 0, fp: 0, fn: unscored.fraud, tn: unscored.genuine, caughtCents: 0 };
  bins.low.forEach((low, place) => {
    const alert = low >= threshold - 1e-12;
    found[alert ? "tp" : "fn"] += bins.fraud[place];
    found[alert ? "fp" : "tn"] += bins.genuine[place];
    if (alert) found.caughtCents += bins.fraud_cents[place];
  });
  return found;
}

const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);

/** What `countsAt` needs, or null while there are not both fraud and genuine scores. */
export function whatIf({ scores, detection }) {
  const { bins } = scores;
  if (!bins || !sum(bins.fraud) || !sum(bins.genuine)) return null;
  const own = detection.confusion;
  return {
    bins,
    own: { ...own, caughtCents: detection.caught_cents },
    unscored: { fraud: Math.max(0, own.tp + own.fn - sum(bins.fraud)), genuine: Math.max(0, own.fp + own.tn - sum(bins.genuine)) },
    falsePositiveCents: detection.false_positive_cost_cents,
    valueCents: detection.value_cents,
    start: likeOwn(bins, own.tp + own.fp),
  };
}

/** The threshold that flags about as many as the detector itself did. */
function likeOwn({ low, fraud, genuine }, alerts) {
  let [flagged, best, bestGap] = [0, 1, alerts];
  for (let place = low.length - 1; place >= 0; place -= 1) {
    flagged += fraud[place] + genuine[place];
    const gap = Math.abs(flagged - alerts);
    if (gap < bestGap) [best, bestGap] = [low[place], gap];
  }
  return best;
}
