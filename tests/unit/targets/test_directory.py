"""The directory of who is open at the bank."""

from __future__ import annotations

from collections import Counter

import pytest

from banksim.model import AccountRef
from banksim.targets import AccountDirectory
from tests.unit.targets.people import SHOP, customer, transaction


def test_remembers_customers_and_their_accounts_by_slot() -> None:
    directory = AccountDirectory()
    directory.add(7, "c7", ["a", "b"])
    directory.add(2, "c2", ["c"])
    assert (directory.customer_count, directory.account_count) == (2, 3)
    assert directory.is_open(7)
    assert directory.customer_id(7) == "c7"
    assert directory.account_id(AccountRef(7, 1)) == "b"
    assert list(directory.accounts()) == [
        (AccountRef(7, 0), "a"),
        (AccountRef(7, 1), "b"),
        (AccountRef(2, 0), "c"),
    ]


@pytest.mark.parametrize("ref", [AccountRef(8), AccountRef(7, 2), AccountRef(7, -1)])
def test_knows_what_it_does_not_know(ref: AccountRef) -> None:
    directory = AccountDirectory()
    directory.add(7, "c7", ["a", "b"])
    assert directory.account_id(ref) is None
    assert not directory.is_open(8)
    assert directory.customer_id(8) is None


def test_an_index_is_opened_once() -> None:
    directory = AccountDirectory()
    directory.add(7, "c7", ["a"])
    with pytest.raises(ValueError, match="already open"):
        directory.add(7, "other", ["b"])
    assert directory.customer_id(7) == "c7"


def test_names_on_the_wire_are_the_banks_once_there_is_one() -> None:
    directory = AccountDirectory(seed=3)
    before = directory.wire_customer_id(7), directory.wire_account_id(AccountRef(7))
    assert before == (directory.wire_customer_id(7), directory.wire_account_id(AccountRef(7)))
    directory.add(7, "c7", ["a"])
    assert (directory.wire_customer_id(7), directory.wire_account_id(AccountRef(7))) == ("c7", "a")


def test_opaque_names_do_not_collide() -> None:
    directory = AccountDirectory(seed=3)
    names = {directory.wire_customer_id(index) for index in range(2000)}
    names |= {directory.wire_account_id(AccountRef(index, slot)) for index in range(1000) for slot in (0, 1)}
    assert len(names) == 4000


def test_merchants_are_paid_into_accounts_whose_shares_fall() -> None:
    directory = AccountDirectory(seed=3, hot_accounts=4, merchant_slot=2)
    owners = Counter(directory.owner_of(f"m{number}") for number in range(4_000))
    shares = [owners[k] / 4_000 for k in range(4)]
    assert shares == pytest.approx([0.48, 0.24, 0.16, 0.12], abs=0.03)
    assert [directory.owner_of("m7") for _ in range(3)] == [AccountDirectory(9, 4).owner_of("m7")] * 3
    paid, moved = transaction(merchant=SHOP), directory.two_legged(transaction(merchant=SHOP))
    assert paid.merchant is not None and paid.counterparty is None
    assert moved.counterparty == AccountRef(directory.owner_of(paid.merchant.merchant_id), 2)
    assert directory.two_legged(moved) is moved
    assert AccountDirectory().two_legged(paid) is paid


def test_only_owners_of_merchants_have_an_account_more() -> None:
    directory = AccountDirectory(hot_accounts=1)
    owner, other = customer(0), customer(1)
    assert [a.opening_balance_cents for a in directory.with_merchant_account(owner).accounts][-1] == 0
    assert len(directory.with_merchant_account(owner).accounts) == len(owner.accounts) + 1
    assert directory.with_merchant_account(other) is other
