from __future__ import annotations

from array import array

import pytest

from banksim.run.workers.members import (
    MAX_ASSIGNMENTS,
    SLOTS,
    UNOWNED,
    AssignedShare,
    Assignment,
    slot_of_campaign,
    slot_of_customer,
    table_for,
)
from tests.unit.run.workers.post import over_the_wire


def everything_to(number: int) -> array[int]:
    return array("H", [number]) * SLOTS


def share_of(number: int, *assignments: Assignment) -> AssignedShare:
    share = AssignedShare(number)
    for assignment in assignments:
        share.begin(assignment)
    return share


def test_nothing_is_owned_before_the_first_assignment() -> None:
    share = AssignedShare(0)
    assert share.part == 0.0
    assert not share.has_customer(5)
    assert not share.has_campaign("card_testing-1", 0.0)
    assert share.owner(0, 0.0) == UNOWNED


def test_shares_of_all_members_make_the_whole() -> None:
    assignment = Assignment(1, 0.0, table_for([0, 1, 2]))
    shares = [share_of(number, assignment) for number in (0, 1, 2)]
    assert sum(share.part for share in shares) == pytest.approx(1.0)
    for index in range(500):
        assert sum(share.has_customer(index) for share in shares) == 1
        assert sum(share.has_campaign(f"layering-{index}", 10.0) for share in shares) == 1


def test_customers_change_hands_at_once_campaigns_when_they_start() -> None:
    first, second = Assignment(1, 0.0, everything_to(0)), Assignment(2, 100.0, everything_to(1))
    old, new = share_of(0, first, second), share_of(1, first, second)
    assert new.has_customer(1)
    assert not old.has_customer(1)
    assert old.has_campaign("x-1", 99.9)
    assert not new.has_campaign("x-1", 99.9)
    assert new.has_campaign("x-1", 100.0)
    assert not old.has_campaign("x-1", 100.0)


def test_the_heir_starts_what_the_lost_one_did_not() -> None:
    first = Assignment(1, 0.0, everything_to(0))
    second = Assignment(2, 100.0, everything_to(1), {0: 80.0})
    heir = share_of(1, first, second)
    assert not heir.has_campaign("x-1", 79.0), "the lost one had begun it"
    assert heir.has_campaign("x-1", 80.0)
    assert heir.has_campaign("x-1", 90.0)


def test_only_the_lost_ones_are_inherited() -> None:
    table = array("H", [0, 2]) * (SLOTS // 2)
    first = Assignment(1, 0.0, table)
    second = Assignment(2, 100.0, everything_to(1), {0: 80.0})
    heir = share_of(1, first, second)
    assert heir.owner(0, 90.0) == 1
    assert heir.owner(1, 90.0) == 2, "member 2 was there all the time"


def test_an_heir_that_is_lost_itself_is_inherited_too() -> None:
    assignments = (
        Assignment(1, 0.0, everything_to(0)),
        Assignment(2, 100.0, everything_to(1), {0: 80.0}),
        Assignment(3, 120.0, everything_to(2), {1: 70.0}),
    )
    last = share_of(2, *assignments)
    assert last.has_campaign("x-1", 90.0)
    assert not last.has_campaign("x-1", 75.0), "member 0 was alive then"


def test_an_old_assignment_is_not_taken_over_again() -> None:
    share = AssignedShare(0)
    assert share.begin(Assignment(2, 0.0, everything_to(0)))
    assert not share.begin(Assignment(2, 0.0, everything_to(1)))
    assert not share.begin(Assignment(1, 0.0, everything_to(1)))
    assert share.number == 2
    assert share.part == 1.0


def test_assignments_are_bounded() -> None:
    share = AssignedShare(0)
    for number in range(1, MAX_ASSIGNMENTS + 50):
        share.begin(Assignment(number, float(number), everything_to(0)))
    assert len(share.assignments) == MAX_ASSIGNMENTS


def test_an_assignment_survives_the_wire() -> None:
    assignment = Assignment(7, 12.5, table_for([1, 4]), {3: 8.25})
    assert Assignment.from_message(over_the_wire(assignment.to_message("run-1"))) == assignment


def test_slots_are_what_shares_go_by() -> None:
    table = array("H", [1 if slot == slot_of_customer(42) else 0 for slot in range(SLOTS)])
    share = share_of(1, Assignment(1, 0.0, table))
    assert share.has_customer(42)
    assert share.part == 1 / SLOTS
    assert share.has_campaign("x-1", 1.0) == (slot_of_campaign("x-1") == slot_of_customer(42))
