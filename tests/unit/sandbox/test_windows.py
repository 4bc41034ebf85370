"""Bounded memories over event time."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.sandbox.detector.memory import (
    LruTable,
    RecentAmounts,
    RecentKeys,
    RecentTimes,
    RunningNormal,
    ramp,
    surprise,
)


def test_the_least_recently_used_goes_first():
    table = LruTable(list, 2)
    table.get("a").append(1)
    table.get("b")
    table.get("a")
    table.get("c")
    assert table.get("a") == [1]
    assert (len(table), table.evicted) == (2, 1)
    table.get("b")
    assert table.evicted == 2, "it was gone"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 500), min_size=1, max_size=40), st.floats(1, 100))
def test_counts_match_a_plain_count_in_any_order(moments, window_s):
    times = RecentTimes(span_s=1_000, maximum=64)
    for moment in moments:
        times.add(moment)
    for at in moments:
        assert times.count(at, window_s) == sum(at - window_s < moment <= at for moment in moments)


def test_times_are_bounded():
    times = RecentTimes(span_s=100, maximum=8)
    for moment in range(50):
        times.add(moment)
    assert times.count(49, 1_000) == 8
    times.add(1_000)
    assert times.count(1_000, 10_000) == 1


def test_keys_are_distinct_forgotten_and_bounded():
    keys = RecentKeys(span_s=100, maximum=3)
    for moment, key in enumerate("aab"):
        keys.add(key, moment)
    assert keys.count_with("c", 3) == 3
    assert keys.count_with("a", 3) == 2
    assert keys.count_with("a", 200) == 1
    for moment, key in enumerate("vwxyz", start=300):
        keys.add(key, moment)
    assert len(keys) == 3


def test_amounts_sum_over_their_window():
    amounts = RecentAmounts(span_s=1_000, maximum=4)
    for moment, key in ((0, "a"), (10, "b"), (20, "a")):
        amounts.add(moment, 5.0 + moment, key)
    assert amounts.total(20, 15) == (40.0, 2, 20)
    assert amounts.total(20, 0.5)[1] == 1
    assert amounts.total(-5, 100) == (0.0, 0, -math.inf)
    assert amounts.paid_by("a", 20, 100) == 25.0
    assert amounts.paid_by("x", 20, 100) == 0.0
    for moment in range(21, 40):
        amounts.add(moment, 1.0)
    assert amounts.total(39, 1_000)[1] == 4


def test_a_running_normal_finds_mean_and_spread_and_shrugs_off_outliers():
    rng = random.Random(1)
    normal = RunningNormal(0.0, 1.0, 5.0, 10_000)
    for _ in range(4_000):
        normal.add(rng.gauss(4.0, 0.5))
    assert normal.mean == pytest.approx(4.0, abs=0.05)
    assert math.sqrt(normal.variance) == pytest.approx(0.5, abs=0.05)
    before = normal.mean
    normal.add(1_000.0)
    assert normal.mean - before < 0.001


def test_surprise_is_zero_at_the_expected_and_bounds_the_poisson_tail():
    assert surprise(3, 3.0) == 0.0
    assert surprise(2, 3.0) == 0.0
    tail = 1 - sum(math.exp(-1.0) / math.factorial(k) for k in range(6))
    assert 10 ** -surprise(6, 1.0) >= tail
    assert surprise(6, 1.0) > 2


def test_ramp():
    assert [ramp(value, 1, 3) for value in (0, 1, 2, 3, 9)] == [0.0, 0.0, 0.5, 1.0, 1.0]
