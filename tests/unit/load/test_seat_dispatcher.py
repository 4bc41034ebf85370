from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from locust import User

from banksim.load.users import SeatDispatcher, SeatUser, users_beside

Student, Family, Fraudster = (type(name, (SeatUser,), {}) for name in ("Student", "Family", "Fraudster"))


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


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, {"Light": 1, "Heavy": 1, "Fixed": 2}),
        (8, {"Light": 1, "Heavy": 5, "Fixed": 2}),
        (2, {"Light": 0, "Heavy": 0, "Fixed": 2}),
        (0, {"Light": 0, "Heavy": 0, "Fixed": 2}),
    ],
)
def test_users_of_other_classes_follow_their_weights_and_take_no_seats(
    wanted: int | None, found: dict[str, int]
) -> None:
    light, heavy = type("Light", (User,), {}), type("Heavy", (User,), {"weight": 5})
    fixed = type("Fixed", (User,), {"fixed_count": 2})
    assert users_beside([Student, light, heavy, fixed], wanted) == found
    dispatcher = SeatDispatcher([node("a"), node("b")], [Student, light, heavy, fixed], wanted)
    each = dispatched(dispatcher, 6)
    assert each["a"]["Student"] == each["b"]["Student"] == 3
    assert {name: each["a"][name] + each["b"][name] for name in found} == found
