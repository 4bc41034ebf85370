from __future__ import annotations

import pytest

from banksim.run.timekeeper import Change, Timekeeper
from banksim.run.workers.messages import ClockState
from banksim.run.workers.worker import ClockSync
from banksim.schedule.clock import Clock


def test_nothing_is_known_before_the_first_answer() -> None:
    assert ClockSync().offset_s == 0.0


def test_the_middle_of_the_round_trip_is_the_masters_moment() -> None:
    sync = ClockSync()
    sync.add(at_s=100.0, master_s=7.0, now_s=100.2)
    assert 7.0 + sync.offset_s == pytest.approx(100.1)


def test_the_quickest_round_trip_is_believed() -> None:
    sync = ClockSync()
    sync.add(100.0, 50.9, 102.0)  # the answer was held up for almost two seconds
    sync.add(110.0, 60.001, 110.002)
    sync.add(120.0, 70.4, 120.5)
    assert sync.offset_s == pytest.approx(50.0, abs=0.001)


def test_a_clock_stepped_back_is_no_negative_round_trip() -> None:
    sync = ClockSync()
    sync.add(100.0, 50.0, 99.0)
    sync.add(100.0, 30.0, 100.1)
    assert sync.offset_s == pytest.approx(50.0), "a round trip of 0 is the quickest there is"


class Follower:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.speeds: list[tuple[float, float]] = []
        self.rates: list[tuple[float, float]] = []
        self.woken = 0

    def change_speed(self, sim_s: float, speed: float) -> None:
        self.speeds.append((sim_s, speed))

    def change_rate(self, sim_s: float, tps: float) -> None:
        self.rates.append((sim_s, tps))

    def clock_changed(self) -> None:
        self.woken += 1


def followed() -> tuple[Timekeeper, Follower]:
    timekeeper, follower = Timekeeper(Clock(1000.0, 1.0)), Follower()
    timekeeper.add(follower)
    return timekeeper, follower


def state(paused: bool, *changes: Change) -> ClockState:
    segments = [(50.0, 0.0, 10.0), (60.0, 100.0, 0.0)]
    return ClockState(run="run-1", segments=segments, speed=10.0, paused=paused, changes=list(changes))


def test_segments_are_turned_into_this_process_time() -> None:
    sync, (timekeeper, follower) = ClockSync(), followed()
    sync.add(at_s=10.0, master_s=50.0, now_s=10.0)
    sync.adopt(state(True), timekeeper)
    clock = timekeeper.clock
    assert (clock.speed, clock.paused) == (10.0, True)
    segments = [(one.wall_s, one.sim_s, one.speed) for one in clock.segments]
    assert segments == [(10.0, 0.0, 10.0), (20.0, 100.0, 0.0)]
    assert timekeeper.origin_s == 10.0
    assert follower.woken == 1


def test_each_change_of_speed_or_rate_is_replayed_once() -> None:
    sync, (timekeeper, follower) = ClockSync(), followed()
    speed, rate, again = Change(100.0, speed=20.0), Change(200.0, tps=40.0), Change(300.0, speed=5.0)
    sync.adopt(state(False, speed), timekeeper)
    sync.adopt(state(False, speed, rate, again), timekeeper)
    assert follower.speeds == [(100.0, 20.0), (300.0, 5.0)]
    assert follower.rates == [(200.0, 40.0)]
