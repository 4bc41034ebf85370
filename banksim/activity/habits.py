"""What a customer keeps coming back to: shops, payees, bills, cash machines, pay days.

Habits are a pure function of (seed, index) like the customer, made when first needed and
kept for the most recent `CACHED_HABITS` customers.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from banksim.activity.calendar import PayDays
from banksim.model import Merchant, Place
from banksim.model.money import to_units
from banksim.world import Choice, Customer, Persona, World, distance_km, near, stream, stream_key, unit_scale
from banksim.world.persona import load_categories
from banksim.world.random import zipf_weights

# -- Journeys: who is away from home, where, and when on the road -----------------------------------
#
# Time is cut into blocks of 28 days, shifted per customer; in each block a customer goes on
# at most one journey, with the persona's chance.  Whether, when and where is a pure
# function of (seed, customer, block), so asking twice, or in another process, gives the
# same answer and nothing needs to be remembered.
#
#       home │ on the way │ there … there │ on the way │ home
#            └ no payments┘               └ no payments┘
#
# On the way nobody pays, and the way takes distance ÷ 800 km/h plus an hour and a half:
# two payments in two cities are therefore always far enough apart in time.


BLOCK_DAYS = 28
DAY_S = 86_400
BLOCK_S = BLOCK_DAYS * DAY_S
MAX_REMEMBERED = 100_000
TRAVEL_SPEED_KMH = 800.0
TRAVEL_OVERHEAD_H = 1.5
ABROAD_SHARE = 0.35
MIN_NIGHTS, MAX_NIGHTS = 2, 9


@dataclass(frozen=True, slots=True)
class Trip:
    """A journey in unix seconds: leaving home, arriving, leaving again, back home."""

    leaves_s: float
    arrives_s: float
    returns_s: float
    home_s: float
    place: Place


class Stay(NamedTuple):
    """From ``from_s`` until ``until_s`` (unix seconds, exclusive) at ``place``; None: on the way."""

    from_s: float
    until_s: float
    place: Place | None


class Trips:
    """The journeys of a world's customers."""

    def __init__(self, world: World) -> None:
        self._world = world
        # At most one entry per customer, and `MAX_REMEMBERED` in all: (block, its journey).
        self._known: dict[int, tuple[int, Trip | None]] = {}

    def whereabouts(self, customer: Customer, timestamp_s: float) -> Place | None:
        """Where the customer stays at that moment; None while on the way."""
        return self.stay(customer, timestamp_s).place

    def stay(self, customer: Customer, timestamp_s: float) -> Stay:
        """Where the customer stays at that moment, and from when until when."""
        shift_s = _shift_s(customer)
        from_s = (timestamp_s + shift_s) // BLOCK_S * BLOCK_S - shift_s
        until_s = from_s + BLOCK_S
        trip = self.trip(customer, timestamp_s)
        if trip is None:
            return Stay(from_s, until_s, customer.home)
        edges = (from_s, trip.leaves_s, trip.arrives_s, trip.returns_s, trip.home_s, until_s)
        places = (customer.home, None, trip.place, None, customer.home)
        part = bisect_right(edges, timestamp_s, 1, len(places)) - 1
        return Stay(edges[part], edges[part + 1], places[part])

    def trip(self, customer: Customer, timestamp_s: float) -> Trip | None:
        """The journey in the customer's 28 days around that moment, if there is one."""
        shift_s = _shift_s(customer)
        block = int((timestamp_s + shift_s) // BLOCK_S)
        known = self._known.get(customer.index)
        if known is not None and known[0] == block:
            return known[1]
        trip = self._plan(customer, block, block * BLOCK_S - shift_s)
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()  # each is a pure function, so forgetting costs only time
        self._known[customer.index] = (block, trip)
        return trip

    def _plan(self, customer: Customer, block: int, block_start_s: float) -> Trip | None:
        world = self._world
        chance = world.personas[customer.persona].trips_per_month * BLOCK_DAYS / 30.4
        if stream_key(world.seed, "trip", customer.index, block) / 2**64 >= chance:
            return None
        rng = stream(world.seed, "trip details", customer.index, block)
        place = world.places.destination(rng, customer.home, abroad=rng.random() < ABROAD_SHARE)
        if place is None:
            return None
        return _timetable(rng, customer.home, place, block_start_s)


def _shift_s(customer: Customer) -> int:
    return customer.index * 7919 % BLOCK_DAYS * DAY_S


def _timetable(rng: random.Random, home: Place, place: Place, block_start_s: float) -> Trip:
    way_s = (distance_km(home, place) / TRAVEL_SPEED_KMH + TRAVEL_OVERHEAD_H) * 3600
    nights = rng.randint(MIN_NIGHTS, MAX_NIGHTS)
    # Both ways fit into the block: the longest way on Earth takes a day and a half here.
    day = rng.randint(1, BLOCK_DAYS - nights - 5)
    leaves_s = block_start_s + day * DAY_S + rng.uniform(5, 17) * 3600
    returns_s = leaves_s + way_s + nights * DAY_S + rng.uniform(-3, 3) * 3600
    return Trip(leaves_s, leaves_s + way_s, returns_s, returns_s + way_s, place)


CACHED_HABITS = 20_000
REGULAR_SHARE = 0.70
REGULAR_ONLINE_SHARE = 0.50
REGULAR_PAYEE_SHARE = 0.80
_HOME_OWNERS = 0.35
_NOISY_BILLS = frozenset({"utilities", "telecom"})
_MONTH_DAYS = 30.4
_MOST_SHOPS = 8
#: Ranks of a list of favourites by its length: the second sees half of what the first sees.
_RANKS = {n: Choice(range(n), zipf_weights(n)) for n in range(1, _MOST_SHOPS + 1)}


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill that comes again: who is paid, how much (units), and whether the amount varies."""

    biller: Merchant
    amount_units: float
    varies: bool


@dataclass(frozen=True, slots=True)
class Habits:
    """One customer's.  ``payees`` are population indices; ``pay_units`` is one pay day's."""

    shops: tuple[Merchant, ...]
    online_shops: tuple[Merchant, ...]
    bills: tuple[Bill, ...]
    bill_turns: Choice[int]
    payees: tuple[int, ...]
    cash_machines: tuple[Place, ...]
    pay_period_days: int
    pay_units: float
    pay_varies: bool

    def regular_shop(self, rng: random.Random) -> Merchant:
        """One of the regular shops, the first of them most often."""
        return self.shops[_RANKS[len(self.shops)].pick(rng)]

    def regular_online_shop(self, rng: random.Random) -> Merchant:
        return self.online_shops[_RANKS[len(self.online_shops)].pick(rng)]

    def due_bill(self, rng: random.Random) -> Bill:
        """One of the household's bills, by how often each comes."""
        return self.bills[self.bill_turns.pick(rng)]


class HabitBook:
    """The habits of everybody in a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._scale = unit_scale(world.currency)
        self._pay_days = PayDays(world.population)
        self._shop_mix = {p.name: Choice.of(p.merchants) for p in world.personas.values()}
        self._open_mix = {
            (p.name, hour): _open_categories(p, hour) for p in world.personas.values() for hour in range(24)
        }
        self._online_mix = {p.name: Choice.of(p.online_merchants) for p in world.personas.values()}
        self._bill_turns = {
            (p.name, owns): _bill_turns(p, owns) for p in world.personas.values() for owns in (False, True)
        }
        self._cache: OrderedDict[int, Habits] = OrderedDict()

    def open_category(self, persona: str, hour: int, rng: random.Random) -> str | None:
        """A category of the persona's shopping that is open at that hour; None when all are closed."""
        choice = self._open_mix[persona, hour]
        return choice.pick(rng) if choice is not None else None

    def online_category(self, persona: str, rng: random.Random) -> str:
        return self._online_mix[persona].pick(rng)

    def of(self, customer: Customer) -> Habits:
        """The customer's habits, from the cache or made anew."""
        found = self._cache.get(customer.index)
        if found is None:
            found = self._make(customer)
            self._cache[customer.index] = found
            if len(self._cache) > CACHED_HABITS:
                self._cache.popitem(last=False)
        return found

    def _make(self, customer: Customer) -> Habits:
        world, persona = self._world, self._world.personas[customer.persona]
        rng = stream(world.seed, "habits", customer.index)
        shops = [
            world.merchants.pick(rng, customer.home, self._shop_mix[persona.name].pick(rng))
            for _ in range(rng.randint(3, _MOST_SHOPS))
        ]
        online = [
            world.merchants.pick(rng, customer.home, self.online_category(persona.name, rng), online=True)
            for _ in range(rng.randint(2, 4))
        ]
        bills, turns = self._bills(persona, customer, rng)
        payees = {world.population.pick(rng) for _ in range(rng.randint(2, 6))}
        days = self._pay_days.period_days(customer.index)
        pay_units = to_units(customer.income_cents, world.currency) * days / _MONTH_DAYS
        return Habits(
            shops=tuple(shops),
            online_shops=tuple(online),
            bills=bills,
            bill_turns=turns,
            payees=tuple(sorted(payees - {customer.index})),
            cash_machines=(near(customer.home, rng, 1.0), near(customer.home, rng, 2.5)),
            pay_period_days=days,
            pay_units=pay_units,
            pay_varies=rng.random() < 0.35,
        )

    def _bills(
        self, persona: Persona, customer: Customer, rng: random.Random
    ) -> tuple[tuple[Bill, ...], Choice[int]]:
        owns_home = rng.random() < _HOME_OWNERS
        categories, turns = self._bill_turns[persona.name, owns_home]
        bills = []
        for category in categories:
            amount = persona.amounts[category].draw(rng) * self._scale
            if category == "rent":
                amount = max(10.0, round(amount / 10)) * 10 if self._scale == 1 else round(amount, -3)
            biller = self._world.merchants.pick(rng, customer.home, category)
            bills.append(Bill(biller, amount, category in _NOISY_BILLS))
        return tuple(bills), turns


def _bill_turns(persona: Persona, owns_home: bool) -> tuple[tuple[str, ...], Choice[int]]:
    """The categories of a household's bills, and a draw of their positions."""
    weights = dict(persona.bills)
    if owns_home and len(weights) > 1:
        weights.pop("rent", None)
    return tuple(weights), Choice(range(len(weights)), weights.values())


def _open_categories(persona: Persona, hour: int) -> Choice[str] | None:
    categories = load_categories()
    weights = {name: weight for name, weight in persona.merchants.items() if categories[name].is_open(hour)}
    return Choice.of(weights) if weights else None
