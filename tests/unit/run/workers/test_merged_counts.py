from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import orjson
import pytest

from banksim.measure import Measures, MeasureSettings
from banksim.measure.results import Account
from banksim.model import At
from banksim.run.workers.intake import MergedCounts
from banksim.run.workers.members import MAX_WORKERS
from banksim.run.workers.messages import Final, State

SETTINGS = MeasureSettings(interval_s=1.0)


def counted(offered: int, wall_s: float = 0.5) -> Measures:
    measures = Measures(SETTINGS)
    measures.offered(At(wall_s, wall_s * 10), offered)
    return measures


def content(measures: Measures, from_s: float = 0.0) -> bytes:
    return orjson.dumps({"measures": measures.to_state(from_s), "kafka": None})


def message(measures: Measures, seq: int, wall_s: float = 1.0, from_s: float = 0.0) -> State:
    counts = content(measures, from_s)
    return State(run="run-1", seq=seq, wall_s=wall_s, from_s=from_s, counts=counts, targets=[])


def final(measures: Measures, seq: int) -> Final:
    return Final(
        run="run-1", seq=seq, wall_s=1.0, counts=content(measures), end="completed", account=Account()
    )


def test_the_sum_over_all_workers() -> None:
    merging = MergedCounts(SETTINGS)
    merging.take(0, message(counted(5), 1))
    merging.take(1, message(counted(7), 1))
    assert merging.refresh()
    assert merging.measures.tally.offered == 12
    assert merging.counted_until_s == {0: 1.0, 1: 1.0}


def test_states_are_cumulative_and_old_ones_are_left_out() -> None:
    merging = MergedCounts(SETTINGS)
    merging.take(0, message(counted(9), 3))
    merging.take(0, message(counted(5), 2))
    merging.take(0, message(counted(9), 3))
    merging.refresh()
    assert merging.measures.tally.offered == 9


def test_nothing_new_changes_nothing() -> None:
    merging = MergedCounts(SETTINGS)
    merging.take(0, message(counted(5), 1))
    merging.refresh()
    before = merging.measures
    assert not merging.refresh()
    assert merging.measures is before


def test_the_timeline_is_put_together_from_parts() -> None:
    merging = MergedCounts(SETTINGS)
    measures = counted(5, wall_s=0.5)
    merging.take(0, message(measures, 1, wall_s=1.0))
    merging.refresh()
    measures.offered(At(4.5, 45.0), 3)
    merging.take(0, message(measures, 2, wall_s=5.0, from_s=2.0))
    merging.refresh()
    points = merging.measures.timeline.points()
    assert [(point.wall_s, point.offered) for point in points] == [(0.0, 5), (4.0, 3)]


def test_waiting_parts_that_do_not_overlap_are_all_read() -> None:
    """Two states between two sums, the second without the stretches of the first."""
    merging = MergedCounts(SETTINGS)
    measures = counted(5, wall_s=0.5)
    merging.take(0, message(measures, 1, wall_s=1.0))
    measures.offered(At(9.5, 95.0), 3)
    merging.take(0, message(measures, 2, wall_s=10.0, from_s=6.0))
    merging.refresh()
    assert sum(point.offered for point in merging.measures.timeline.points()) == 8


def slow(merging: MergedCounts, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.2) -> None:
    """Every sum takes so long that something can happen meanwhile."""
    fast: Callable[..., Measures] = merging._sum

    def sum_up(waiting: Any) -> Measures:
        time.sleep(seconds)
        return fast(waiting)

    monkeypatch.setattr(merging, "_sum", sum_up)


def with_books(offered: int) -> Measures:
    measures = counted(offered)
    measures.books.open("account-1", 0)
    measures.books.credited("account-1", 130_00, certain=True)
    return measures


def test_a_final_outlives_a_kill_in_the_middle_of_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    merging = MergedCounts(SETTINGS)
    slow(merging, monkeypatch)
    merging.take(0, message(counted(5), 1))
    merging.take_final(1, final(with_books(7), 1))
    summing = gevent.spawn(merging.refresh)
    gevent.sleep(0.05)
    summing.kill()
    assert merging.refresh()
    assert merging.measures.tally.offered == 12
    assert merging.measures.books.opening == {"account-1": 0}
    assert not merging.refresh(), "nothing is added up for ever"


