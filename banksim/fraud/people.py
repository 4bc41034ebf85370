"""The people of fraud: exposed victims, accomplices, and the accounts a campaign has compromised.

Not every customer becomes a victim: in each run only part of them are *exposed* (their data is in
some breach), and a few others lend their accounts.  The two groups do not overlap, and both are
spread over personas and over the whole index range:

    rank r  →  index (offset + r × stride) mod size      stride coprime to size
    |── victims ──|─ accomplices ─|───── never touched ─────|

so membership costs no memory whatever the size of the population.

The attacker's location and devices, and the normal behaviour a careful attacker imitates.

A clumsy attacker uses a machine of their own, from far away.  A sophisticated one controls the
victim's own device, or at least an address near the victim's home.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from banksim.activity.calendar import Rhythm
from banksim.activity.habits import HabitBook, Habits
from banksim.activity.journeys import Trips
from banksim.model import Channel, Kind, Merchant, Place
from banksim.world import Choice, Customer, Population, World, distance_km, opaque_id, stream
from banksim.world.persona import load_categories
from banksim.world.places import CITY_RADIUS_KM

#: Part of the customers whose data is exposed, and the least number of them (judgement).
EXPOSED_SHARE, LEAST_EXPOSED = 0.3, 20
#: Part of the customers who lend or rent out their account (judgement).
ACCOMPLICE_SHARE, LEAST_ACCOMPLICES = 0.05, 10
#: Draws before a less suitable person is taken.
DRAWS = 60
#: Draws for a replacement before a post stays with a person who is already blocked.
REPLACEMENT_DRAWS = 8
#: Bound: compromised customers that one campaign remembers.  A thief with ten thousand live cards
#: has no use for more.
MAX_COMPROMISED = 10_000

#: Whether a customer is suitable.
Suits = Callable[[Customer], bool]
#: Draws one customer who lends an account.
Recruit = Callable[[], Customer]


class VictimPool:
    """The exposed customers and the accomplices of one run."""

    def __init__(self, seed: int, population: Population) -> None:
        size = population.size
        rng = stream(seed, "fraud cast")
        self._population = population
        self._offset = rng.randrange(size)
        stride = rng.randrange(1, size + 1)
        while math.gcd(stride, size) != 1:
            stride += 1
        self._stride = stride
        self.victims = min(size, max(LEAST_EXPOSED, math.ceil(EXPOSED_SHARE * size)))
        wanted = max(LEAST_ACCOMPLICES, math.ceil(ACCOMPLICE_SHARE * size))
        if size - self.victims < wanted:  # a handful of customers: make room for both
            self.victims = max(1, size - min(wanted, size // 2))
        self.accomplices = min(wanted, size - self.victims)

    def index_of(self, rank: int) -> int:
        """Index of the ``rank``-th customer: victims first, then accomplices, then the others."""
        return (self._offset + rank * self._stride) % self._population.size

    def victim(self, rng: random.Random, suits: Suits, avoid: Collection[int]) -> Customer:
        """Draw a suitable exposed customer who is not in ``avoid``.

        After `DRAWS` draws a suitable one from ``avoid`` is taken, or else the first one drawn.
        """
        return self._pick(rng, 0, self.victims, suits, avoid)

    def accomplice(self, rng: random.Random, suits: Suits, avoid: Collection[int]) -> Customer:
        """Draw an accomplice by the same rules.  A population of one has only that one."""
        if self.accomplices == 0:
            return self._pick(rng, 0, self.victims, suits, avoid)
        return self._pick(rng, self.victims, self.accomplices, suits, avoid)

    def bystander(self, rng: random.Random, suits: Suits, avoid: Collection[int]) -> Customer:
        """Draw any customer except accomplices by the same rules; exposed ones live honestly too."""
        genuine = self._population.size - self.accomplices
        return self._pick(rng, self.victims + self.accomplices, genuine, suits, avoid)

    def _pick(
        self, rng: random.Random, first_rank: int, ranks: int, suits: Suits, avoid: Collection[int]
    ) -> Customer:
        fallback: Customer | None = None
        suitable: Customer | None = None
        for _ in range(DRAWS):
            customer = self._population.customer(self.index_of(first_rank + rng.randrange(ranks)))
            fallback = fallback or customer
            if not suits(customer):
                continue
            if customer.index not in avoid:
                return customer
            suitable = suitable or customer
        return suitable or fallback or customer


class Accomplices(Sequence[Customer]):
    """The accomplices of one campaign by post; a blocked one loses the post to the next.

    A typology names posts (0, 1, 2 …) and never keeps people, so money goes to the holder of a post
    at the moment it is sent.  The balance of a blocked account is lost: it is not passed on.  In a
    small bank there may be fewer people than posts; then one person holds several.

    ``blocked`` holds the indices of the people who were replaced.
    """

    def __init__(self, recruit: Recruit, posts: int) -> None:
        self.blocked: set[int] = set()
        self._recruit = recruit
        people = (recruit() for _ in range(max(1, posts)))
        self._members = list({person.index: person for person in people}.values())

    def __len__(self) -> int:
        """Number of different people, at most the number of posts."""
        return len(self._members)

    @overload
    def __getitem__(self, post: int) -> Customer: ...
    @overload
    def __getitem__(self, post: slice) -> list[Customer]: ...
    def __getitem__(self, post: int | slice) -> Customer | list[Customer]:
        """The current holder of ``post``; posts beyond the last person start again at the first."""
        if isinstance(post, slice):
            return self._members[post]
        return self._members[post % len(self._members)]

    def __iter__(self) -> Iterator[Customer]:
        return iter(self._members)

    def holds(self, index: int) -> bool:
        """Whether the customer with that population index has a post."""
        return any(person.index == index for person in self._members)

    def replace(self, index: int) -> None:
        """The account of that customer was blocked: give the post to another accomplice."""
        self.blocked.add(index)
        for post, person in enumerate(self._members):
            if person.index == index:
                self._members[post] = self._successor(person)

    def _successor(self, blocked: Customer) -> Customer:
        for _ in range(REPLACEMENT_DRAWS):
            person = self._recruit()
            if person.index not in self.blocked and not self.holds(person.index):
                return person
        return blocked


class Compromised:
    """Customers whose card or account worked: indices, each once, in order.  A follower inherits them.

    Bounded by `MAX_COMPROMISED`; beyond it nothing is added, and ``overflow`` counts.
    """

    def __init__(self, indices: Iterable[int] = ()) -> None:
        self._indices: dict[int, None] = {}
        self.overflow = 0
        for index in indices:
            self.add(index)

    def add(self, target: Customer | int) -> None:
        index = target if isinstance(target, int) else target.index
        if index in self._indices:
            return
        if len(self._indices) >= MAX_COMPROMISED:
            self.overflow += 1
            return
        self._indices[index] = None

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __contains__(self, target: object) -> bool:
        return (target.index if isinstance(target, Customer) else target) in self._indices


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
