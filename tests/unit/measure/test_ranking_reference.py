"""Ranking figures against scikit-learn's, on the scores that real detectors give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from banksim.measure.scores import MAX_EXACT, ScoreCounts, ScoreScale, average_precision, roc_auc

Scores = np.ndarray
Make = Callable[[np.random.Generator, int, bool], Scores]


def beta(fraud: tuple[float, float], genuine: tuple[float, float]) -> Make:
    return lambda rng, count, is_fraud: rng.beta(*(fraud if is_fraud else genuine), count)


def logit(rng: np.random.Generator, count: int, is_fraud: bool) -> Scores:
    """As a logistic regression gives them."""
    return 1 / (1 + np.exp(-rng.normal(0.5 if is_fraud else -4.0, 1.8, count)))


def clumped(rng: np.random.Generator, count: int, is_fraud: bool) -> Scores:
    """As a small decision tree gives them: few values, some a hair apart."""
    leaves = np.array([0.0123, 0.01231, 0.2, 0.20004, 0.5, 0.50001, 0.8, 0.97])
    weights = np.arange(1, 9) if is_fraud else np.arange(8, 0, -1) ** 3
    return rng.choice(leaves, count, p=weights / weights.sum())


def rounded(make: Make, digits: int) -> Make:
    return lambda rng, count, is_fraud: make(rng, count, is_fraud).round(digits)


GOOD, POOR, CROWDED = beta((4, 2), (1, 12)), beta((2, 6), (1, 9)), beta((0.5, 0.5), (0.5, 20))
NEARLY_PERFECT = beta((30.0, 0.7), (0.3, 40.0))
SHAPES: dict[str, Make] = {
    "good": GOOD,
    "poor": POOR,
    "crowded at both ends": CROWDED,
    "nearly perfect": NEARLY_PERFECT,
    "logit": logit,
    "clumped": clumped,
    "all equal": lambda rng, count, is_fraud: np.full(count, 0.5),
    **{f"good, {digits} decimals": rounded(GOOD, digits) for digits in (2, 3, 4)},
    **{f"poor, {digits} decimals": rounded(POOR, digits) for digits in (2, 3, 4)},
    **{f"crowded, {digits} decimals": rounded(CROWDED, digits) for digits in (2, 3, 4)},
    **{f"logit, {digits} decimals": rounded(logit, digits) for digits in (2, 3, 4)},
}


def counted(scale: ScoreScale, scores: Scores) -> ScoreCounts:
    made = scale.counts()
    made.add_many(scale.places_of(scores), np.zeros(len(scores), np.int64))
    return made


def check(make: Make, seed: int, frauds: int, genuine: int) -> None:
    rng = np.random.default_rng(seed)
    fraud, others = make(rng, frauds, True), make(rng, genuine, False)
    labels, scores = np.repeat([1, 0], [frauds, genuine]), np.concatenate([fraud, others])
    auc, ap = roc_auc_score(labels, scores), average_precision_score(labels, scores)
    scale = ScoreScale()
    kinds = counted(scale, fraud), counted(scale, others)
    tolerance = 1e-9 if len(np.unique(scores)) <= MAX_EXACT else None
    assert roc_auc(*kinds) == pytest.approx(auc, abs=tolerance or 0.0005)
    assert average_precision(*kinds) == pytest.approx(ap, abs=tolerance or 0.002)


@pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES.keys())
def test_figures_match_scikit_learn(make: Make) -> None:
    for seed in range(25):
        check(make, seed, 60 + 20 * seed, 20_000)


@pytest.mark.parametrize(
    "make", [GOOD, CROWDED, POOR, NEARLY_PERFECT], ids=["good", "crowded", "poor", "perfect"]
)
def test_figures_match_on_a_million_scores(make: Make) -> None:
    check(make, 20, 10_000, 990_000)
