"""`sophistication` moves what a fixed strong detector finds, by kind, and no single column tells."""

from __future__ import annotations

import numpy as np
import pytest

from banksim.dataset.check.reference import Hardness, made, measured, table
from banksim.dataset.check.sample import GENUINE, Sample
from banksim.dataset.check.separation import columns
from banksim.dataset.check.trees import average_precision

WEEKS = 6
#: Kinds whose average precision falls by at least so much from sophistication 0 to 0.9 (docs/realism.md).
FALLS = {"account_takeover": 0.2, "online_fraud": 0.4, "velocity_attack": 0.2, "mule_network": -0.1}
#: How well one column may rank the fraud among genuine rows of the same kind: area under the ROC curve,
#: 0.5 ± this, and average precision at most so much above the share of fraud (docs/realism.md).
WIDEST, MARGIN = 0.45, 0.25


@pytest.fixture(scope="module")
def sets() -> dict[float, list[Sample]]:
    return {level: [made(seed, level, tuple(FALLS), WEEKS) for seed in (3, 4)] for level in (0.0, 0.9)}


def test_sophistication_moves_what_a_strong_detector_finds(sets: dict[float, list[Sample]]) -> None:
    clumsy, careful = (measured(*sets[level]) for level in (0.0, 0.9))
    for kind, fall in FALLS.items():
        assert clumsy[kind].precision - careful[kind].precision >= fall, kind
        assert careful[kind].precision > 2 * careful[kind].base, kind


def auc(is_fraud: np.ndarray, values: np.ndarray) -> float:  # type: ignore[type-arg]
    """Area under the ROC curve, ties counted half."""
    _, rank = np.unique(values, return_inverse=True)
    genuine, fraud = (np.bincount(rank[mask], minlength=rank.max() + 1) for mask in (~is_fraud, is_fraud))
    below = np.cumsum(genuine) - genuine
    return float((fraud * (below + genuine / 2)).sum() / genuine.sum() / fraud.sum())


def test_no_column_of_the_file_tells_careful_fraud_from_genuine_rows_of_its_kind(
    sets: dict[float, list[Sample]],
) -> None:
    for sample in sets[0.9]:
        known = sample.label_of(GENUINE) | sample.is_fraud
        for kind in np.unique(sample["kind"]):
            mask = known & (sample["kind"] == kind)
            is_fraud = sample.is_fraud[mask]
            if is_fraud.sum() < 50:
                continue
            for name, values in columns(sample).items():
                seen = np.asarray(values, np.float64)[mask]
                assert abs(auc(is_fraud, seen) - 0.5) < WIDEST, (name, int(kind))
                best = max(average_precision(is_fraud, sign * seen) for sign in (1, -1))
                assert best < is_fraud.mean() + MARGIN, (name, int(kind))


def test_the_table_has_a_row_per_kind_and_a_range() -> None:
    one, other = ({"fan_in": Hardness(p, 0.9, 0.5, 0.01)} for p in (0.4, 0.6))
    text = table({0.0: [one, other], 0.9: [{}]})
    assert "| fan_in | 0.50 (0.40–0.60) | 0.90, 0.50 | – | – |" in text
