"""Journeys: who is away from home, where, and when on the road.

Time is cut into blocks of 28 days, shifted per customer; in each block a customer goes on
at most one journey, with the persona's chance.  Whether, when and where is a pure
function of (seed, customer, block), for many customers at once (`Journeys`) or one (`Trips`).

      home │ on the way │ there … there │ on the way │ home
           └ no payments┘               └ no payments┘

On the way nobody pays, and the way takes distance ÷ 800 km/h plus an hour and a half:
two payments in two cities are therefore always far enough apart in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from banksim.model import Place
from banksim.world import Customer, World
from banksim.world.columns import DEGREE, People
from banksim.world.places import EARTH_RADIUS_KM
from banksim.world.random import Bools, Draws, Floats, Ints

BLOCK_DAYS = 28
DAY_S = 86_400
BLOCK_S = BLOCK_DAYS * DAY_S
TRAVEL_SPEED_KMH = 800.0
TRAVEL_OVERHEAD_H = 1.5
ABROAD_SHARE = 0.35
MIN_NIGHTS, MAX_NIGHTS = 2, 9
_CITY_TRIES = 8
#: Room in the stream for the blocks of one customer.
_BLOCKS = 1 << 16

Degrees = NDArray[np.int32]


class Who(NamedTuple):
    """Some customers and what is asked of them most: equally long columns."""

    customer: Ints
    persona: Ints
    city: Ints

    def at(self, positions: Ints | Bools) -> Who:
        return Who(self.customer[positions], self.persona[positions], self.city[positions])

    def repeat(self, count: int) -> Who:
        return Who(self.customer.repeat(count), self.persona.repeat(count), self.city.repeat(count))


class Stay(NamedTuple):
    """Where customers are at their moments: city and point (`DEGREE`), away from home, on the way."""

    city: Ints
    latitude: Degrees
    longitude: Degrees
    is_away: Bools
    on_the_way: Bools

    def at(self, positions: Ints | Bools) -> Stay:
        return Stay(
            self.city[positions],
            self.latitude[positions],
            self.longitude[positions],
            self.is_away[positions],
            self.on_the_way[positions],
        )

    def put(self, positions: Ints, values: Stay) -> None:
        self.city[positions], self.is_away[positions] = values.city, values.is_away
        self.latitude[positions], self.longitude[positions] = values.latitude, values.longitude
        self.on_the_way[positions] = values.on_the_way


class TripColumns(NamedTuple):
    """Journeys in unix seconds, as a `Trip`.  ``leaves_s`` is infinite where there is none."""

    leaves_s: Floats
    arrives_s: Floats
    returns_s: Floats
    home_s: Floats
    city: Ints
    latitude: Degrees
    longitude: Degrees


class Journeys:
    """The journeys of a world's customers, for many at once."""

    def __init__(self, world: World) -> None:
        self._people = world.population.people
        self._draws = Draws(world.seed, "habits", "trips")
        self._chance = np.array([p.trips_per_month * BLOCK_DAYS / 30.4 for p in world.personas.values()])

    def goes(self, customer: int, persona: int, timestamp_s: float) -> bool:
        """Whether a customer goes on a journey in the 28 days around a moment."""
        block = int((timestamp_s + _shift_s(customer)) // BLOCK_S)
        word = self._draws.word(customer * _BLOCKS + block % _BLOCKS)
        return bool((word >> 11) * 2.0**-53 < self._chance[persona])

    def trips(self, who: Who, latitude: Degrees, longitude: Degrees, timestamp_s: Floats) -> TripColumns:
        """The journey of each customer, at home at the point given, in the 28 days around a moment."""
        shift_s = _shift_s(who.customer)
        block = ((timestamp_s + shift_s) // BLOCK_S).astype(np.int64)
        rows = who.customer * _BLOCKS + block % _BLOCKS
        goes = self._draws.units(rows, 0) < self._chance[who.persona]
        leaves_s = np.full(len(rows), np.inf)
        arrives_s, returns_s, home_s = leaves_s.copy(), leaves_s.copy(), leaves_s.copy()
        city, places = who.city.copy(), (latitude.copy(), longitude.copy())
        at = np.flatnonzero(goes)
        if len(at):
            rows, draws = rows[at], self._draws
            town = self._destination(rows, who.city[at])
            north, east = self._people.map.near(town, draws, rows, 20, 4.0)
            goes_far = town != who.city[at]
            at, rows, town, north, east = (c[goes_far] for c in (at, rows, town, north, east))
            way_s = distances_km(latitude[at], longitude[at], north, east) / TRAVEL_SPEED_KMH * 3600
            way_s += TRAVEL_OVERHEAD_H * 3600
            nights = MIN_NIGHTS + draws.below(rows, 2, MAX_NIGHTS - MIN_NIGHTS + 1)
            # Both ways fit into the block: the longest way on Earth takes a day and a half here.
            day = 1 + draws.below(rows, 3, BLOCK_DAYS - nights - 5)
            start_s = block[at] * BLOCK_S - shift_s[at]
            leaves_s[at] = start_s + day * DAY_S + (5 + 12 * draws.units(rows, 4)) * 3600
            arrives_s[at] = leaves_s[at] + way_s
            returns_s[at] = arrives_s[at] + nights * DAY_S + (6 * draws.units(rows, 5) - 3) * 3600
            home_s[at] = returns_s[at] + way_s
            city[at], places[0][at], places[1][at] = town, north, east
        return TripColumns(leaves_s, arrives_s, returns_s, home_s, city, *places)

    def stay(self, who: Who, latitude: Degrees, longitude: Degrees, timestamp_s: Floats) -> Stay:
        """Where each customer, at home at the point given, is at each moment.

        On the way, the place is the destination's.
        """
        at_home = np.zeros(len(who.customer), bool)
        trip = self.trips(who, latitude, longitude, timestamp_s)
        away = np.flatnonzero((timestamp_s >= trip.leaves_s) & (timestamp_s < trip.home_s))
        if not len(away):
            return Stay(who.city, latitude, longitude, at_home, at_home)
        is_away, on_the_way, city = at_home, at_home.copy(), who.city.copy()
        latitude, longitude = latitude.copy(), longitude.copy()
        is_away[away] = True
        moment_s = timestamp_s[away]
        on_the_way[away] = (moment_s < trip.arrives_s[away]) | (moment_s >= trip.returns_s[away])
        city[away], latitude[away], longitude[away] = (
            column[away] for column in (trip.city, trip.latitude, trip.longitude)
        )
        return Stay(city, latitude, longitude, is_away, on_the_way)

    def _destination(self, rows: Ints, homes: Ints) -> Ints:
        """Another city for each row; the home city again where there is none."""
        abroad = (self._draws.units(rows, 1) < ABROAD_SHARE).astype(np.int64)
        found = homes.copy()
        todo = np.arange(len(rows))
        for attempt in range(_CITY_TRIES):
            units = self._draws.units(rows[todo], 6 + attempt)
            found[todo] = self._people.map.by_population.pick(abroad[todo], units)
            todo = todo[found[todo] == homes[todo]]
        return found


def one(people: People, customer: int) -> tuple[Who, Degrees, Degrees]:
    """One customer as columns, with the latitude and longitude of the home."""
    index = np.array([customer], np.int64)
    cities = people.home_cities(index)
    return Who(index, people.ranks.personas(index), cities), *people.homes(index, cities)


def distances_km(
    latitude: Degrees, longitude: Degrees, other_latitude: Degrees, other_longitude: Degrees
) -> Floats:
    """Great-circle distances, as `places.distance_km`; all in `DEGREE`."""
    to_radians = np.pi / 180 / DEGREE
    north, other_north = latitude * to_radians, other_latitude * to_radians
    half_lat = (other_north - north) / 2
    half_lon = (other_longitude.astype(np.int64) - longitude) * (to_radians / 2)
    chord = np.sin(half_lat) ** 2 + np.cos(north) * np.cos(other_north) * np.sin(half_lon) ** 2
    distances: Floats = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(1.0, np.sqrt(chord)))
    return distances


IntOrInts = TypeVar("IntOrInts", int, Ints)


def _shift_s(customer: IntOrInts) -> IntOrInts:
    """By how much a customer's blocks of 28 days are shifted."""
    return customer * 7919 % BLOCK_DAYS * DAY_S


@dataclass(frozen=True, slots=True)
class Trip:
    """A journey in unix seconds: leaving home, arriving, leaving again, back home."""

    leaves_s: float
    arrives_s: float
    returns_s: float
    home_s: float
    place: Place


class Trips:
    """The journeys of a world's customers."""

    def __init__(self, world: World) -> None:
        self._people = world.population.people
        self._journeys = Journeys(world)

    def whereabouts(self, customer: Customer, timestamp_s: float) -> Place | None:
        """Where the customer stays at that moment; None while on the way."""
        trip = self.trip(customer, timestamp_s)
        if trip is None or timestamp_s < trip.leaves_s or timestamp_s >= trip.home_s:
            return customer.home
        return trip.place if trip.arrives_s <= timestamp_s < trip.returns_s else None

    def trip(self, customer: Customer, timestamp_s: float) -> Trip | None:
        """The journey in the customer's 28 days around that moment, if there is one."""
        who, latitude, longitude = one(self._people, customer.index)
        if not self._journeys.goes(customer.index, int(who.persona[0]), timestamp_s):
            return None
        trip = self._journeys.trips(who, latitude, longitude, np.array([timestamp_s]))
        leaves_s, arrives_s, returns_s, home_s = (float(moment_s[0]) for moment_s in trip[:4])
        if leaves_s == np.inf:
            return None
        city = self._people.map.cities[int(trip.city[0])]
        north, east = float(trip.latitude[0]) / DEGREE, float(trip.longitude[0]) / DEGREE
        place = Place(city.name, city.country, north, east)
        return Trip(leaves_s, arrives_s, returns_s, home_s, place)
