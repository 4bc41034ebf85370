from __future__ import annotations

from typing import Any

from banksim.run.workers.intake import ROWS, Openings
from banksim.run.workers.members import Member, Members


def row(index: int, customer: str = "c") -> list[Any]:
    return [index, f"{customer}-{index}", [f"a-{index}"]]


def office() -> tuple[Openings, Member, list[list[Any]]]:
    heard: list[list[Any]] = []
    openings = Openings(lambda member, message: heard.append(message["rows"]))
    return openings, Members().hear("a", "host", 1), heard


def test_the_others_hear_of_it() -> None:
    openings, other, heard = office()
    openings.take([row(1), row(2)], joined=False, others=[other])
    assert heard == [[row(1), row(2)]]
    assert len(openings) == 2


def test_a_customer_that_two_have_opened_is_one() -> None:
    """Else everybody would wait for a customer more than there is."""
    openings, other, heard = office()
    openings.take([row(1), row(2)], joined=False, others=[other])
    openings.take([row(2, "again"), row(3)], joined=False, others=[other])
    assert len(openings) == 3
    assert heard[-1] == [row(3)]


def test_whoever_comes_late_hears_everything() -> None:
    openings, late, heard = office()
    openings.take([row(index) for index in range(ROWS + 1)], joined=False, others=[])
    openings.tell_all(late)
    assert [len(rows) for rows in heard] == [ROWS, 1]
