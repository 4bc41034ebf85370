"""Kinds of payment of a user's own: what some genuine customers do instead of the usual.

A file named under `plugins:` marks a function with its share of the genuine transactions and
with who does it, when and in which months:

    @payment("gym", share=0.03, personas=("student", "salaried"), hours=(6, 22), months={1: 2.0})
    def gym(chance: Chance) -> Draft | None:
        return chance.purchase("entertainment", chance.about(39, 0.2), channel="online", words="Gym")

The offered rate stays the scenario's: a payment takes the place of what the arrival would have
been.  Pay days are left alone, so incomes stay what the personas say.  A payment that cannot be
(shop closed or out of reach, not enough money, None returned, an error) leaves the arrival to the usual.
Without such a file no random number is drawn here and nothing changes.

The text of a transaction on the bank statement, in the few plain words people use.

Genuine transactions and campaigns take their words from here, so the text never gives a fraud away.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import TypeVar

import numpy as np

from banksim.activity.prices import Pricing
from banksim.model import AccountRef, Channel, Kind, Merchant, Place, ScenarioError
from banksim.world import Customer, Persona, World, stream
from banksim.world.persona import load_categories
from banksim.world.random import Bools, Draws, Ints

logger = logging.getLogger(__name__)

_MARK = "__banksim_payment__"


@dataclass(slots=True)
class Draft:
    """A transaction in the making.  ``slot`` is the customer's account."""

    kind: Kind
    channel: Channel
    amount_cents: int
    place: Place
    description: str
    merchant: Merchant | None = None
    counterparty: AccountRef | None = None
    slot: int = 0


Marked = TypeVar("Marked", bound=Callable[["Chance"], Draft | None])


@dataclass(frozen=True, slots=True)
class Payment:
    """A kind of payment.  ``share`` is of the genuine transactions of those personas in those hours."""

    name: str
    make: Callable[[Chance], Draft | None]
    share: float
    personas: frozenset[str]
    hours: tuple[int, int]
    months: Mapping[int, float]

    def chance_at(self, persona: str, moment: datetime) -> float:
        """The share at that moment: 0 outside of the hours (which may run past midnight)."""
        start, end = self.hours
        hour = moment.hour
        inside = start <= hour < end if start < end else hour >= start or hour < end
        if not inside or (self.personas and persona not in self.personas):
            return 0.0
        return self.share * self.months.get(moment.month, 1.0)


def payment(
    name: str,
    *,
    share: float,
    personas: Sequence[str] = (),
    hours: tuple[int, int] = (0, 24),
    months: Mapping[int, float] | None = None,
) -> Callable[[Marked], Marked]:
    """Mark a function as the payment ``name``.  Without ``personas`` everybody does it.

    ``hours`` are clock hours [start, end), ``months`` factors on the share by month (1 to 12).
    Raises ValueError for a share that is none, an hour or a month that does not exist.
    """
    factors = dict(months or {})
    if not 0 < share <= 1:
        raise ValueError(f"payment {name}: share: expected a number above 0 and at most 1, got {share}")
    if not (0 <= hours[0] <= 23 and 0 <= hours[1] <= 24 and hours[0] != hours[1]):
        raise ValueError(f"payment {name}: hours: expected two different hours from 0 to 24, got {hours}")
    if wrong := [month for month, factor in factors.items() if not 1 <= month <= 12 or factor < 0]:
        raise ValueError(f"payment {name}: months: expected 1 to 12 with factors from 0 on, got {wrong}")

    def mark(function: Marked) -> Marked:
        setattr(function, _MARK, Payment(name, function, share, frozenset(personas), hours, factors))
        return function

    return mark


def payments_in(module: ModuleType) -> list[Payment]:
    """The payments that a file marks, in its order."""
    marks = (getattr(value, _MARK, None) for value in vars(module).values())
    return [mark for mark in marks if isinstance(mark, Payment)]


class Payments:
    """The payments of one run: draws whether an arrival becomes one of them."""

    def __init__(self, payments: Sequence[Payment], world: World, shard: int) -> None:
        """Raises ScenarioError for a persona that the scenario does not have, or shares above 1."""
        self._most = check_payments(payments, world.personas)
        self._payments, self._world, self._shard = payments, world, shard
        self._draws = Draws(world.seed, "rows", shard, "payments")
        self._pricing = Pricing(world.currency)
        self._failed: set[str] = set()

    def may_come(self, rows: Ints) -> Bools:
        """For which rows a payment may take the place of the usual."""
        may: Bools = self._draws.units(rows) < self._most
        return may

    def draft(
        self, row: int, sim_s: float, customer: Customer, where: Place, payees: Callable[[], list[int]]
    ) -> Draft | None:
        """A payment of the customer, who stays at ``where``, or None for the usual."""
        moment = datetime.fromtimestamp(self._world.timestamp_s(sim_s), UTC)
        drawn = float(self._draws.units(np.array([row]))[0])
        for kind in self._payments:
            drawn -= kind.chance_at(customer.persona, moment)
            if drawn < 0:
                rng = stream(self._world.seed, "payment", self._shard, row)
                chance = Chance(self._world, self._pricing, customer, where, payees, rng, moment)
                return self._make(kind, chance)
        return None

    def _make(self, kind: Payment, chance: Chance) -> Draft | None:
        if kind.name in self._failed:
            return None
        try:
            return kind.make(chance)
        except Exception as error:  # a user's file may raise anything; the run goes on without it
            self._failed.add(kind.name)
            logger.exception("Payment %s failed and is left out from now on: %s", kind.name, error)
            return None


