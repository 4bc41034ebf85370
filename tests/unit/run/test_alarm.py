from __future__ import annotations

import time

import gevent
import pytest

from banksim.run.dispatcher import Alarm


def test_it_returns_on_time() -> None:
    started_s = time.monotonic()
    Alarm().sleep(0.03)
    assert 0.025 <= time.monotonic() - started_s < 0.5


def test_a_ring_ends_the_sleep() -> None:
    alarm = Alarm()
    gevent.spawn_later(0.01, alarm.ring)
    started_s = time.monotonic()
    alarm.sleep(10.0)
    assert time.monotonic() - started_s < 5.0


def test_without_an_end_it_sleeps_until_it_is_rung() -> None:
    alarm = Alarm()
    sleeper = gevent.spawn(alarm.sleep, None)
    gevent.sleep(0.02)
    assert not sleeper.dead
    alarm.ring()
    sleeper.get(timeout=5)


def test_a_ring_reaches_one_sleep_only() -> None:
    alarm = Alarm()
    alarm.ring()  # nobody sleeps
    sleeper = gevent.spawn(alarm.sleep, 10.0)
    gevent.sleep(0)
    for _ in range(3):
        alarm.ring()
    sleeper.get(timeout=5)
    started_s = time.monotonic()
    alarm.sleep(0.03)
    assert time.monotonic() - started_s >= 0.025


def test_a_sleeper_that_is_killed_leaves_the_alarm_usable() -> None:
    alarm = Alarm()
    sleeper = gevent.spawn(alarm.sleep, 10.0)
    gevent.sleep(0)
    alarm.ring()
    sleeper.kill()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        alarm.sleep(10.0)
    alarm.sleep(0.001)
