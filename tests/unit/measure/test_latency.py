import json
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure import LatencyHistogram

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
    merged.merge(LatencyHistogram.from_state(json.loads(json.dumps(histogram_of(values[cut:]).to_state()))))
    whole = histogram_of(values)
    assert merged.buckets == whole.buckets
    assert merged.summary() == whole.summary()


def test_every_microsecond_lands_in_a_bucket_that_holds_it() -> None:
    for value_us in [0, 1, 2047, 2048, 2049, 4095, 4096, 65_535, 1_000_000, 3_600_000_000]:
        made = histogram_of([value_us / 1000])
        made.add(10 * value_us / 1000 + 1)  # so that the maximum does not hide the bucket's middle
        assert made.percentile(50) == pytest.approx(value_us / 1000, rel=0.0005)


def test_empty_says_none_not_zero() -> None:
    assert set(LatencyHistogram().summary().values()) == {0, None}
    assert LatencyHistogram().summary()["count"] == 0
    assert LatencyHistogram().percentile(99) is None


def test_a_negative_lag_counts_as_none_at_all() -> None:
    assert histogram_of([-3.0]).summary()["max"] == 0


def test_mean_and_maximum_are_exact() -> None:
    made = histogram_of([1.5, 2.5, 1000.001])
    assert made.mean_ms == pytest.approx(1004.001 / 3)
    assert made.max_ms == 1000.001


def test_different_resolutions_refuse_to_merge() -> None:
    with pytest.raises(ValueError, match="resolution"):
        LatencyHistogram().merge(LatencyHistogram(6))
