import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure.scores import (
    BINS,
    ONE_BIN,
    ScoreBins,
    average_precision,
    bin_of,
    histogram,
    low_end_of,
    middle_of,
    roc_auc,
    sweep,
)


def bins_of(scores: list[float]) -> ScoreBins:
    made = ScoreBins()
    for score in scores:
        made.add(score, 100)
    return made


def brute_force_auc(fraud: list[float], genuine: list[float]) -> float:
    wins = sum((f > g) + 0.5 * (f == g) for f in fraud for g in genuine)
    return wins / (len(fraud) * len(genuine))


def brute_force_ap(fraud: list[float], genuine: list[float]) -> float:
    area, recall = 0.0, 0.0
    for threshold in sorted({*fraud, *genuine}, reverse=True):
        hits = sum(f >= threshold for f in fraud)
        flagged = hits + sum(g >= threshold for g in genuine)
        area += (hits / len(fraud) - recall) * hits / flagged
        recall = hits / len(fraud)
    return area


SCORES = st.lists(st.integers(0, ONE_BIN).map(middle_of), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES)
def test_ranking_figures_are_exact_on_binned_scores(fraud: list[float], genuine: list[float]) -> None:
    assert roc_auc(bins_of(fraud), bins_of(genuine)) == pytest.approx(brute_force_auc(fraud, genuine))
    assert average_precision(bins_of(fraud), bins_of(genuine)) == pytest.approx(
        brute_force_ap(fraud, genuine)
    )


@pytest.mark.parametrize(("fraud_shape", "genuine_shape"), [((4, 2), (1, 12)), ((0.5, 0.5), (0.5, 20))])
def test_ranking_figures_are_close_on_raw_scores(
    fraud_shape: tuple[float, float], genuine_shape: tuple[float, float]
) -> None:
    rng = random.Random(7)
    fraud = [rng.betavariate(*fraud_shape) for _ in range(150)]
    genuine = [rng.betavariate(*genuine_shape) for _ in range(3_000)]
    assert roc_auc(bins_of(fraud), bins_of(genuine)) == pytest.approx(
        brute_force_auc(fraud, genuine), abs=2e-4
    )
    assert average_precision(bins_of(fraud), bins_of(genuine)) == pytest.approx(
        brute_force_ap(fraud, genuine), abs=5e-3
    )


def test_exact_ends_have_bins_of_their_own() -> None:
    assert bin_of(0.0) == 0
    assert bin_of(1.0) == ONE_BIN
    assert bin_of(1e-12) == 1
    assert bin_of(1 - 1e-12) == BINS
    assert bin_of(-0.5) == 0 and bin_of(1.5) == ONE_BIN


@given(st.floats(0, 1))
def test_a_bin_holds_its_scores(score: float) -> None:
    position = bin_of(score)
    assert low_end_of(position) <= score * (1 + 1e-9)
    assert bin_of(middle_of(position)) == position


def test_nothing_to_rank_gives_none() -> None:
    some = bins_of([0.5])
    assert roc_auc(ScoreBins(), some) is None
    assert average_precision(some, ScoreBins()) is None
    assert sweep(ScoreBins(), some) == []


def test_sweep_ends_with_everything_flagged() -> None:
    rows = sweep(bins_of([0.9, 0.8, 0.2]), bins_of([0.1] * 9 + [0.85]), max_points=3)
    assert rows[-1]["recall"] == 1 and rows[-1]["false_positive_rate"] == 1
    assert rows[0] == {
        "threshold": low_end_of(bin_of(0.9)),
        "recall": pytest.approx(1 / 3),
        "precision": 1,
        "false_positive_rate": 0,
        "flagged": 1,
        "false_alerts": 0,
        "caught_cents": 100,
    }


def test_histogram_bars_hold_every_score() -> None:
    rows = histogram({"fraud": bins_of([0.0, 0.97, 1.0]), "genuine": bins_of([0.01])}, bars=10)
    assert [row["fraud"] for row in rows] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert rows[0]["genuine"] == 1
