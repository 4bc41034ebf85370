import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure import Timeline
from banksim.model import At

EVENTS = st.lists(st.floats(0, 500), min_size=1, max_size=120)


def timeline_of(moments: list[float], max_points: int = 16, interval_s: float = 0.1) -> Timeline:
    made = Timeline(interval_s, max_points)
    for moment in moments:
        bucket = made.at(At(moment, moment * 100))
        bucket.sent += 1
        bucket.response.add(moment)
    return made


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.integers(0, 120))
def test_merged_parts_equal_the_whole(moments: list[float], cut: int) -> None:
    merged = Timeline(0.1, 16)
    for part in (moments[:cut], moments[cut:]):
        merged.merge_state(json.loads(json.dumps(timeline_of(part).to_state())))
    whole = timeline_of(moments)
    assert merged.interval_s == whole.interval_s
    assert merged.points() == whole.points()


def test_a_long_run_stays_whole_within_its_bound() -> None:
    timeline = timeline_of([float(second) for second in range(10_000)], max_points=100, interval_s=1.0)
    points = timeline.points()
    assert len(points) <= 100
    assert sum(point["sent"] for point in points) == 10_000
    assert timeline.interval_s == 128
    assert points[1]["wall_s"] == 128 and points[1]["sim_s"] == 12_800


def test_rates_come_from_full_buckets() -> None:
    timeline = timeline_of([0.5] * 4 + [1.5] * 6 + [2.1], interval_s=1.0)
    window = timeline.window(now_s=2.2, length_s=2.0)
    assert window is not None
    bucket, covered_s = window
    assert (bucket.sent, covered_s) == (10, 2.0)


def test_the_first_second_counts_what_it_has() -> None:
    window = timeline_of([0.1, 0.2], interval_s=1.0).window(now_s=0.5, length_s=5.0)
    assert window is not None
    assert (window[0].sent, window[1]) == (2, 0.5)


def test_nothing_seen_has_no_rate_and_no_peak() -> None:
    timeline = Timeline()
    assert timeline.window(10, 5) is None
    assert timeline.peak_tps() is None
    assert timeline.points() == []


def test_unrelated_intervals_refuse_to_merge() -> None:
    with pytest.raises(ValueError, match="intervals"):
        Timeline(1.0).merge_state({"interval_s": 0.7, "buckets": []})


def test_only_recent_buckets_on_request() -> None:
    timeline = timeline_of([0.5, 1.5, 2.5], interval_s=1.0)
    assert [index for index, _ in timeline.to_state(from_s=1.2)["buckets"]] == [1, 2]
