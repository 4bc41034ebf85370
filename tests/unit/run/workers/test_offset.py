from __future__ import annotations

import pytest

from banksim.run.workers.messages import Offset


def test_nothing_is_known_before_the_first_answer() -> None:
    offset = Offset()
    assert not offset.known
    assert offset.to_here(5.0) == 5.0
    assert offset.error_ms is None


def test_the_middle_of_the_round_trip_is_the_masters_moment() -> None:
    offset = Offset()
    offset.add(at_s=100.0, master_s=7.0, now_s=100.2)
    assert offset.to_here(7.0) == pytest.approx(100.1)
    assert offset.error_ms == pytest.approx(100.0)


def test_the_quickest_round_trip_is_believed() -> None:
    offset = Offset()
    offset.add(100.0, 50.9, 102.0)  # the answer was held up for almost two seconds
    offset.add(110.0, 60.001, 110.002)
    offset.add(120.0, 70.4, 120.5)
    assert offset.offset_s == pytest.approx(50.0, abs=0.001)


def test_a_clock_stepped_back_is_no_negative_round_trip() -> None:
    offset = Offset()
    offset.add(100.0, 50.0, 99.0)
    assert offset.error_ms == 0.0
