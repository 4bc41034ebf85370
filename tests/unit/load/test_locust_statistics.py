"""Collected calls give Locust the figures that firing its event for each would have given."""

from __future__ import annotations

import random
from typing import Any

import pytest
from locust.env import Environment
from locust.event import Events
from locust.stats import StatsEntry

from banksim.load import session as locust_statistics
from banksim.load.session import LocustStatistics
from banksim.model import At
from banksim.targets import Call

AT = At(0.0, 0.0)

#: What must agree; the caches hold copies of these by second.
FIGURES = (
    "num_requests",
    "num_none_requests",
    "num_failures",
    "min_response_time",
    "max_response_time",
    "total_content_length",
    "num_reqs_per_sec",
    "num_fail_per_sec",
    "response_times",
)


class Wall:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def time(self) -> float:
        return self.now_s


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    made = Wall()
    monkeypatch.setattr("locust.stats.time", made)
    monkeypatch.setattr(locust_statistics, "time", made)
    return made


def environment() -> Environment:
    made = Environment(events=Events())
    made.create_local_runner()
    return made


def call(name: str, latency_ms: float, error: str | None = None, sent: bool = True) -> Call:
    return Call("nexum", "POST", name, latency_ms, None if error else 200, 500, 250, error, sent)


def figures(entry: StatsEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in FIGURES}


def test_it_agrees_with_firing(wall: Wall) -> None:
    rng = random.Random(3)
    collected, fired = environment(), environment()
    fired.events.request.add_listener(lambda **_: None)  # so that this one fires each
    lots, single = LocustStatistics(collected), LocustStatistics(fired)
    for _ in range(3_000):
        wall.now_s += rng.expovariate(500.0)
        error = "reset" if rng.random() < 0.02 else None
        one = call(rng.choice(("/score", "/transactions/deposit")), rng.expovariate(0.02), error)
        lots.called(AT, (one,))
        single.called(AT, (one,))
    lots.enter()
    assert set(collected.stats.entries) == set(fired.stats.entries)
    pairs = [(entry, fired.stats.entries[key]) for key, entry in collected.stats.entries.items()]
    for ours, theirs in [*pairs, (collected.stats.total, fired.stats.total)]:
        assert figures(ours) == figures(theirs)
        assert ours.last_request_timestamp == pytest.approx(theirs.last_request_timestamp, abs=0.1)
        assert ours.total_response_time == pytest.approx(theirs.total_response_time)
    assert collected.stats.total.response_times_cache
    assert set(collected.stats.errors) == set(fired.stats.errors)


def test_a_listener_hears_every_call(wall: Wall) -> None:
    heard: list[str] = []
    env = environment()
    statistics = LocustStatistics(env)
    statistics.called(AT, [call("/before", 1.0)])
    env.events.request.add_listener(lambda name, **_: heard.append(name))
    statistics.called(AT, [call("/after", 1.0)])
    assert heard == ["/after"]


def test_failed_and_unsent_calls_are_entered_at_once(wall: Wall) -> None:
    env = environment()
    statistics = LocustStatistics(env)
    statistics.called(AT, [call("/score", 3.0, "reset"), call("/score", 0.0, "circuit open", sent=False)])
    entry = env.stats.entries["/score", "POST"]
    assert (entry.num_failures, entry.num_none_requests) == (2, 1)


def test_the_last_lot_does_not_wait_for_another_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust_statistics, "LATEST_S", 0.01)
    env = environment()
    LocustStatistics(env).called(AT, [call("/score", 3.0)])
    assert env.stats.total.num_requests == 0
    locust_statistics.gevent.sleep(0.05)
    assert env.stats.total.num_requests == 1
