from __future__ import annotations

import itertools
import random
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.fraud.calendar import Pace


def walk(steps: int, mean_gap_s: float, deadline_s: float, seed: int = 1, **kinds: float) -> list[float]:
    pace = Pace(
        random.Random(seed),
        100.0,
        deadline_s,
        mean_gap_s,
        kinds.get("intensity", 1.0),
        kinds.get("soph", 0.0),
    )
    return [pace.next_moment(steps - nth) for nth in range(steps)]


@settings(max_examples=80)
@given(
    steps=st.integers(1, 200),
    mean_gap_s=st.floats(0.01, 10_000),
    length_s=st.floats(0, 10_000),
    soph=st.floats(0, 1),
    seed=st.integers(0, 50),
)
def test_moments_rise_and_keep_the_deadline(steps, mean_gap_s, length_s, soph, seed):
    moments = walk(steps, mean_gap_s, 100.0 + length_s, seed, soph=soph)
    assert moments[0] == 100.0
    assert moments == sorted(moments)
    assert moments[-1] <= 100.0 + length_s


def test_with_time_to_spare_the_gap_is_the_usual_one_and_intensity_divides_it():
    usual = walk(200, 10.0, 1e9)
    fast = walk(200, 10.0, 1e9, intensity=4.0)
    assert mean(b - a for a, b in itertools.pairwise(usual)) == pytest.approx(10, rel=0.1)
    assert mean(b - a for a, b in itertools.pairwise(fast)) == pytest.approx(2.5, rel=0.1)


def test_squeezed_steps_spread_evenly_instead_of_piling_up():
    """500 steps of a minute in ten minutes: every minute gets about a tenth."""
    moments = walk(500, 60.0, 700.0)
    per_minute = [sum(100 + 60 * m <= at < 160 + 60 * m for at in moments) for m in range(10)]
    assert min(per_minute) > 25
    assert max(per_minute) < 80


def test_careful_people_are_less_regular_than_scripts():
    def spread(soph: float) -> float:
        moments = walk(300, 10.0, 1e9, soph=soph)
        gaps = [b - a for a, b in itertools.pairwise(moments)]
        centre = mean(gaps)
        return mean(abs(gap - centre) for gap in gaps) / centre

    assert spread(1.0) > 2 * spread(0.0)


@settings(max_examples=50)
@given(
    steps=st.integers(1, 60), left=st.integers(0, 60), window_s=st.floats(0.1, 500), seed=st.integers(0, 50)
)
def test_a_burst_stays_in_its_window_and_leaves_time_for_the_rest(steps, left, window_s, seed):
    pace = Pace(random.Random(seed), 0.0, 400.0, 1.0, 1.0, 0.0)
    start_s = pace.next_moment(steps + left)
    moments = [pace.within(start_s + window_s, steps - nth, steps + left - nth) for nth in range(steps)]
    assert moments == sorted(moments)
    assert moments[-1] <= min(window_s, 400.0)
    if left:
        assert moments[-1] < 400.0


def by_night(awake: float, deadline_s: float = 1e9) -> float:
    """Part of steps before six o'clock: an hour apart, in days that begin a quarter of an hour after 0."""
    pace = Pace(random.Random(4), 0.0, deadline_s, 3600.0, 1.0, 0.5, awake, midnight_s=900.0)
    moments = [pace.next_moment(1) for _ in range(2000)]
    assert moments == sorted(moments)
    return mean((at - 900.0) % 86_400 < 6 * 3600 for at in moments)


def test_who_sleeps_acts_by_day():
    assert by_night(0.0) == pytest.approx(0.25, abs=0.03)
    assert by_night(1.0) == 0
    assert 0 < by_night(0.9) < 0.05


def test_a_deadline_in_the_night_is_kept():
    pace = Pace(random.Random(4), 3600.0, 4 * 3600.0, 600.0, 1.0, 1.0, awake=1.0)
    moments = [pace.next_moment(10 - nth) for nth in range(10)]
    assert moments == sorted(moments)
    assert moments[-1] <= 4 * 3600.0
