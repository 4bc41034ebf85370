from __future__ import annotations

from collections import Counter

import pytest

from banksim.run.workers.members import (
    SLOTS,
    UNOWNED,
    from_bytes,
    slot_of_campaign,
    slot_of_customer,
    table_for,
    to_bytes,
)


def test_every_slot_has_one_of_the_members() -> None:
    table = table_for([3, 7, 11])
    assert len(table) == SLOTS
    assert set(table) == {3, 7, 11}


def test_no_slot_is_owned_without_workers() -> None:
    assert set(table_for([])) == {UNOWNED}


@pytest.mark.parametrize("members", [2, 4, 16, 200])
def test_shares_are_fair(members: int) -> None:
    counts = Counter(table_for(range(members)))
    mean = SLOTS / members
    # Six standard deviations of a fair draw.
    assert all(abs(count - mean) < 6 * mean**0.5 + 1 for count in counts.values())
    assert len(counts) == members


def test_only_what_changes_hands_changes_hands() -> None:
    before, after = table_for([0, 1, 2, 3]), table_for([0, 2, 3])
    moved = [slot for slot in range(SLOTS) if before[slot] != after[slot]]
    assert moved == [slot for slot in range(SLOTS) if before[slot] == 1]
    assert table_for([0, 1, 2, 3]) == before, "a worker that comes back gets back what it had"


def test_neighbouring_customers_fall_apart() -> None:
    slots = [slot_of_customer(index) for index in range(2 * SLOTS)]
    assert len(set(slots)) > 0.8 * SLOTS
    assert max(Counter(slots).values()) <= 4
    assert all(0 <= slot < SLOTS for slot in slots)


def test_campaigns_fall_everywhere() -> None:
    slots = {slot_of_campaign(f"card_testing-{number}") for number in range(1000)}
    assert len(slots) > 850


def test_a_table_survives_the_wire() -> None:
    table = table_for([5, 65_000])
    assert from_bytes(to_bytes(table)) == table


def test_something_else_is_no_table() -> None:
    with pytest.raises(ValueError, match="8192 bytes, not 3"):
        from_bytes(b"abc")
