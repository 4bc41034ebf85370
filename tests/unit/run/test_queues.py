"""Arrivals wait in the queue of their persona, bounded, and how long is known."""

import time

import gevent
import pytest

from banksim.run import dispatcher as module
from banksim.run.dispatcher import ANY_PERSONA, Arrival, UserQueues


def arrival(due_wall_s: float = 0.0) -> Arrival:
    return Arrival(due_wall_s, planned=None, performer=None)  # type: ignore[arg-type]


def test_each_seat_gets_its_own() -> None:
    queues = UserQueues({"student", "retiree"})
    first, second = arrival(), arrival()
    assert queues.put("student", first) == ""
    assert queues.put("retiree", second) == ""
    assert queues.take("retiree") is second
    assert queues.take("student") is first


def test_a_persona_without_users_goes_to_those_who_play_anyone() -> None:
    queues = UserQueues({"student", ANY_PERSONA})
    given = arrival()
    assert queues.put("collector", given) == ""
    assert queues.take(ANY_PERSONA) is given


def test_without_any_user_for_it_the_reason_is_told() -> None:
    assert UserQueues({"student"}).put("collector", arrival()) == "no user class plays collector"


def test_a_full_queue_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    queues = UserQueues({"student"})
    assert [queues.put("student", arrival()) for _ in range(3)] == ["", "", "queue full"]
    assert queues.waiting == 2
    assert len(queues.drain()) == 2
    assert queues.waiting == 0


def test_a_user_waits_until_something_is_due() -> None:
    queues = UserQueues({"student"})
    user = gevent.spawn(queues.take, "student")
    gevent.sleep(0)
    assert not user.ready()
    given = arrival()
    queues.put("student", given)
    assert user.get(timeout=1) is given


def test_shortage_is_the_longest_wait_for_a_busy_user_since_it_was_last_asked() -> None:
    queues = UserQueues({"student"})
    for late_s in (0.1, 0.25):
        queues.put("student", arrival(time.monotonic() - late_s))
        queues.take("student")  # nobody was waiting when it was put
    assert queues.shortage_ms() == pytest.approx(250, abs=20)
    assert queues.shortage_ms() == 0


def test_being_late_with_a_free_user_is_no_shortage() -> None:
    queues = UserQueues({"student"})
    user = gevent.spawn(queues.take, "student")
    gevent.sleep(0)
    queues.put("student", arrival(time.monotonic() - 9.0))
    user.get(timeout=1)
    assert queues.shortage_ms() == 0
