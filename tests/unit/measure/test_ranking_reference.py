"""Ranking figures against scikit-learn's on a million scores: the bins may cost this much and no more."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from banksim.measure.scores import BINS, LOGIT_RANGE, ONE_BIN, ZERO_BIN, ScoreBins, bin_of
from banksim.measure.scores import average_precision as binned_ap
from banksim.measure.scores import roc_auc as binned_auc

GENUINE = 990_000
FRAUD = 10_000


def binned(scores: np.ndarray) -> ScoreBins:
    """The bins of many scores at once; `bin_of` for a million would take seconds."""
    with np.errstate(divide="ignore"):
        logits = np.log(scores / (1.0 - scores))
    positions = np.clip(np.floor((logits + LOGIT_RANGE) * (BINS / (2 * LOGIT_RANGE))) + 1, 1, BINS)
    positions = np.where(scores <= 0, ZERO_BIN, np.where(scores >= 1, ONE_BIN, positions)).astype(int)
    for place in (0, 1, len(scores) // 2, len(scores) - 1):
        assert positions[place] == bin_of(float(scores[place]))
    made = ScoreBins()
    for position, count in zip(*np.unique(positions, return_counts=True), strict=True):
        made.counts[int(position)] = int(count)
        made.cents[int(position)] = 0
    return made


@pytest.mark.parametrize(
    ("fraud_shape", "genuine_shape"),
    [
        ((4.0, 2.0), (1.0, 12.0)),  # a good detector
        ((0.5, 0.5), (0.5, 20.0)),  # scores crowd at both ends
        ((2.0, 6.0), (1.0, 9.0)),  # a poor one
        ((30.0, 0.7), (0.3, 40.0)),  # nearly perfect, almost all near 0 and 1
    ],
)
def test_binned_figures_match_scikit_learn(
    fraud_shape: tuple[float, float], genuine_shape: tuple[float, float]
) -> None:
    rng = np.random.default_rng(20)
    fraud, genuine = rng.beta(*fraud_shape, FRAUD), rng.beta(*genuine_shape, GENUINE)
    labels = np.concatenate([np.ones(FRAUD), np.zeros(GENUINE)])
    scores = np.concatenate([fraud, genuine])
    fraud_bins, genuine_bins = binned(fraud), binned(genuine)
    assert binned_auc(fraud_bins, genuine_bins) == pytest.approx(roc_auc_score(labels, scores), abs=0.0005)
    assert binned_ap(fraud_bins, genuine_bins) == pytest.approx(
        average_precision_score(labels, scores), abs=0.005
    )
