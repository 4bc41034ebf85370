"""One keeper of time: everything that follows it notices each change, in order and once."""

from __future__ import annotations

import time

import pytest

from banksim.model import At
from banksim.run.timekeeper import Change, Timekeeper
from banksim.schedule.clock import Clock, PiecewiseRate, Segment


class Follower:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def change_speed(self, sim_s: float, speed: float) -> None:
        self.seen.append(f"speed {speed:g} from {sim_s:.0f}")

    def change_rate(self, sim_s: float, tps: float) -> None:
        self.seen.append(f"rate {tps:g}")

    def clock_changed(self) -> None:
        self.seen.append("clock")


def kept(speed: float = 100.0) -> tuple[Timekeeper, Follower]:
    timekeeper, follower = Timekeeper(Clock(3600.0, speed)), Follower()
    timekeeper.add(follower)
    return timekeeper, follower


def test_before_the_start_and_after_the_end_time_stands_still() -> None:
    timekeeper, _ = kept()
    assert timekeeper.now() == At(0.0, 0.0) and not timekeeper.started
    timekeeper.start(time.monotonic() - 2.0)
    timekeeper.end()
    ended = timekeeper.now()
    assert ended.wall_s == pytest.approx(2.0, abs=0.5)
    assert ended.sim_s == pytest.approx(100.0 * ended.wall_s)
    time.sleep(0.01)
    assert timekeeper.now() == ended


def test_a_start_that_lies_ahead_is_no_negative_moment() -> None:
    timekeeper, _ = kept()
    timekeeper.start(time.monotonic() + 10.0)
    assert timekeeper.now() == At(0.0, 0.0)


def test_a_pause_stops_simulated_time_and_what_is_asked_for() -> None:
    timekeeper, follower = kept()
    rate = PiecewiseRate.constant(7.0, 3600.0)
    timekeeper.start(time.monotonic())
    assert timekeeper.asked_tps(rate, 0.0) == 7.0
    timekeeper.pause()
    stood = timekeeper.now().sim_s
    time.sleep(0.01)
    assert timekeeper.now().sim_s == stood
    assert timekeeper.asked_tps(rate, 0.0) == 0.0
    timekeeper.resume()
    time.sleep(0.01)
    assert timekeeper.now().sim_s > stood
    assert follower.seen == ["clock", "clock", "clock"]


def test_another_speed_and_another_rate_reach_every_follower_before_the_clock_changes() -> None:
    timekeeper, follower = kept()
    second = Follower()
    timekeeper.add(second)
    timekeeper.start(time.monotonic())
    timekeeper.set_speed(10.0)
    timekeeper.offer(40.0)
    assert follower.seen == second.seen == ["clock", "speed 10 from 0", "clock", "rate 40", "clock"]
    assert timekeeper.asked_tps(PiecewiseRate.constant(7.0, 3600.0), 0.0) == 40.0
    assert [(change.speed, change.tps) for change in timekeeper.changes] == [(10.0, None), (None, 40.0)]


def test_a_speed_out_of_range_changes_nothing() -> None:
    timekeeper, follower = kept()
    with pytest.raises(ValueError, match="speed"):
        timekeeper.set_speed(0.0)
    assert follower.seen == [] and timekeeper.changes == [] and timekeeper.clock.speed == 100.0


def test_following_another_clock_replays_each_change_once() -> None:
    timekeeper, follower = kept()
    segments = [Segment(50.0, 0.0, 10.0), Segment(60.0, 100.0, 20.0)]
    changes = [Change(100.0, speed=20.0), Change(150.0, tps=9.0)]
    timekeeper.follow(20.0, False, segments, changes[:1])
    timekeeper.follow(20.0, True, segments, changes)
    assert follower.seen == ["speed 20 from 100", "clock", "rate 9", "clock"]
    assert timekeeper.origin_s == 50.0 and timekeeper.clock.paused
    assert timekeeper.at(15.0) == At(15.0, 200.0)


def test_over_is_when_simulated_time_has_passed() -> None:
    timekeeper, _ = kept()
    timekeeper.start(time.monotonic() - 35.0)
    assert not timekeeper.over
    timekeeper.set_speed(10_000.0)
    time.sleep(0.02)
    assert timekeeper.over and timekeeper.now().sim_s == 3600.0


def test_where_rates_follow_the_speed_a_change_of_speed_plans_nothing_anew() -> None:
    timekeeper, follower = Timekeeper(Clock(3600.0, 100.0, rates_follow=True)), Follower()
    timekeeper.add(follower)
    rate = PiecewiseRate.constant(7.0, 3600.0)  # at the speed of the plan
    timekeeper.start(time.monotonic())
    timekeeper.set_speed(300.0)
    assert follower.seen == ["clock", "clock"]  # what was planned comes sooner
    assert timekeeper.asked_tps(rate, 0.0) == pytest.approx(21.0)
    assert timekeeper.changes[-1].speed == 300.0
