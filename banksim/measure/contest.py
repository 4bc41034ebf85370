"""The score of Rinha de Backend 2026, worked out by its own rules from a run of ours.

Source: the contest's docs/en/EVALUATION.md.  The formulas are its; what goes in is not: here customers
come at their own moments, fraud is as rare as the scenario says, and a label is the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log10

#: K, T_max, p99_MIN, p99_MAX, ε_MIN, β, and the share of failures from which nothing counts.
POINTS, LONGEST_MS, LEAST_MS, CUT_MS = 1000.0, 1000.0, 1.0, 2000.0
LEAST_RATE, PENALTY, CUT_SHARE = 0.001, 300.0, 0.15
FLOOR = -3000.0
#: The adapter of its contract.
RINHA = "rinha"


@dataclass(frozen=True, slots=True)
class ContestScore:
    """Points from -6,000 to 6,000, and what they rest on; an error is an answer without a usable score."""

    asked: int
    false_positives: int
    false_negatives: int
    errors: int
    p99_ms: float
    latency_points: float
    detection_points: float

    @property
    def points(self) -> float:
        return self.latency_points + self.detection_points


def rinha_score(
    asked: int, false_positives: int, false_negatives: int, errors: int, p99_ms: float
) -> ContestScore:
    """``asked`` must be above 0; false negatives are frauds approved, not those that got an error."""
    latency = FLOOR if p99_ms > CUT_MS else POINTS * log10(LONGEST_MS / max(p99_ms, LEAST_MS))
    weighted = false_positives + 3 * false_negatives + 5 * errors
    if (false_positives + false_negatives + errors) / asked > CUT_SHARE:
        detection = FLOOR
    else:
        detection = -POINTS * log10(max(weighted / asked, LEAST_RATE)) - PENALTY * log10(1 + weighted)
    return ContestScore(asked, false_positives, false_negatives, errors, p99_ms, latency, detection)
