from __future__ import annotations

import time

import gevent
import pytest

from banksim.run.dispatcher import Wakeup


def test_it_returns_on_time() -> None:
    started_s = time.monotonic()
    Wakeup().sleep(0.03)
    assert 0.025 <= time.monotonic() - started_s < 0.5


def test_a_wake_ends_the_sleep() -> None:
    wakeup = Wakeup()
    gevent.spawn_later(0.01, wakeup.wake)
    started_s = time.monotonic()
    wakeup.sleep(10.0)
    assert time.monotonic() - started_s < 5.0


def test_without_an_end_it_sleeps_until_it_is_woken() -> None:
    wakeup = Wakeup()
    sleeper = gevent.spawn(wakeup.sleep, None)
    gevent.sleep(0.02)
    assert not sleeper.dead
    wakeup.wake()
    sleeper.get(timeout=5)


def test_a_wake_reaches_one_sleep_only() -> None:
    wakeup = Wakeup()
    wakeup.wake()  # nobody sleeps
    sleeper = gevent.spawn(wakeup.sleep, 10.0)
    gevent.sleep(0)
    for _ in range(3):
        wakeup.wake()
    sleeper.get(timeout=5)
    started_s = time.monotonic()
    wakeup.sleep(0.03)
    assert time.monotonic() - started_s >= 0.025


def test_a_sleeper_that_is_killed_leaves_the_wakeup_usable() -> None:
    wakeup = Wakeup()
    sleeper = gevent.spawn(wakeup.sleep, 10.0)
    gevent.sleep(0)
    wakeup.wake()
    sleeper.kill()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        wakeup.sleep(10.0)
    wakeup.sleep(0.001)
