"""What a plan remembers of each customer: balances, the last place, the last rent.

One array per quantity, one entry per customer (account): 50 bytes a customer with one account.
Every change that planned rows make can be taken back row by row, the last first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from banksim.activity.habit_columns import Degrees
from banksim.model import CREDIT_KINDS, AccountRef, Transaction
from banksim.world import World
from banksim.world.draws import Bools, Floats, Ints

#: Long ago: before any moment of a run.
NEVER_S = -1e18


@dataclass(frozen=True, slots=True)
class Seen:
    """The last place of customers, when (simulated seconds), and the shop that was there (-1: none).

    ``rent_s`` is when each last paid rent.
    """

    sim_s: Floats
    latitude: Degrees
    longitude: Degrees
    city: NDArray[np.int16]
    merchant: NDArray[np.int32]
    rent_s: Floats

    @classmethod
    def nothing(cls, size: int) -> Seen:
        return cls(
            np.full(size, NEVER_S),
            np.zeros(size, np.int32),
            np.zeros(size, np.int32),
            np.zeros(size, np.int16),
            np.full(size, -1, np.int32),
            np.full(size, NEVER_S),
        )

    def of(self, customers: Ints) -> Seen:
        """A copy for some customers."""
        return Seen(*(getattr(self, name)[customers] for name in SEEN_COLUMNS))

    def put(self, customers: Ints | slice, values: Seen) -> None:
        for name in SEEN_COLUMNS:
            getattr(self, name)[customers] = getattr(values, name)


SEEN_COLUMNS = tuple(field.name for field in fields(Seen))


class RowState:
    """The state of a world's customers, by the plans so far."""

    def __init__(self, world: World, funded: int) -> None:
        """Customers from ``funded`` on start with nothing."""
        population = world.population
        self.slots = population.accounts_per_customer
        customers = np.arange(population.size, dtype=np.int64)
        people = population.people
        self.persona = people.ranks.personas(customers).astype(np.int8)
        self.home_city = people.home_cities(customers).astype(np.int16)
        self.home_latitude, self.home_longitude = people.homes(customers, self.home_city.astype(np.int64))
        #: Planned balance of account customer × slots + slot, in cents.
        self.balances = np.zeros(population.size * self.slots, np.int64)
        for slot in range(self.slots):
            self.balances[slot :: self.slots] = people.openings_cents(customers, slot)
        self.balances[funded * self.slots :] = 0
        self.seen = Seen.nothing(population.size)

    def available(self, account: AccountRef) -> int:
        """The planned balance in cents; below zero when more was planned than there was."""
        return int(self.balances[account.customer_index * self.slots + account.slot])

    def book(self, transaction: Transaction, sign: int = 1) -> None:
        """Move what the transaction moves; back again with a ``sign`` of -1."""
        cents = transaction.amount_cents * sign
        is_credit = transaction.kind in CREDIT_KINDS
        self._add(transaction.account, cents if is_credit else -cents)
        if transaction.counterparty is not None and not is_credit:
            self._add(transaction.counterparty, cents)

    def _add(self, account: AccountRef, cents: int) -> None:
        self.balances[account.customer_index * self.slots + account.slot] += cents

    def move(self, accounts: Ints, others: Ints, cents: Ints, is_credit: Bools, sign: int = 1) -> None:
        """Move the sums of many rows; an account may come several times, ``others`` is -1 for none."""
        np.add.at(self.balances, accounts, np.where(is_credit, cents, -cents) * sign)
        paid = np.flatnonzero(others >= 0)
        np.add.at(self.balances, others[paid], cents[paid] * sign)

    def move_apart(self, accounts: Ints, others: Ints, cents: Ints, is_credit: Bools) -> None:
        """The same for rows no two of which touch the same account."""
        self.balances[accounts] += np.where(is_credit, cents, -cents)
        paid = np.flatnonzero(others >= 0)
        self.balances[others[paid]] += cents[paid]

    def forget(self, customers: Ints, before: Seen) -> None:
        """Bring the last places back to ``before``, the state found by each of some rows in order."""
        unique, first = np.unique(customers, return_index=True)
        self.seen.put(unique, Seen(*(getattr(before, name)[first] for name in SEEN_COLUMNS)))


def levels(payers: Ints, payees: Ints, own_payees: Ints | None = None) -> Ints:
    """The level of each row: above all earlier rows that touch one of its customers.

    Rows of one level touch different customers, so they can be settled together, level by
    level, with the result of settling row by row.
    """
    above: dict[int, int] = {}
    of = above.get
    found: list[int] = []
    others = own_payees.tolist() if own_payees is not None else ()
    for position, (payer, payee) in enumerate(zip(payers.tolist(), payees.tolist(), strict=True)):
        level = of(payer, 0)
        touched = (payee, others[position]) if others else (payee,)
        for other in touched:
            if other >= 0:
                level = max(level, of(other, 0))
        for other in touched:
            if other >= 0:
                above[other] = level + 1
        above[payer] = level + 1
        found.append(level)
    return np.array(found, np.int64)
