"""The attacker's location and devices, and the normal behaviour a careful attacker imitates.

A clumsy attacker uses a machine of their own, from far away.  A sophisticated one controls the
victim's own device, or at least an address near the victim's home.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from banksim.activity.calendar import Rhythm
from banksim.activity.habits import HabitBook, Habits
from banksim.activity.journeys import Trips
from banksim.model import Channel, Kind, Merchant, Place
from banksim.world import Choice, Customer, World, distance_km, opaque_id, stream
from banksim.world.persona import load_categories
from banksim.world.places import CITY_RADIUS_KM

#: Devices of one attacker, fewest and most (judgement).
DEVICES = (1, 3)
#: Devices that attackers used before, and how often one of them is used again (judgement).
USED_DEVICES, USED_SHARE = 40, 0.5
#: How often a fully sophisticated attacker acts through the victim's own device (judgement).
HIJACKED_AT_BEST = 0.8
#: How often an attacker who is not near the victim acts from another country (judgement; in the EEA card
#: fraud is far more frequent across borders, EBA and ECB 2024).
ABROAD = 0.5


@dataclass(frozen=True, slots=True)
class NormalBehaviour:
    """Customers' habits, the hours of each channel, and their journeys.

    Made once per run and shared by all campaigns, since the parts keep caches.
    """

    habits: HabitBook
    rhythm: Rhythm
    trips: Trips

    @classmethod
    def of(cls, world: World) -> NormalBehaviour:
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
        """One of ``allowed`` that is open at that moment, as often as the customer's persona uses it."""
        in_use = self.rhythm.channels_at(customer.persona, kind, world.hour_of_week(moment_s))
        open_now = allowed if in_use is None else tuple(c for c in allowed if c in in_use.items)
        usual = world.personas[customer.persona].channels.get(kind, {})
        weights = {channel: usual.get(channel, 0.0) for channel in open_now}
        if sum(weights.values()) > 0:
            return Choice.of(weights).pick(rng)
        return rng.choice(open_now or allowed[-1:])


class Attacker:
    """One attacker's devices and places."""

    def __init__(
        self, world: World, rng: random.Random, sophistication: float, genuine: bool = False
    ) -> None:
        """``genuine``: there is no attacker; customers act for themselves."""
        self._world = world
        self._rng = rng
        self._sophistication = sophistication
        self._genuine = genuine
        self.devices = tuple(self._device() for _ in range(rng.randint(*DEVICES)))

    def _device(self) -> str:
        """A new device, or one of a gang's."""
        if self._rng.random() >= USED_SHARE:
            return opaque_id(self._rng)
        return opaque_id(stream(self._world.seed, "used device", self._rng.randrange(USED_DEVICES)))

    def device(self, customer: Customer) -> str:
        """The device of one step: the attacker's, or the customer's own, taken over."""
        if self._genuine or self._rng.random() < HIJACKED_AT_BEST * self._sophistication:
            return customer.devices[0]
        return self._rng.choice(self.devices)

    def base(self, customer: Customer) -> Place:
        """The place the attacker appears to use the customer's account from."""
        if self._genuine or self._rng.random() < self._sophistication:
            return customer.home
        abroad = self._rng.random() < ABROAD
        place = self._world.places.destination(self._rng, customer.home, abroad)
        return place or customer.home

    def far_place(self, origin: Place, least_km: float) -> Place:
        """A city all of whose shops are at least ``least_km`` from ``origin``, or else the farthest city.

        Half of the time it is in the home country, if that has such a city.
        """
        cities, away_km = self._world.places.cities, least_km + CITY_RADIUS_KM
        far = [city for city in cities if distance_km(origin, city.place) >= away_km]
        far = far or [max(cities, key=lambda city: distance_km(origin, city.place))]
        abroad = self._rng.random() < ABROAD
        domestic = [city for city in far if city.country == origin.country]
        choice = domestic if domestic and not abroad else far
        # Large cities most often, as on genuine journeys: no country belongs to fraud alone.
        return self._rng.choices(choice, [city.population_k for city in choice])[0].place

    def shop(self, place: Place, hour: int, categories: tuple[str, ...]) -> Merchant:
        """A shop in the city of ``place`` that is open at ``hour``, if one of ``categories`` is."""
        open_now = [name for name in categories if load_categories()[name].is_open(hour)]
        category = self._rng.choice(open_now or categories)
        return self._world.merchants.pick(self._rng, place, category)
