"""Arrivals match the integral of the rate, through pauses and changes of speed."""

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.schedule.arrivals import Arrivals, EvenArrivals, PoissonArrivals, make_arrivals
from banksim.schedule.clock import Piece, PiecewiseRate


def all_moments(arrivals: Arrivals) -> list[float]:
    moments = []
    while arrivals.peek() is not None:
        moments.append(arrivals.take())
    return moments


def day(values: list[float], hour_s: float = 3600.0) -> PiecewiseRate:
    return PiecewiseRate(Piece(i * hour_s, (i + 1) * hour_s, v) for i, v in enumerate(values))


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(0, 20), min_size=1, max_size=6), speed=st.floats(5, 500), seed=st.integers())
def test_the_number_in_each_window_matches_the_integral(values: list[float], speed: float, seed: int) -> None:
    rate = day(values)
    moments = all_moments(PoissonArrivals(rate, speed, random.Random(seed)))
    for piece in rate:
        expected = rate.integral(piece.start_s, piece.end_s) / speed
        seen = sum(piece.start_s <= m < piece.end_s for m in moments)
        # 6 standard deviations of a Poisson count: one false positive in some 10^8 windows
        assert abs(seen - expected) <= 6 * math.sqrt(expected) + 6


def test_gaps_are_exponential() -> None:
    # Kolmogorov-Smirnov distance from the exponential distribution: its 0.1 % point is 1.95 / sqrt(n)
    rate = PiecewiseRate.constant(10.0, 2000.0)
    moments = all_moments(PoissonArrivals(rate, 1.0, random.Random(5)))
    gaps = sorted(b - a for a, b in itertools.pairwise(moments))
    n = len(gaps)
    distance = max(
        max(abs((i + 1) / n - f), abs(i / n - f)) for i, f in enumerate(1 - math.exp(-10 * g) for g in gaps)
    )
    assert distance < 1.95 / math.sqrt(n)


def test_even_arrivals_are_evenly_spaced() -> None:
    moments = all_moments(EvenArrivals(PiecewiseRate.constant(2.0, 10.0), 1.0, random.Random(1)))
    assert moments == pytest.approx([0.25 + 0.5 * k for k in range(20)])


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(st.tuples(st.floats(0, 3 * 3600), st.floats(1, 200)), max_size=6),
    values=st.lists(st.floats(0.5, 10), min_size=3, max_size=3),
)
def test_a_change_of_speed_keeps_what_is_left_of_the_gap(
    changes: list[tuple[float, float]], values: list[float]
) -> None:
    # With even arrivals the k-th comes exactly when k+0.5 units of exposure have passed, through all changes.
    rate = day(values)
    arrivals = EvenArrivals(rate, 50.0, random.Random(1))
    moments: list[float] = []
    exposure_at_change, last_s, speed = 0.0, 0.0, 50.0
    for at_s, new_speed in sorted(changes):
        while (moment := arrivals.peek()) is not None and moment <= at_s:
            moments.append(arrivals.take())
        arrivals.change(at_s, new_speed)
        exposure_at_change += rate.integral(last_s, at_s) / speed
        last_s, speed = at_s, new_speed
    moments += all_moments(arrivals)
    total = exposure_at_change + rate.integral(last_s, rate.duration_s) / speed
    assert moments == sorted(moments)
    assert abs(len(moments) - total) <= 0.5 + 1e-6


def test_the_same_seed_gives_the_same_moments() -> None:
    rate = day([5, 1])
    first, second = (all_moments(make_arrivals("poisson", rate, 100, random.Random(3))) for _ in range(2))
    assert first == second
    assert first != all_moments(make_arrivals("poisson", rate, 100, random.Random(4)))


def test_taking_from_an_empty_stream_is_an_error() -> None:
    with pytest.raises(StopIteration):
        make_arrivals("even", PiecewiseRate.constant(0.0, 10.0), 1.0, random.Random(1)).take()


def test_what_fell_due_before_a_change_and_was_not_taken_is_kept() -> None:
    arrivals = EvenArrivals(PiecewiseRate.constant(1.0, 100.0), 1.0, random.Random(1))
    arrivals.take()
    arrivals.change(10.0, 10.0)
    moments = all_moments(arrivals)
    assert moments[:10] == [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 15.0]
    assert len(moments) == 9 + 9, "90 simulated seconds are left, ten to an arrival"


@settings(max_examples=40, deadline=None)
@given(until_s=st.floats(0, 4 * 3600), most=st.integers(0, 500), kind=st.sampled_from(["poisson", "even"]))
def test_skipping_is_taking_one_by_one(until_s: float, most: int, kind: str) -> None:
    rate = day([0.05, 0.0, 0.2, 0.1])
    skipping, taking = (make_arrivals(kind, rate, 2.0, random.Random(5)) for _ in range(2))
    taken = 0
    while taken < most and (moment_s := taking.peek()) is not None and moment_s <= until_s:
        taking.take()
        taken += 1
    assert skipping.skip(until_s, most) == taken
    assert all_moments(skipping) == pytest.approx(all_moments(taking))


def test_what_is_owed_is_skipped_first() -> None:
    arrivals = EvenArrivals(PiecewiseRate.constant(1.0, 100.0), 1.0, random.Random(1))
    arrivals.change(3.0, 1.0)
    assert [arrivals.skip(3.0, 2), arrivals.skip(3.0, 5), arrivals.skip(10.0, 100)] == [2, 1, 7]
    assert arrivals.peek() == 10.5


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.sampled_from([0.0, 0.3, 2.0, 20.0]), min_size=1, max_size=5),
    seed=st.integers(),
    counts=st.lists(st.integers(0, 200), min_size=1, max_size=20),
    kind=st.sampled_from(["poisson", "even"]),
)
def test_many_at_once_are_the_same_as_one_by_one(
    values: list[float], seed: int, counts: list[int], kind: str
) -> None:
    one = make_arrivals(kind, day(values), 10.0, random.Random(seed))
    many = make_arrivals(kind, day(values), 10.0, random.Random(seed))
    for count in counts:
        ahead = many.upcoming(count).tolist()
        taken = many.take_many(count).tolist() if count % 2 else [many.take() for _ in ahead]
        assert ahead == taken == [one.take() for _ in taken]
        assert many.peek() == one.peek()
    assert many.upcoming(10_000_000).tolist() == all_moments(one)


def test_what_was_due_before_a_change_is_still_to_come() -> None:
    """Whoever is a little behind when the speed changes owes all that was due until then."""
    arrivals = EvenArrivals(PiecewiseRate.constant(10.0, 100.0), 1.0, random.Random(1))
    for _ in range(5):
        arrivals.take()  # until 0.45 s
    arrivals.change(1.0, 2.0)
    assert arrivals.upcoming(8).tolist() == pytest.approx([0.55, 0.65, 0.75, 0.85, 0.95, 1.1, 1.3, 1.5])
    assert [arrivals.take() for _ in range(3)] == pytest.approx([0.55, 0.65, 0.75])
    arrivals.change(1.2, 1.0, keep_due=False)
    assert arrivals.peek() == pytest.approx(1.2)