def check_payments(payments: Iterable[Payment], personas: Iterable[str]) -> float:
    """The most that all shares together may be.

    Raises ScenarioError, naming the payment, when a run with these personas could not have them.
    """
    known, total = sorted(personas), 0.0
    for kind in payments:
        total += kind.share * max(1.0, *kind.months.values()) if kind.months else kind.share
        if missing := sorted(kind.personas - set(known)):
            raise ScenarioError(
                [f"plugins: payment {kind.name}: no persona {', '.join(missing)}; known: {', '.join(known)}"]
            )
    if total > 1:
        raise ScenarioError([f"plugins: the shares of all payments may add up to 1 at most, got {total:g}"])
    return total


class Chance:
    """One customer at one moment, and what may be done.  Amounts are cents, moments simulated.

    Nothing random may come from elsewhere than ``rng``: then the same seed makes the same payments.
    """

    def __init__(
        self,
        world: World,
        pricing: Pricing,
        customer: Customer,
        where: Place,
        payees: Callable[[], list[int]],
        rng: random.Random,
        moment: datetime,
    ) -> None:
        self._world, self._pricing, self._where, self._payees = world, pricing, where, payees
        self.customer = customer
        self.rng = rng
        self.moment = moment

    @property
    def persona(self) -> str:
        return self.customer.persona

    def about(self, median_units: float, sigma: float = 0.3) -> int:
        """Cents of a log-normal amount in units of a dollar-like currency; ``sigma`` of its logarithm."""
        return self.price(median_units * self.rng.lognormvariate(0.0, sigma))

    def between(self, low_units: float, high_units: float) -> int:
        """Cents of an amount that is equally likely anywhere in a range."""
        return self.price(self.rng.uniform(low_units, high_units))

    def price(self, units: float) -> int:
        """Cents of so many units, in the currency of the scenario."""
        return self._pricing.cents(units * self._pricing.scale)

    def purchase(
        self, category: str, amount_cents: int, channel: str = "pos", words: str = ""
    ) -> Draft | None:
        """Buy in a shop of ``category``: in town with "pos", else on the net.

        None when no shop of it is open; one that is out of reach is left out later.
        ValueError for a word that is neither a category nor a channel.
        """
        categories = load_categories()
        if category not in categories:
            raise ValueError(f"no category {category!r}; known: {', '.join(categories)}")
        how = Channel(channel)
        in_shop = how is Channel.POS
        shop = self._world.merchants.pick(self.rng, self._where, category, online=not in_shop)
        if in_shop and not categories[category].is_open(self.moment.hour):
            return None
        place = shop.place if in_shop else self._where
        return Draft(Kind.PURCHASE, how, amount_cents, place, words or f"Purchase at {shop.name}", shop)

    def bill(self, category: str, amount_cents: int, channel: str = "online", words: str = "") -> Draft:
        """Pay a company that sends bills, the same one each time for each customer."""
        billers = self._world.merchants.in_city(self.customer.home, category)
        if not billers:
            known = ", ".join(self._world.merchants.bill_categories)
            raise ValueError(f"nobody sends bills for {category!r}; known: {known}")
        biller: Merchant = billers[self.customer.index % len(billers)]
        text = words or f"{category.capitalize()} {biller.name}"
        return Draft(Kind.BILL_PAYMENT, Channel(channel), amount_cents, self._where, text, biller)

    def transfer(self, amount_cents: int, channel: str = "mobile", words: str = "Transfer") -> Draft | None:
        """Send money to somebody the customer often pays; None when there is nobody."""
        payees = self._payees()
        if not payees:
            return None
        to = AccountRef(self.rng.choice(payees))
        return Draft(Kind.TRANSFER, Channel(channel), amount_cents, self._where, words, counterparty=to)

    def withdrawal(self, amount_cents: int, words: str = "Cash withdrawal") -> Draft:
        """Take cash from a machine."""
        return Draft(Kind.WITHDRAWAL, Channel.ATM, amount_cents, self._where, words)

    def deposit(self, amount_cents: int, channel: str = "ach", words: str = "Incoming payment") -> Draft:
        """Receive money from outside the bank, or pay it in."""
        return Draft(Kind.DEPOSIT, Channel(channel), amount_cents, self._where, words)


#: What people write on a transfer to somebody else.
TRANSFER_WORDS = (
    "Transfer",
    "Thanks",
    "Dinner",
    "My share",
    "Birthday",
    "Groceries",
    "Trip",
    "Tickets",
    "Loan",
)
_DEPOSIT_WORDS = {
    Channel.MOBILE: "Check deposit",
    Channel.ACH: "Incoming payment",
    Channel.BRANCH: "Cash deposit",
    Channel.ATM: "Cash deposit",
}
#: A persona whose youngest members are this old lives on a pension.
_PENSION_FROM_AGE = 60


def purchase_words(merchant_name: str) -> str:
    return f"Purchase at {merchant_name}"


def deposit_words(channel: Channel) -> str:
    return _DEPOSIT_WORDS.get(channel, "Deposit")


def pay_words(persona: Persona) -> str:
    return "Pension payment" if persona.ages[0] >= _PENSION_FROM_AGE else "Salary"


def withdrawal_words(channel: Channel) -> str:
    return "Counter withdrawal" if channel is Channel.BRANCH else "Cash withdrawal"
