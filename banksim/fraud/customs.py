"""How honest people here behave, as far as a fraudster imitates it.

Made once per run and shared by all campaigns: the parts keep caches.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from banksim.activity.habits import HabitBook, Habits
from banksim.activity.rhythm import Rhythm
from banksim.activity.trips import Trips
from banksim.domain import Channel, Kind
from banksim.world import Choice, Customer, World


@dataclass(frozen=True, slots=True)
class Customs:
    """The habits of each customer, which channels are used when, and who is away from home."""

    habits: HabitBook
    rhythm: Rhythm
    trips: Trips

    @classmethod
    def of(cls, world: World) -> Customs:
        return cls(HabitBook(world), Rhythm(world), Trips(world))

    def of_customer(self, customer: Customer) -> Habits:
        return self.habits.of(customer)

    def channel(
        self,
        world: World,
        customer: Customer,
        kind: Kind,
        allowed: tuple[Channel, ...],
        moment_s: float,
        rng: random.Random,
    ) -> Channel:
        """One of ``allowed`` that is open then, as often as the customer's persona uses it."""
        in_use = self.rhythm.channels_at(customer.persona, kind, world.hour_of_week(moment_s))
        open_now = allowed if in_use is None else tuple(c for c in allowed if c in in_use.items)
        usual = world.personas[customer.persona].channels.get(kind, {})
        weights = {channel: usual.get(channel, 0.0) for channel in open_now}
        if sum(weights.values()) > 0:
            return Choice.of(weights).pick(rng)
        return rng.choice(open_now or allowed[-1:])
