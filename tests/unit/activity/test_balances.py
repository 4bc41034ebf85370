from __future__ import annotations

import pytest

from banksim.activity.finder import RowState
from banksim.model import AccountRef, Channel, Kind, Transaction
from banksim.world import World
from tests.unit.world.scenarios import WorldSettings


@pytest.fixture(scope="module")
def world() -> World:
    return World.from_scenario(WorldSettings(customers=20, accounts_per_customer=2), 7)


def moved(world: World, kind: Kind, account: AccountRef, to: AccountRef | None = None) -> Transaction:
    home, device = world.population.customer(0).home, world.population.customer(0).devices[0]
    return Transaction("t", kind, account, 1000, "USD", Channel.MOBILE, 0.0, home, device, "", to)


def opening(world: World, account: AccountRef) -> int:
    return world.population.customer(account.customer_index).accounts[account.slot].opening_balance_cents


@pytest.mark.parametrize(
    ("kind", "change"),
    [(Kind.PURCHASE, -1000), (Kind.WITHDRAWAL, -1000), (Kind.DEPOSIT, 1000), (Kind.SALARY, 1000)],
)
def test_money_goes_the_right_way(world: World, kind: Kind, change: int) -> None:
    balances, account = RowState(world, world.population.size), AccountRef(3, 1)
    balances.book(moved(world, kind, account))
    assert balances.available(account) == opening(world, account) + change
    assert balances.available(AccountRef(3, 0)) == opening(world, AccountRef(3, 0))


def test_a_transfer_arrives(world: World) -> None:
    balances, payer, payee = RowState(world, world.population.size), AccountRef(3), AccountRef(4)
    balances.book(moved(world, Kind.TRANSFER, payer, payee))
    assert balances.available(payer) == opening(world, payer) - 1000
    assert balances.available(payee) == opening(world, payee) + 1000


def test_who_joins_later_starts_with_nothing(world: World) -> None:
    balances = RowState(world, 5)
    assert balances.available(AccountRef(4)) > 0
    assert balances.available(AccountRef(5)) == 0
    balances.book(moved(world, Kind.DEPOSIT, AccountRef(5)))
    assert balances.available(AccountRef(5)) == 1000
