"""A customer ready to act: everything about one that a plan looks at, found by one look-up.

Actors are made when first needed and kept for the most recent `CACHED_ACTORS` customers;
nothing in them needs to be remembered, so dropping one loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from banksim.activity.calendar import PayDays
from banksim.activity.habits import HabitBook, Habits, Stay, Trips
from banksim.activity.prices import Pricing
from banksim.model import CREDIT_KINDS, AccountRef, Label, Merchant, Place, Transaction, Truth
from banksim.world import Customer, Persona, World, distance_km

# -- Where each customer was last seen, so that nobody is in two places at once ---------------------
#
# Within a city people move at `CITY_SPEED_KMH`.  When arrivals come faster than that (a
# stress test may give a customer several a second) the customer stays where they are:
# the same shop again, or the phone in their hand.  Between cities the journeys leave
# enough time by themselves.


CITY_SPEED_KMH = 60.0
#: After this long everything in a city is within reach (its parts are under 30 km apart).
_ANYWHERE_AFTER_S = 30 * 60
MAX_REMEMBERED = 100_000


class Sighting(NamedTuple):
    """The last place of a customer, when (simulated seconds), and the shop that was there."""

    sim_s: float
    place: Place
    merchant: Merchant | None


class Sightings:
    """The last sighting of the most recent `MAX_REMEMBERED` customers."""

    def __init__(self) -> None:
        self._last: dict[int, Sighting] = {}

    def recent(self, index: int, sim_s: float) -> Sighting | None:
        """The last sighting, when it still limits where the customer can be."""
        last = self._last.get(index)
        return last if last is not None and abs(sim_s - last.sim_s) < _ANYWHERE_AFTER_S else None

    def note(self, index: int, sim_s: float, place: Place, merchant: Merchant | None) -> None:
        """The customer was at ``place``, in the shop ``merchant`` when it was in one."""
        last = self._last.pop(index, None)
        if merchant is None and last is not None and (last.place is place or last.place == place):
            merchant = last.merchant
        elif last is None and len(self._last) >= MAX_REMEMBERED:
            del self._last[next(iter(self._last))]  # the longest unseen: popped entries go to the end
        self._last[index] = Sighting(sim_s, place, merchant)

    def __len__(self) -> int:
        return len(self._last)


def reachable(last: Sighting | None, sim_s: float, place: Place) -> bool:
    """Whether the customer can have come from ``last`` to ``place`` by then."""
    if last is None or last.place is place or last.place == place:  # comparing fields takes a while
        return True
    return distance_km(last.place, place) <= abs(sim_s - last.sim_s) / 3600 * CITY_SPEED_KMH


# -- What every account should hold, by our own plan ------------------------------------------------
#
# Only accounts that moved are kept; there are never more entries than accounts.  Fraud and
# refusals count when whoever carries transactions out books them here.  This keeps honest
# customers from spending what they do not have; it is not a ledger.


_MAX_SLOTS = 8


class PlannedBalances:
    """Planned balances in cents.  Customers from ``funded`` on start with nothing."""

    def __init__(self, world: World, funded: int | None = None) -> None:
        self._population = world.population
        self._funded = world.population.size if funded is None else funded
        self._cents: dict[int, int] = {}

    def available(self, account: AccountRef) -> int:
        """The planned balance; below zero when more was planned than there was."""
        found = self._cents.get(account.customer_index * _MAX_SLOTS + account.slot)
        return self._opening(account) if found is None else found

    def book(self, transaction: Transaction) -> None:
        """Move what the transaction moves."""
        self._move(transaction, transaction.amount_cents)

    def unbook(self, transaction: Transaction) -> None:
        """Take back a transaction that was booked and then refused."""
        self._move(transaction, -transaction.amount_cents)

    def _move(self, transaction: Transaction, cents: int) -> None:
        if transaction.kind in CREDIT_KINDS:
            self._add(transaction.account, cents)
            return
        self._add(transaction.account, -cents)
        if transaction.counterparty is not None:
            self._add(transaction.counterparty, cents)

    def _add(self, account: AccountRef, cents: int) -> None:
        key = account.customer_index * _MAX_SLOTS + account.slot
        found = self._cents.get(key)
        self._cents[key] = cents + (self._opening(account) if found is None else found)

    def _opening(self, account: AccountRef) -> int:
        if account.customer_index >= self._funded:
            return 0
        specs = self._population.customer(account.customer_index).accounts
        return specs[account.slot].opening_balance_cents

    def __len__(self) -> int:
        return len(self._cents)


CACHED_ACTORS = 20_000


@dataclass(slots=True)
class Actor:
    """One customer.  ``stay`` may be over: then ask `ActorBook.move`.

    ``limit_cents`` is the most that one payment may be, ``pay_class`` a position in `PayDays.since`.
    """

    customer: Customer
    persona: Persona
    habits: Habits
    account: AccountRef
    truth: Truth
    limit_cents: int
    pay_class: int
    stay: Stay


class ActorBook:
    """The actors of a world."""

    def __init__(self, world: World, habits: HabitBook, pay_days: PayDays, pricing: Pricing) -> None:
        self._pay_days = pay_days
        self._pricing = pricing
        self._world = world
        self._habits = habits
        self._trips = Trips(world)
        self._truths = {name: Truth(Label.GENUINE, name) for name in world.personas}
        self._actors: dict[int, Actor] = {}

    def of(self, index: int, timestamp_s: float) -> Actor:
        """The customer at ``index``."""
        found = self._actors.get(index)
        if found is None:
            found = self._actors[index] = self._make(index, timestamp_s)
            if len(self._actors) > CACHED_ACTORS:
                del self._actors[next(iter(self._actors))]  # the oldest
        return found

    def move(self, actor: Actor, timestamp_s: float) -> Stay:
        """Bring ``actor.stay`` to that moment, and return it."""
        actor.stay = self._trips.stay(actor.customer, timestamp_s)
        return actor.stay

    def __len__(self) -> int:
        return len(self._actors)

    def _make(self, index: int, timestamp_s: float) -> Actor:
        customer = self._world.population.customer(index)
        return Actor(
            customer,
            self._world.personas[customer.persona],
            self._habits.of(customer),
            AccountRef(index),
            self._truths[customer.persona],
            self._pricing.limit_cents(customer),
            self._pay_days.class_of(index),
            self._trips.stay(customer, timestamp_s),
        )
