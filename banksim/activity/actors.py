"""A customer ready to act: everything about one that a plan looks at, found by one look-up.

Actors are made when first needed and kept for the most recent `CACHED_ACTORS` customers;
nothing in them needs to be remembered, so dropping one loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from banksim.activity.habits import HabitBook, Habits
from banksim.activity.trips import Stay, Trips
from banksim.domain import AccountRef, Label, Place, Truth
from banksim.world import Customer, Persona, World

CACHED_ACTORS = 20_000


@dataclass(slots=True)
class Actor:
    """One customer.  ``stay`` is where they last were known to be; ask `ActorBook.whereabouts`."""

    customer: Customer
    persona: Persona
    habits: Habits
    account: AccountRef
    truth: Truth
    stay: Stay


class ActorBook:
    """The actors of a world."""

    def __init__(self, world: World, habits: HabitBook) -> None:
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

    def whereabouts(self, actor: Actor, timestamp_s: float) -> Place | None:
        """Where the customer is at that moment; None while on the way."""
        stay = actor.stay
        if not stay.from_s <= timestamp_s < stay.until_s:
            stay = actor.stay = self._trips.stay(actor.customer, timestamp_s)
        return stay.place

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
            self._trips.stay(customer, timestamp_s),
        )
