"""Fraud scores in bins that add up, and the ranking figures read from them.

A detector's scores crowd near 0 and 1, where equal bins would lump together what matters;
so the bins are equally wide in log-odds:

    bin 0        exactly 0
    bins 1..512  log-odds from -12 to 12 (0.000006 … 0.999994); beyond goes to the outermost
    bin 513      exactly 1

Each bin holds a count and an amount in integer cents, so workers' bins merge exactly.
ROC-AUC and average precision treat scores of one bin as ties; the error stays under
about 0.0001 (AUC) and 0.005 (AP).  A detector that ranks below 0.000006 loses that ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log
from typing import Any

BINS = 512
LOGIT_RANGE = 12.0
ZERO_BIN = 0
ONE_BIN = BINS + 1
_PER_LOGIT = BINS / (2 * LOGIT_RANGE)


def bin_of(score: float) -> int:
    """The bin of a score; what lies outside 0..1 counts as the nearer end."""
    if score <= 0.0:
        return ZERO_BIN
    if score >= 1.0:
        return ONE_BIN
    position = int((log(score / (1.0 - score)) + LOGIT_RANGE) * _PER_LOGIT) + 1
    return 1 if position < 1 else BINS if position > BINS else position


def middle_of(position: int) -> float:
    """A score in the middle of a bin."""
    if position <= ZERO_BIN:
        return 0.0
    if position >= ONE_BIN:
        return 1.0
    return _score((position - 0.5) / _PER_LOGIT - LOGIT_RANGE)


def low_end_of(position: int) -> float:
    """The lowest score of a bin: the threshold that still flags everything in it."""
    if position <= 1:
        return 0.0
    if position >= ONE_BIN:
        return 1.0
    return _score((position - 1) / _PER_LOGIT - LOGIT_RANGE)


def _score(log_odds: float) -> float:
    return 1.0 / (1.0 + exp(-log_odds))


class ScoreBins:
    """Counts and amounts per score bin, of one kind of transaction."""

    __slots__ = ("cents", "counts")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.cents: dict[int, int] = {}

    def add(self, score: float, amount_cents: int) -> None:
        self.add_to(bin_of(score), amount_cents)

    def add_to(self, position: int, amount_cents: int) -> None:
        """Count a score whose bin is known."""
        self.counts[position] = self.counts.get(position, 0) + 1
        self.cents[position] = self.cents.get(position, 0) + amount_cents

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def merge(self, other: ScoreBins) -> None:
        for position, count in other.counts.items():
            self.counts[position] = self.counts.get(position, 0) + count
            self.cents[position] = self.cents.get(position, 0) + other.cents[position]

    def to_state(self) -> list[list[int]]:
        """[[bin, count, cents], …]."""
        return [[position, count, self.cents[position]] for position, count in self.counts.items()]

    @classmethod
    def from_state(cls, state: Sequence[Sequence[int]]) -> ScoreBins:
        made = cls()
        made.counts = {position: count for position, count, _ in state}
        made.cents = {position: cents for position, _, cents in state}
        return made


def roc_auc(fraud: ScoreBins, genuine: ScoreBins) -> float | None:
    """Chance that a random fraud outscores a random genuine one (ties: half); None if either is empty."""
    positives, negatives = fraud.total, genuine.total
    if not positives or not negatives:
        return None
    below = 0
    doubled = 0
    for position in range(ONE_BIN + 1):
        here = genuine.counts.get(position, 0)
        doubled += fraud.counts.get(position, 0) * (2 * below + here)
        below += here
    return doubled / (2 * positives * negatives)


def average_precision(fraud: ScoreBins, genuine: ScoreBins) -> float | None:
    """Area under precision over recall, by steps (no interpolation); None if either is empty."""
    positives = fraud.total
    if not positives or not genuine.total:
        return None
    hits = flagged = 0
    area = 0.0
    for position in range(ONE_BIN, -1, -1):
        here = fraud.counts.get(position, 0)
        hits += here
        flagged += here + genuine.counts.get(position, 0)
        if here:
            area += here * hits / flagged
    return area / positives


def sweep(fraud: ScoreBins, genuine: ScoreBins, max_points: int = 100) -> list[dict[str, Any]]:
    """What another threshold would have done, from the highest score down.

    Rows of {threshold, recall, precision, false_positive_rate, flagged, false_alerts,
    caught_cents}; empty when either side is.  Thinned to about ``max_points`` rows, the
    last (everything flagged) included.
    """
    positives, negatives = fraud.total, genuine.total
    if not positives or not negatives:
        return []
    rows = []
    hits = false_alerts = caught_cents = 0
    for position in range(ONE_BIN, -1, -1):
        here = (fraud.counts.get(position, 0), genuine.counts.get(position, 0))
        if here == (0, 0):
            continue
        hits += here[0]
        false_alerts += here[1]
        caught_cents += fraud.cents.get(position, 0)
        rows.append(
            {
                "threshold": low_end_of(position),
                "recall": hits / positives,
                "precision": hits / (hits + false_alerts),
                "false_positive_rate": false_alerts / negatives,
                "flagged": hits + false_alerts,
                "false_alerts": false_alerts,
                "caught_cents": caught_cents,
            }
        )
    step = max(1, -(-len(rows) // max_points))
    return [row for place, row in enumerate(rows) if place % step == 0 or place == len(rows) - 1]


def used_bins(fraud: ScoreBins, genuine: ScoreBins) -> dict[str, list[Any]]:
    """The bins in use as parallel lists, lowest score first: {low, fraud, genuine, fraud_cents}.

    Enough to work out what any threshold would have done.
    """
    positions = sorted({*fraud.counts, *genuine.counts})
    return {
        "low": [low_end_of(position) for position in positions],
        "fraud": [fraud.counts.get(position, 0) for position in positions],
        "genuine": [genuine.counts.get(position, 0) for position in positions],
        "fraud_cents": [fraud.cents.get(position, 0) for position in positions],
    }


def histogram(groups: Mapping[str, ScoreBins], bars: int = 20) -> list[dict[str, float]]:
    """Equal-width bars over 0..1 for a chart: {low, high, <group>: count, …} per bar."""
    rows: list[dict[str, float]] = [
        {"low": bar / bars, "high": (bar + 1) / bars} | dict.fromkeys(groups, 0) for bar in range(bars)
    ]
    for name, bins in groups.items():
        for position, count in bins.counts.items():
            rows[min(bars - 1, int(middle_of(position) * bars))][name] += count
    return rows