def test_what_arrives_during_a_sum_is_in_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    merging = MergedCounts(SETTINGS)
    slow(merging, monkeypatch)
    merging.take(0, message(counted(5), 1))
    summing = gevent.spawn(merging.refresh)
    gevent.sleep(0.05)
    merging.take_final(0, final(with_books(7), 2))
    summing.join()
    assert merging.refresh()
    assert merging.measures.tally.offered == 7
    assert merging.measures.books.range_of("account-1") == (130_00, 130_00)


def test_two_sums_at_once_are_made_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    merging = MergedCounts(SETTINGS)
    slow(merging, monkeypatch, 0.1)
    merging.take(0, message(counted(5), 1))
    first = gevent.spawn(merging.refresh)
    gevent.sleep(0.02)
    merging.take(0, message(counted(9), 2))
    assert merging.refresh()
    assert first.value is True
    assert merging.measures.tally.offered == 9


def test_a_state_after_the_final_does_not_push_it_out() -> None:
    """A worker's reporter may send one more state before it learns that its final has arrived."""
    merging = MergedCounts(SETTINGS)
    merging.take_final(0, final(with_books(7), 2))
    merging.take(0, message(counted(7), 3))
    merging.refresh()
    assert merging.measures.books.opening == {"account-1": 0}


def of_another_build(**changes: object) -> bytes:
    """Counts that have every key, one of them in another form."""
    return orjson.dumps({"measures": Measures(SETTINGS).to_state() | changes, "kafka": None})


@pytest.mark.parametrize(
    "counts",
    [
        b"",
        b"[]",
        b"{}",
        b'{"measures": {"tally": []}, "kafka": null}',
        of_another_build(tally=[1, 2, 3]),
        of_another_build(timeline={"interval_s": 1.0, "buckets": [[0, [0.0, [1, 2]]]]}),
        of_another_build(timeline={"interval_s": 0.3, "buckets": [[0, []]]}),
        of_another_build(warm=None),
        of_another_build(generator="busy"),
    ],
)
def test_counts_that_cannot_be_read_are_counted_and_left_out(counts: bytes) -> None:
    merging = MergedCounts(SETTINGS)
    merging.take(0, message(counted(5), 1))
    merging.take(1, State(run="run-1", seq=1, wall_s=1.0, from_s=0.0, counts=counts, targets=[]))
    assert merging.refresh()
    assert merging.measures.tally.offered == 5
    assert merging.unreadable == 1


def test_states_of_too_many_workers_are_counted() -> None:
    merging = MergedCounts(SETTINGS)
    for number in range(MAX_WORKERS + 2):
        merging.take(number, message(counted(0), 1))
    merging.refresh()
    assert merging.uncounted == 2


@pytest.mark.parametrize("odd", ["ragged", "mixed"])
def test_counts_that_do_not_fit_those_of_others_stop_no_merging(
    odd: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another build's counts can be read by themselves and still not be added to the others'."""
    merge = Measures.merge

    def strict(self: Measures, state: dict[str, Any]) -> None:
        if state.get("build") and self.tally.offered:
            raise {"ragged": ValueError("zip() argument 2 is shorter"), "mixed": TypeError("list + int")}[odd]
        merge(self, state)

    monkeypatch.setattr(Measures, "merge", strict)
    foreign = orjson.dumps({"measures": counted(7).to_state() | {"build": "other"}, "kafka": None})
    merging = MergedCounts(SETTINGS)
    merging.take(0, message(counted(5), 1))
    merging.take(1, State(run="run-1", seq=1, wall_s=1.0, from_s=0.0, counts=foreign, targets=[]))
    assert merging.refresh()
    assert merging.measures.tally.offered == 5
    merging.take(0, message(counted(9), 2))
    assert merging.refresh()
    assert merging.measures.tally.offered == 9
    assert sum(bucket.offered for bucket in merging.measures.timeline.buckets.values()) == 9
    assert merging.unreadable == 1
    assert len(caplog.records) == 1
    assert "worker 1" in caplog.text
