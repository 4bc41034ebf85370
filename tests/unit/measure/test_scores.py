import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure.figures import SweepRow
from banksim.measure.scores import (
    BINS,
    MAX_EXACT,
    ONE_BIN,
    ScoreCounts,
    ScoreScale,
    average_precision,
    bin_of,
    bins_of,
    histogram,
    low_end_of,
    middle_of,
    roc_auc,
    sweep,
    used_scores,
)


def counted(scores: list[float], scale: ScoreScale | None = None) -> ScoreCounts:
    made = (scale or ScoreScale()).counts()
    for score in scores:
        made.add(score, 100)
    return made


def pair(fraud: list[float], genuine: list[float], bins: bool = False) -> tuple[ScoreCounts, ScoreCounts]:
    """Counts on one scale."""
    scale = ScoreScale()
    if bins:
        scale.use_bins()
    return counted(fraud, scale), counted(genuine, scale)


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


ROUNDED = st.lists(st.integers(0, 1_000).map(lambda number: number / 1_000), min_size=1, max_size=40)
MIDDLES = st.lists(st.integers(0, ONE_BIN).map(middle_of), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.one_of(ROUNDED, MIDDLES), st.one_of(ROUNDED, MIDDLES), st.booleans())
def test_ranking_figures_are_exact(fraud: list[float], genuine: list[float], apart: bool) -> None:
    frauds, others = (counted(fraud), counted(genuine)) if apart else pair(fraud, genuine)
    assert roc_auc(frauds, others) == pytest.approx(brute_force_auc(fraud, genuine))
    assert average_precision(frauds, others) == pytest.approx(brute_force_ap(fraud, genuine))


@settings(max_examples=60, deadline=None)
@given(MIDDLES, MIDDLES)
def test_ranking_figures_are_exact_on_binned_scores(fraud: list[float], genuine: list[float]) -> None:
    frauds, others = pair(fraud, genuine, bins=True)
    assert roc_auc(frauds, others) == pytest.approx(brute_force_auc(fraud, genuine))
    assert average_precision(frauds, others) == pytest.approx(brute_force_ap(fraud, genuine))


@pytest.mark.parametrize(("fraud_shape", "genuine_shape"), [((4, 2), (1, 12)), ((0.5, 0.5), (0.5, 20))])
def test_ranking_figures_in_bins_are_close_on_raw_scores(
    fraud_shape: tuple[float, float], genuine_shape: tuple[float, float]
) -> None:
    rng = random.Random(7)
    fraud = [rng.betavariate(*fraud_shape) for _ in range(150)]
    genuine = [rng.betavariate(*genuine_shape) for _ in range(3_000)]
    frauds, others = pair(fraud, genuine, bins=True)
    assert roc_auc(frauds, others) == pytest.approx(brute_force_auc(fraud, genuine), abs=2e-4)
    assert average_precision(frauds, others) == pytest.approx(brute_force_ap(fraud, genuine), abs=2e-3)


#: More different scores than are kept exactly, in an order that tells nothing.
MANY = [number / (MAX_EXACT + 1_000) for number in range(MAX_EXACT + 1_000)]
random.Random(3).shuffle(MANY)


def state_of(scores: ScoreCounts) -> dict[str, object]:
    order, lows, _ = scores.scale.lowest_first()
    used = scores.counts[order] > 0
    return {
        "exact": scores.scale.values is not None,
        "lows": lows[used].tolist(),
        "counts": scores.counts[order][used].tolist(),
        "cents": scores.cents[order][used].tolist(),
    }


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, len(MANY)), st.integers(0, len(MANY)), st.integers(1, 6), st.randoms(use_true_random=False)
)
def test_parts_merge_into_the_whole_in_any_order(
    start: int, stop: int, workers: int, rng: random.Random
) -> None:
    scores = [*MANY[start:stop], 0.0, 0.25, 0.25, 1.0]
    parts = [ScoreScale().counts() for _ in range(workers)]
    for score in scores:
        rng.choice(parts).add(score, 7)
    rng.shuffle(parts)
    merged = ScoreScale().counts()
    for part in parts:
        merged.merge_state(*json.loads(json.dumps([part.to_state(), part.scale.values])))
    whole = ScoreScale().counts()
    for score in scores:
        whole.add(score, 7)
    assert state_of(merged) == state_of(whole)
    assert (whole.scale.values is not None) == (len(set(scores)) <= MAX_EXACT)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-0.5, 1.5), max_size=50), st.integers(0, 60))
def test_many_at_once_are_counted_as_one_by_one(scores: list[float], before: int) -> None:
    first = MANY[: MAX_EXACT - before] if before < 30 else []  # some turn to bins on the way
    one_by_one, at_once = counted(first), counted(first)
    for score in scores:
        one_by_one.add(score, 9)
    places = at_once.scale.places_of(np.array(scores, np.float64))
    at_once.add_many(places, np.full(len(scores), 9))
    assert state_of(at_once) == state_of(one_by_one)


def test_kinds_of_transactions_turn_to_bins_together() -> None:
    scale = ScoreScale()
    fraud, genuine = counted([0.9123, 0.9124], scale), counted([0.1], scale)
    assert roc_auc(fraud, genuine) == 1
    for score in MANY:
        genuine.add(score, 100)
    assert fraud.total == 2 and genuine.total == 1 + len(MANY)
    assert used_scores(fraud, genuine).low[-1] == low_end_of(bin_of(max(MANY)))
    assert [scale.place_of(score) for score in (0.9123, 0.1)] == [bin_of(0.9123), bin_of(0.1)]


def test_exact_ends_have_bins_of_their_own() -> None:
    assert bin_of(0.0) == 0
    assert bin_of(1.0) == ONE_BIN
    assert bin_of(1e-12) == 1
    assert bin_of(1 - 1e-12) == BINS
    assert bin_of(-0.5) == 0 and bin_of(1.5) == ONE_BIN


@given(st.floats(0, 1))
def test_a_bin_holds_its_scores(score: float) -> None:
    position = bin_of(score)
    assert bins_of(np.array([score])).tolist() == [position]
    assert low_end_of(position) <= score * (1 + 1e-9)
    assert bin_of(middle_of(position)) == position


def test_nothing_to_rank_gives_none() -> None:
    some, none = counted([0.5]), ScoreScale().counts()
    assert roc_auc(none, some) is None
    assert average_precision(some, none) is None
    assert sweep(none, some) == []


def test_sweep_ends_with_everything_flagged() -> None:
    rows = sweep(*pair([0.9, 0.8, 0.2], [0.1] * 9 + [0.85]), max_points=3)
    assert rows[-1].recall == 1 and rows[-1].false_positive_rate == 1
    assert rows[0] == SweepRow(
        threshold=0.9,
        recall=pytest.approx(1 / 3),
        precision=1,
        false_positive_rate=0,
        flagged=1,
        false_positives=0,
        caught_cents=100,
    )


def test_histogram_bars_hold_every_score() -> None:
    rows = histogram(counted([0.0, 0.97, 1.0]), counted([0.01]), bars=10)
    assert [row.fraud for row in rows] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert rows[0].genuine == 1
