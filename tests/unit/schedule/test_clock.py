"""The clock neither loses nor repeats simulated time, whatever is done to it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banksim.schedule.clock import Clock


def started(speed: float = 10.0, duration_s: float = 1000.0) -> Clock:
    clock = Clock(duration_s, speed)
    clock.start(100.0)
    return clock


def test_simulated_time_runs_at_the_speed_from_the_start() -> None:
    clock = started()
    assert [clock.sim_at(w) for w in (50, 100, 101, 110)] == [0, 0, 10, 100]


def test_it_stops_at_the_end() -> None:
    clock = started()
    assert clock.sim_at(1e9) == 1000
    assert clock.finished(200)
    assert not clock.finished(199.9)


def test_a_pause_holds_simulated_time_and_keeps_the_speed() -> None:
    clock = started()
    clock.pause(110)
    assert clock.paused
    assert clock.sim_at(150) == 100
    clock.resume(160)
    assert clock.sim_at(161) == 110


def test_a_speed_set_during_a_pause_counts_from_the_resume() -> None:
    clock = started()
    clock.pause(110)
    clock.set_speed(100, 120)
    assert clock.sim_at(130) == 100
    clock.resume(130)
    assert clock.sim_at(131) == 200


def test_a_moment_ahead_of_a_paused_clock_never_comes() -> None:
    clock = started()
    clock.pause(110)
    assert clock.wall_at(100) == 110
    assert clock.wall_at(101) == math.inf


def test_a_clock_that_has_not_started_stands_at_zero() -> None:
    clock = Clock(1000, 10)
    assert clock.sim_at(123) == 0
    assert clock.wall_at(1) == math.inf


@pytest.mark.parametrize("speed", [0, 0.09, 10_001, float("nan"), -1])
def test_a_speed_out_of_range_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match=r"speed: expected 0\.1 to 10,000"):
        Clock(1000, speed)


ACTIONS = st.lists(
    st.tuples(
        st.floats(0.001, 100),  # wall seconds until it happens
        st.one_of(st.just("pause"), st.just("resume"), st.floats(0.1, 10_000)),
    ),
    max_size=12,
)


@given(ACTIONS)
def test_continuous_and_never_backwards(actions: list[tuple[float, str | float]]) -> None:
    clock = Clock(1e9, 1.0)
    wall_s = 0.0
    clock.start(wall_s)
    expected_sim_s, speed, paused = 0.0, 1.0, False
    for wait_s, action in actions:
        wall_s += wait_s
        expected_sim_s += 0 if paused else wait_s * speed
        before = clock.sim_at(wall_s)
        assert before == pytest.approx(expected_sim_s)
        if action == "pause":
            clock.pause(wall_s)
            paused = True
        elif action == "resume":
            clock.resume(wall_s)
            paused = False
        else:
            speed = float(action)
            clock.set_speed(speed, wall_s)
        assert clock.sim_at(wall_s) == pytest.approx(before)
    if not paused:
        assert clock.sim_at(clock.wall_at(expected_sim_s + 5)) == pytest.approx(expected_sim_s + 5)


@given(ACTIONS)
def test_its_segments_are_its_whole_state(actions: list[tuple[float, str | float]]) -> None:
    clock = Clock(1e9, 1.0)
    wall_s = 0.0
    clock.start(wall_s)
    for wait_s, action in actions:
        wall_s += wait_s
        if action == "pause":
            clock.pause(wall_s)
        elif action == "resume":
            clock.resume(wall_s)
        else:
            clock.set_speed(float(action), wall_s)
    twin = Clock.from_segments(clock.duration_s, clock.speed, clock.paused, clock.segments)
    assert [twin.sim_at(w) for w in range(0, 1200, 7)] == [clock.sim_at(w) for w in range(0, 1200, 7)]


def test_time_that_stood_still_is_known() -> None:
    clock = Clock(1_000.0, 10.0)
    assert clock.paused_s(5.0) == 0
    clock.start(100.0)
    clock.pause(110.0)
    clock.set_speed(20.0, 112.0)
    assert clock.paused_s(113.0) == 3
    clock.resume(115.0)
    clock.pause(120.0)
    assert clock.paused_s(118.0) == 5 and clock.paused_s(121.0) == 6
