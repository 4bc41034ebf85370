"""A customer ready to act: everything about one that a plan looks at, found by one look-up.

Actors are made when first needed and kept for the most recent `CACHED_ACTORS` customers;
nothing in them needs to be remembered, so dropping one loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from banksim.activity.amounts import Pricing
from banksim.activity.habits import HabitBook, Habits
from banksim.activity.pay_days import PayDays
from banksim.activity.trips import Stay, Trips
from banksim.domain import AccountRef, Label, Truth
from banksim.world import Customer, Persona, World

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
