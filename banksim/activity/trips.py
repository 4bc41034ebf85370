"""Journeys: who is away from home, where, and when on the road.

Time is cut into blocks of 28 days, shifted per customer; in each block a customer goes on
at most one journey, with the persona's chance.  Whether, when and where is a pure
function of (seed, customer, block), so asking twice, or in another process, gives the
same answer and nothing needs to be remembered.

      home │ on the way │ there … there │ on the way │ home
           └ no payments┘               └ no payments┘

On the way nobody pays, and the way takes distance ÷ 800 km/h plus an hour and a half:
two payments in two cities are therefore always far enough apart in time.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from banksim.domain import Place
from banksim.world import Customer, World, distance_km, stream, stream_key

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
