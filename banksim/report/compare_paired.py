"""Recall paired by campaign: both runs attacked with the same campaigns, so compare like with like.

With m campaigns that both runs know, n transactions and a alerts in each, the difference of
the two recalls is a difference of ratios.  Its variance is linearised per campaign (Taylor;
the cluster is the campaign), and the interval uses Student's t with m − 1 degrees of freedom:

    e_i = (b_i − r_B · n_Bi) / N_B − (a_i − r_A · n_Ai) / N_A
    var = m / (m − 1) · Σ e_i²

results.json keeps at most a hundred campaigns (the costliest); with fewer than ten shared ones,
or when the shared ones hold less than 90 % of the fraud, the runs are compared as independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from banksim.measure.intervals import Z_95

MIN_CAMPAIGNS = 10
MIN_SHARE_OF_FRAUD = 0.9


def paired_recall(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """(difference, low, high) of recall, b − a, over shared campaigns; None when there are too few.

    Campaigns' transactions include those the detector was never asked about, so this is only used
    when there were none.
    """
    if a["detection"]["unasked"] or b["detection"]["unasked"]:
        return None
    rows_a, rows_b = _campaigns(a), _campaigns(b)
    shared = sorted(rows_a.keys() & rows_b.keys())
    if len(shared) < MIN_CAMPAIGNS:
        return None
    n_a, n_b = (sum(rows[name][0] for name in shared) for rows in (rows_a, rows_b))
    for results, sent in ((a, n_a), (b, n_b)):
        if sent < MIN_SHARE_OF_FRAUD * results["fraud"]["transactions"]:
            return None
    recall_a, recall_b = (
        sum(rows[name][1] for name in shared) / n for rows, n in ((rows_a, n_a), (rows_b, n_b))
    )
    squares = 0.0
    for name in shared:
        (sent_a, caught_a), (sent_b, caught_b) = rows_a[name], rows_b[name]
        residual = (caught_b - recall_b * sent_b) / n_b - (caught_a - recall_a * sent_a) / n_a
        squares += residual * residual
    half = student_t_95(len(shared) - 1) * sqrt(squares * len(shared) / (len(shared) - 1))
    moved = recall_b - recall_a
    return moved, moved - half, moved + half


def student_t_95(degrees: int) -> float:
    """The 97.5 % point of Student's t, by Fisher's expansion: within 0.001 from 9 degrees on."""
    z, v = Z_95, float(degrees)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def _campaigns(results: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    return {row["campaign"]: (row["transactions"], row["alerted"]) for row in results["fraud"]["campaigns"]}
