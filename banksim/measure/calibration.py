"""Calibration: of the transactions scored about 0.8, are about 80 % fraud?

Scores are put into equal-width groups; within each the mean score is set against the share
that is fraud.  The expected calibration error (ECE) is the mean gap, weighted by how many
fall into each group.  It holds for the share of fraud that was *sent*: a detector calibrated
for production looks over-confident or under-confident when the run sends more or less fraud.
Mean scores come from bin middles (within 0.012 of the true score).
"""

from __future__ import annotations

from typing import Any

from banksim.measure.scores import ScoreBins, middle_of

GROUPS = 10


def calibration(fraud: ScoreBins, honest: ScoreBins, groups: int = GROUPS) -> dict[str, Any]:
    """{"error": ECE, "groups": [{low, high, scored, fraud, mean_score, fraud_share}]}.

    The error is None unless both fraud and honest transactions were scored; groups without a
    score have None in place of means.
    """
    scored, frauds, sums = [0] * groups, [0] * groups, [0.0] * groups
    for bins, is_fraud in ((fraud, True), (honest, False)):
        for position, number in sorted(bins.counts.items()):  # the same sum in any order of merging
            middle = middle_of(position)
            group = min(groups - 1, int(middle * groups))
            scored[group] += number
            sums[group] += middle * number
            frauds[group] += number if is_fraud else 0
    rows: list[dict[str, Any]] = [
        {
            "low": group / groups,
            "high": (group + 1) / groups,
            "scored": number,
            "fraud": frauds[group],
            "mean_score": sums[group] / number if number else None,
            "fraud_share": frauds[group] / number if number else None,
        }
        for group, number in enumerate(scored)
    ]
    total = sum(scored)
    both = fraud.total and honest.total
    error = sum(
        row["scored"] / total * abs(row["mean_score"] - row["fraud_share"]) for row in rows if row["scored"]
    )
    return {"error": error if both else None, "groups": rows}
