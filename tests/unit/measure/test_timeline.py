import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure import Timeline
from banksim.measure import timeline as module
from banksim.measure.latency import percentile_table
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
    assert sum(point.sent for point in points) == 10_000
    assert timeline.interval_s == 128
    assert points[1].wall_s == 128 and points[1].sim_s == 12_800


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


def test_points_cost_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    timeline, worked_out = timeline_of([float(second) for second in range(300)], 500, 1.0), []

    def counted(histograms: list, percents: tuple) -> list:
        worked_out.append(len(histograms))
        return percentile_table(histograms, percents)

    monkeypatch.setattr(module, "percentile_table", counted)
    before = timeline.points()
    timeline.at(At(299.5, 0.0)).response.add(7.0)
    after = timeline.points()
    assert worked_out == [300, 300, 1, 1]
    assert after[:-1] == before[:-1]
    assert after[-1].p99_ms == pytest.approx(299, rel=0.02)


def test_reserved_memory_is_flat_from_the_start() -> None:
    timeline = Timeline(1.0, 400)
    timeline.reserve()
    timeline.at(At(0.0, 0.0))
    tracemalloc.start()
    for second in range(1, 1_000):  # over two doublings of the length
        timeline.at(At(second, second)).response.add(5.0)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert timeline.interval_s == 4
    assert grown < 100_000  # 400 buckets are 2 MB


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.floats(0, 600))
def test_the_peak_and_recent_points_need_no_look_at_the_whole(moments: list[float], from_s: float) -> None:
    timeline = timeline_of(moments)
    points = timeline.points()
    assert timeline.peak_tps() == max(point.sent for point in points) / timeline.interval_s
    recent = [point for point in points if point.wall_s + point.length_s > from_s]
    assert [point.wall_s for point in timeline.points(from_s)] == pytest.approx(
        [point.wall_s for point in recent]
    )
