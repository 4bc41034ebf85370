from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from banksim.load.master import SeatDispatcher

Student, Family, Fraudster = (type(name, (), {}) for name in ("Student", "Family", "Fraudster"))


def node(name: str) -> Any:
    return SimpleNamespace(id=name)


def dispatched(dispatcher: SeatDispatcher, users: int) -> dict[str, dict[str, int]]:
    dispatcher.new_dispatch(users, 100.0)
    (found,) = list(dispatcher)
    return found


def test_everyone_gets_the_same_of_every_class() -> None:
    dispatcher = SeatDispatcher([node("a"), node("b")], [Student, Family, Fraudster])
    found = dispatched(dispatcher, 14)
    assert found["a"] == found["b"] == {"Student": 3, "Family": 2, "Fraudster": 2}


def test_a_late_worker_gets_as_many_as_the_others() -> None:
    dispatcher = SeatDispatcher([node("a")], [Student, Family])
    dispatched(dispatcher, 8)
    dispatcher.add_worker(node("b"))
    assert dispatched(dispatcher, 8) == {"a": {"Student": 4, "Family": 4}, "b": {"Student": 4, "Family": 4}}


def test_a_lost_worker_takes_nobody_elses_users() -> None:
    lost = node("b")
    dispatcher = SeatDispatcher([node("a"), lost], [Student])
    dispatched(dispatcher, 10)
    dispatcher.remove_worker(lost)
    assert dispatched(dispatcher, 5) == {"a": {"Student": 5}}


def test_nothing_is_dispatched_unasked() -> None:
    assert list(SeatDispatcher([node("a")], [Student])) == []
