"""Detection by persona or by channel: is one kind of customer watched worse than another?

Only counts, no score bins, so a slice costs five integers.  Transactions that the detector
was never asked about are counted and kept out of both rates, as in detection.py.

Bound: ``limit`` names have a line of their own, further ones share "other".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from banksim.measure.intervals import share, wilson

OTHER = "other"
MAX_SLICES = 64

_FRAUD, _CAUGHT, _HONEST, _FALSE, _UNASKED = range(5)


class Slices:
    """Counts by one property of a transaction."""

    __slots__ = ("_limit", "counts")

    def __init__(self, limit: int = MAX_SLICES) -> None:
        self._limit = limit
        self.counts: dict[str, list[int]] = {}

    def add(self, name: str, fraud: bool, asked: bool, alert: bool) -> None:
        """Count one finished transaction."""
        counts = self.counts.get(name) or self._line(name)
        if not asked:
            counts[_UNASKED] += 1
        elif fraud:
            counts[_FRAUD] += 1
            counts[_CAUGHT] += alert
        else:
            counts[_HONEST] += 1
            counts[_FALSE] += alert

    def _line(self, name: str) -> list[int]:
        if name not in self.counts and len(self.counts) >= self._limit:
            name = OTHER
        return self.counts.setdefault(name, [0] * 5)

    def rows(self) -> dict[str, dict[str, Any]]:
        """By name: transactions, fraud, caught, recall, honest, false_alerts, false_positive_rate, ends."""
        return {name: _row(counts) for name, counts in sorted(self.counts.items())}

    def merge_state(self, state: Mapping[str, Sequence[int]]) -> None:
        for name, theirs in state.items():
            mine = self._line(name)
            for place, value in enumerate(theirs):
                mine[place] += value

    def to_state(self) -> dict[str, list[int]]:
        return {name: list(counts) for name, counts in self.counts.items()}


def _row(counts: Sequence[int]) -> dict[str, Any]:
    fraud, caught, honest, false_alerts, unasked = counts
    recall_low, recall_high = wilson(caught, fraud) or (None, None)
    fpr_low, fpr_high = wilson(false_alerts, honest) or (None, None)
    return {
        "transactions": fraud + honest + unasked,
        "fraud": fraud,
        "caught": caught,
        "recall": share(caught, fraud),
        "recall_low": recall_low,
        "recall_high": recall_high,
        "honest": honest,
        "false_alerts": false_alerts,
        "false_positive_rate": share(false_alerts, honest),
        "false_positive_rate_low": fpr_low,
        "false_positive_rate_high": fpr_high,
        "unasked": unasked,
    }
