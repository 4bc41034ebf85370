import json
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure import LatencyHistogram
from banksim.measure.latency import COARSE_BITS, FINE_BITS, MAX_US, percentile_table, whole_us

LATENCIES = st.lists(st.floats(min_value=1.0, max_value=600_000.0), min_size=1, max_size=200)


def histogram_of(values: list[float]) -> LatencyHistogram:
    made = LatencyHistogram()
    for value in values:
        made.add(value)
    return made


@settings(max_examples=60, deadline=None)
@given(LATENCIES, st.sampled_from([0.1, 50.0, 90.0, 99.0, 99.9, 100.0]))
def test_percentiles_are_within_a_thousandth_of_exact(values: list[float], percent: float) -> None:
    exact = sorted(values)[max(1, ceil(percent / 100 * len(values) - 1e-9)) - 1]
    assert histogram_of(values).percentile(percent) == pytest.approx(exact, rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(LATENCIES, st.integers(0, 200))
def test_merging_parts_gives_the_whole(values: list[float], cut: int) -> None:
    merged = histogram_of(values[:cut])
    merged.merge_state(json.loads(json.dumps(histogram_of(values[cut:]).to_state())))
    whole = histogram_of(values)
    assert merged.buckets == whole.buckets
    assert merged.summary() == whole.summary()


def test_every_microsecond_lands_in_a_bucket_that_holds_it() -> None:
    for value_us in [0, 1, 2047, 2048, 2049, 4095, 4096, 65_535, 1_000_000, 3_600_000_000]:
        made = histogram_of([value_us / 1000])
        made.add(10 * value_us / 1000 + 1)  # so that the maximum does not hide the bucket's middle
        assert made.percentile(50) == pytest.approx(value_us / 1000, rel=0.0005)


def test_empty_says_none_not_zero() -> None:
    assert set(LatencyHistogram().figures()) == {0, None}
    assert LatencyHistogram().summary().count == 0
    assert LatencyHistogram().percentile(99) is None


def test_a_negative_lag_counts_as_none_at_all() -> None:
    assert histogram_of([-3.0]).summary().max == 0


def test_mean_and_maximum_are_exact() -> None:
    made = histogram_of([1.5, 2.5, 1000.001])
    assert made.mean_ms == pytest.approx(1004.001 / 3)
    assert made.max_ms == 1000.001


def test_different_resolutions_refuse_to_merge() -> None:
    with pytest.raises(ValueError, match="resolution"):
        LatencyHistogram().merge(LatencyHistogram(6))


ANY_LATENCY = st.lists(st.floats(min_value=-10.0, max_value=1e9), max_size=100)


@settings(max_examples=100, deadline=None)
@given(ANY_LATENCY, st.sampled_from([FINE_BITS, COARSE_BITS]))
def test_many_at_once_count_as_one_by_one(values: list[float], bits: int) -> None:
    one_by_one, at_once = LatencyHistogram(bits), LatencyHistogram(bits)
    for value in values:
        one_by_one.add(value)
    at_once.add_many(whole_us(np.array(values, np.float64)))
    assert at_once.to_state() == one_by_one.to_state()
    assert at_once.count == len(values)


@given(st.integers(0, 2 * MAX_US))
def test_buckets_are_those_of_the_docstring(value_us: int) -> None:
    shift, limited = 0, min(value_us, MAX_US)
    while limited >> shift >= 2048:
        shift += 1
    made = histogram_of([value_us / 1000])
    assert made.buckets == {shift * 1024 + (limited >> shift): 1}
    assert made.max_us == value_us


def test_a_table_of_percentiles_is_that_of_each() -> None:
    many = [LatencyHistogram(COARSE_BITS) for _ in range(3)]
    for value in range(1, 400):
        many[value % 2].add(value**2)
    expected = [one.percentiles((50, 99)) for one in many]
    assert expected[2] == [None, None]
    assert percentile_table(many, (50, 99)) == expected


def test_what_came_since_an_earlier_look() -> None:
    made, before = histogram_of([5.0, 900.0]), histogram_of([5.0])
    assert made.since(before).summary().count == 1
    assert made.since(before).percentile(50) == pytest.approx(900.0, rel=1e-3)
    assert made.since(None).summary() == made.summary()


def test_cumulative_counts_are_added_up_once_for_all_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    made, sums = histogram_of([1.0, 2.0, 3.0]), []
    monkeypatch.setattr(
        np, "cumsum", lambda *args, real=np.cumsum, **named: sums.append(1) or real(*args, **named)
    )
    made.summary()
    made.percentile_ends(50)
    made.count_up_to(2.0)
    assert len(sums) == 1
    made.add(2.0)
    assert made.percentile(75) == pytest.approx(2.0)
    assert len(sums) == 2
