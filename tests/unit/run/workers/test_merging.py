from __future__ import annotations

from typing import Any

import orjson

from banksim.measure import Measures, MeasureSettings
from banksim.model import At
from banksim.run.workers.intake import Merging

SETTINGS = MeasureSettings(interval_s=1.0)


def counted(offered: int, wall_s: float = 0.5) -> Measures:
    measures = Measures(SETTINGS)
    measures.offered(At(wall_s, wall_s * 10), offered)
    return measures


def message(measures: Measures, seq: int, wall_s: float = 1.0, from_s: float = 0.0) -> dict[str, Any]:
    state = {"measures": measures.to_state(from_s), "kafka": None}
    return {"seq": seq, "wall_s": wall_s, "from_s": from_s, "state": orjson.dumps(state)}


def test_the_sum_over_all_workers() -> None:
    merging = Merging(SETTINGS)
    merging.take(0, message(counted(5), 1))
    merging.take(1, message(counted(7), 1))
    assert merging.refresh()
    assert merging.measures.tally.offered == 12
    assert merging.counted_until_s == {0: 1.0, 1: 1.0}


def test_states_are_cumulative_and_old_ones_are_left_out() -> None:
    merging = Merging(SETTINGS)
    merging.take(0, message(counted(9), 3))
    merging.take(0, message(counted(5), 2))
    merging.take(0, message(counted(9), 3))
    merging.refresh()
    assert merging.measures.tally.offered == 9


def test_nothing_new_changes_nothing() -> None:
    merging = Merging(SETTINGS)
    merging.take(0, message(counted(5), 1))
    merging.refresh()
    before = merging.measures
    assert not merging.refresh()
    assert merging.measures is before


def test_the_timeline_is_put_together_from_parts() -> None:
    merging = Merging(SETTINGS)
    measures = counted(5, wall_s=0.5)
    merging.take(0, message(measures, 1, wall_s=1.0))
    merging.refresh()
    measures.offered(At(4.5, 45.0), 3)
    merging.take(0, message(measures, 2, wall_s=5.0, from_s=2.0))
    merging.refresh()
    points = merging.measures.timeline.points()
    assert [(point["wall_s"], point["offered"]) for point in points] == [(0.0, 5), (4.0, 3)]


def test_waiting_parts_that_do_not_overlap_are_all_read() -> None:
    """Two states between two sums, the second without the stretches of the first."""
    merging = Merging(SETTINGS)
    measures = counted(5, wall_s=0.5)
    merging.take(0, message(measures, 1, wall_s=1.0))
    measures.offered(At(9.5, 95.0), 3)
    merging.take(0, message(measures, 2, wall_s=10.0, from_s=6.0))
    merging.refresh()
    assert sum(point["offered"] for point in merging.measures.timeline.points()) == 8
