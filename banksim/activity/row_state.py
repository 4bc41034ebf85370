"""What a plan remembers of each customer: balances, the last place.

One array per quantity, one entry per customer (account): 70 bytes a customer with one account.
Every change that planned rows make can be taken back row by row, the last first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from banksim.activity.journeys import Degrees
from banksim.model import CREDIT_KINDS, AccountRef, Transaction
from banksim.world import World
from banksim.world.draws import Bools, Floats, Ints

#: Long ago: before any moment of a run.
NEVER_S = -1e18


@dataclass(frozen=True, slots=True)
class Seen:
    """The last place of customers, when (simulated seconds), and the shop that was there (-1: none)."""

    sim_s: Floats
    latitude: Degrees
    longitude: Degrees
    city: NDArray[np.int16]
    merchant: NDArray[np.int32]

    @classmethod
    def nothing(cls, size: int) -> Seen:
        return cls(
            np.full(size, NEVER_S),
            np.zeros(size, np.int32),
            np.zeros(size, np.int32),
            np.zeros(size, np.int16),
            np.full(size, -1, np.int32),
        )

    def of(self, customers: Ints) -> Seen:
        """A copy for some customers."""
        return Seen(*(getattr(self, name)[customers] for name in SEEN_COLUMNS))

    def put(self, customers: Ints | slice, values: Seen) -> None:
        for name in SEEN_COLUMNS:
            getattr(self, name)[customers] = getattr(values, name)


SEEN_COLUMNS = tuple(field.name for field in fields(Seen))


@dataclass(slots=True)
class Eligible:
    """Who may act: which customers have an account at a simulated second (payers and payees), and
    which are this process's to act for (payers).  None: everybody.
    """

    has_account: Callable[[Ints, Floats], Bools] | None = None
    is_mine: Callable[[Ints], Bools] | None = None

    def may_pay(self, customers: Ints, sim_s: Floats) -> Bools:
        allowed = self.may_be_paid(customers, sim_s)
        return allowed if self.is_mine is None else allowed & self.is_mine(customers)

    def may_be_paid(self, customers: Ints, sim_s: Floats) -> Bools:
        if self.has_account is None:
            return np.ones(len(customers), bool)
        return self.has_account(customers, sim_s)


class RowState:
    """The state of a world's customers, by the plans so far."""

    def __init__(self, world: World, funded: int) -> None:
        """Customers from ``funded`` on start with nothing."""
        population = world.population
        self.slots = population.accounts_per_customer
        everybody = population.people.all()
        self.home_city = everybody.city
        self.home_latitude, self.home_longitude = everybody.latitude, everybody.longitude
        #: Planned balance of account customer × slots + slot, in cents.
        self.balances = np.zeros(population.size * self.slots, np.int64)
        for slot in range(self.slots):
            self.balances[slot :: self.slots] = everybody.openings_cents[slot]
        self.balances[funded * self.slots :] = 0
        self.seen = Seen.nothing(population.size)
        indices = np.arange(population.size, dtype=np.int64)
        #: How dear each customer shops, and how much of it is remote (0..1).
        self.level = population.people.price_levels(indices)
        self.habit = population.people.habits(indices)
        #: What customers like to keep on the main account, in cents: what they began with.
        self.comfort = everybody.openings_cents[0]

    def available(self, account: AccountRef) -> int:
        """The planned balance in cents; below zero when more was planned than there was."""
        return int(self.balances[self.position(account)])

    def position(self, account: AccountRef) -> int:
        """Where the account is among the balances."""
        return account.customer_index * self.slots + account.slot

    def book(self, transaction: Transaction, sign: int = 1) -> None:
        """Move what the transaction moves; back again with a ``sign`` of -1."""
        cents = transaction.amount_cents * sign
        is_credit = transaction.kind in CREDIT_KINDS
        self._add(transaction.account, cents if is_credit else -cents)
        if transaction.counterparty is not None and not is_credit:
            self._add(transaction.counterparty, cents)

    def _add(self, account: AccountRef, cents: int) -> None:
        self.balances[self.position(account)] += cents

    def move(self, accounts: Ints, others: Ints, cents: Ints, is_credit: Bools, sign: int = 1) -> None:
        """Move the sums of many rows; an account may come several times, ``others`` is -1 for none."""
        np.add.at(self.balances, accounts, np.where(is_credit, cents, -cents) * sign)
        paid = np.flatnonzero(others >= 0)
        np.add.at(self.balances, others[paid], cents[paid] * sign)

    def move_apart(self, accounts: Ints, others: Ints, cents: Ints, is_credit: Bools) -> None:
        """The same for rows of one level: nobody pays twice, and who pays is not paid."""
        self.balances[accounts] += np.where(is_credit, cents, -cents)
        paid = np.flatnonzero(others >= 0)
        np.add.at(self.balances, others[paid], cents[paid])

    def forget(self, customers: Ints, before: Seen) -> None:
        """Bring the last places back to ``before``, the state found by each of some rows in order."""
        unique, first = np.unique(customers, return_index=True)
        self.seen.put(unique, Seen(*(getattr(before, name)[first] for name in SEEN_COLUMNS)))


def levels(payers: Ints, *payees: Ints) -> Ints:
    """The level of each row: above all earlier rows that touch one of its customers.

    ``payees`` are columns of whom a row may pay (-1: nobody).  Rows of one level have different payers, none
    of whom is paid in it, so they can be settled together, level by level, with the result of settling row
    by row.  Several may pay one customer: sums add up in any order.
    """
    count = len(payers)
    rows = np.arange(count)
    columns = [payers, *payees]
    touched = [rows]
    for number, column in enumerate(payees, 1):
        is_new = column >= 0
        for before in columns[:number]:
            is_new &= column != before
        touched.append(np.flatnonzero(is_new))
    customer = np.concatenate([column[at] for column, at in zip(columns, touched, strict=True)])
    row, which = np.concatenate(touched), np.repeat(range(len(columns)), list(map(len, touched)))
    order = np.argsort(customer * count + row)
    customer, row, which = customer[order], row[order], which[order]
    # Touches of one customer in order, in stretches: a payment and what is received after it.
    pays = which == 0
    again = np.zeros(len(row), bool)
    again[1:] = customer[1:] == customer[:-1]
    begins = pays | ~again
    stretch = np.cumsum(begins) - 1
    opening = np.flatnonzero(begins)[stretch]
    after_payment, pays_again = ~pays & pays[opening], np.flatnonzero(pays & again)
    # Per column of customers, the touch of each row; the last of ``least`` stands for none.
    touch = np.full((len(columns), count), len(row))
    touch[which, row] = np.arange(len(row))
    found, least = np.zeros(count, np.int64), np.zeros(len(row) + 1, np.int64)
    while True:
        level = found[row]
        highest = np.maximum.accumulate(level + stretch * (count + 1)) - stretch * (count + 1)
        least[:-1] = np.where(after_payment, level[opening] + 1, 0)
        least[pays_again] = highest[pays_again - 1] + 1
        higher: Ints = least[touch].max(axis=0)
        if np.array_equal(higher, found):
            return higher
        found = higher
