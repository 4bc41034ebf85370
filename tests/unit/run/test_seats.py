"""Arrivals wait in the queue of their persona, bounded, and how long is known."""

import gevent
import pytest

from banksim.run import queues as seats_module
from banksim.run.queues import ANY_PERSONA, Arrival, Seats


def arrival(due_wall_s: float = 0.0) -> Arrival:
    return Arrival(due_wall_s, planned=None)  # type: ignore[arg-type]


def test_each_seat_gets_its_own() -> None:
    seats = Seats({"student", "retiree"})
    first, second = arrival(), arrival()
    assert seats.put("student", first) == ""
    assert seats.put("retiree", second) == ""
    assert seats.take("retiree") is second
    assert seats.take("student") is first


def test_a_persona_without_users_goes_to_those_who_play_anyone() -> None:
    seats = Seats({"student", ANY_PERSONA})
    given = arrival()
    assert seats.put("collector", given) == ""
    assert seats.take(ANY_PERSONA) is given


def test_without_any_user_for_it_the_reason_is_told() -> None:
    assert Seats({"student"}).put("collector", arrival()) == "no user class plays collector"


def test_a_full_queue_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats_module, "MAX_WAITING", 2)
    seats = Seats({"student"})
    assert [seats.put("student", arrival()) for _ in range(3)] == ["", "", "queue full"]
    assert seats.waiting == 2
    assert len(seats.drain()) == 2
    assert seats.waiting == 0


def test_a_user_waits_until_something_is_due() -> None:
    seats = Seats({"student"})
    user = gevent.spawn(seats.take, "student")
    gevent.sleep(0)
    assert not user.ready()
    given = arrival()
    seats.put("student", given)
    assert user.get(timeout=1) is given


def test_shortage_is_the_longest_wait_for_a_busy_user_since_it_was_last_asked() -> None:
    seats = Seats({"student"}, now=lambda: 10.0)
    for due_wall_s in (9.9, 9.75):
        seats.put("student", arrival(due_wall_s))
        seats.take("student")  # nobody was waiting when it was put
    assert seats.shortage_ms() == pytest.approx(250)
    assert seats.shortage_ms() == 0


def test_being_late_with_a_free_user_is_no_shortage() -> None:
    seats = Seats({"student"}, now=lambda: 10.0)
    user = gevent.spawn(seats.take, "student")
    gevent.sleep(0)
    seats.put("student", arrival(1.0))
    user.get(timeout=1)
    assert seats.shortage_ms() == 0
