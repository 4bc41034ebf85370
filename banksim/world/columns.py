"""The population as columns: what is true of many customers at once.

Everything is a pure function of (seed, customer's index), computed for the customers asked for and not
kept; a `Customer` is made from the same functions, so a column and an object never disagree.

Places are whole ten-thousandths of a degree (`DEGREE`), which is what a `Place` is rounded to, so
equal places are equal numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, exp, gcd, log1p, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from banksim.model.money import to_cents
from banksim.world.persona import TIER_LIMIT_UNITS, Persona
from banksim.world.places import CITY_RADIUS_KM, KM_PER_DEGREE, City, Places
from banksim.world.random import Draws, Floats, Ints, Shares, rounded, stream_key, unit, unit_scale, uuid_text

#: Units of latitude and longitude in one degree.
DEGREE = 10_000
#: A customer has one to three devices; their ids are numbered with room for a fourth.
MAX_DEVICES = 4
#: Customers of a persona are not equally busy: the busiest tenth makes a fifth of the transactions, as by the
#: rule of the Fraud Detection Handbook's simulator, and nobody more than 2.5 times the mean.  Positions are
#: drawn as this part of u plus the rest of u to the power 2.5.
EVEN_PART = 0.4
#: Early, usual and late people: the hours they prefer, and how much less they do at others (judgement).
_CHRONOTYPES, _CHRONOTYPE_SPREAD_H, _CHRONOTYPE_FLOOR = (9.5, 14.0, 20.0), 4.0, 0.35
#: How far people's own price levels are apart: sigma of the logarithm (set so that amounts of one customer
#: are as alike as in the Handbook's rule, see docs/realism.md).
PRICE_LEVEL_SIGMA = 0.5
HOME_SPREAD_KM = 4.0
_DEVICES = np.array([1, 1, 2, 2, 3], np.int8)
#: Many live from pay day to pay day (judgement).
_BALANCE_SIGMA = 1.0
_INCOME_SIGMA = 0.25
# Which number of the stream "customer" decides on what.
_CITY, _HOME, _DEVICE_COUNT, _INCOME, _BALANCE, _LEVEL, _HABIT = 0, 1, 3, 4, 6, 60, 62


@dataclass(frozen=True, slots=True)
class Ranks:
    """The affine permutation between customers' indices and ranks; personas own consecutive ranks.

    ``edges`` has the first rank of each persona and the size at its end.
    """

    size: int
    factor: int
    inverse: int
    shift: int
    edges: tuple[int, ...]

    def personas(self, customers: Ints) -> Ints:
        """The persona's position for each customer."""
        edges = np.asarray(self.edges, np.int64)
        personas: Ints = np.searchsorted(edges, self.ranks(customers), side="right") - 1
        return personas

    def ranks(self, customers: Ints) -> Ints:
        return (customers * self.factor + self.shift) % self.size

    def pick(self, personas: Ints, units: Floats) -> Ints:
        """A customer of each persona, for numbers in [0, 1)."""
        edges = np.asarray(self.edges, np.int64)
        first, count = edges[personas], np.diff(edges)[personas]
        ranks = first + np.minimum((units * count).astype(np.int64), count - 1)
        customers: Ints = (ranks - self.shift) * self.inverse % self.size
        return customers

    def nth(self, persona: int, positions: Ints) -> Ints:
        """The customers at some positions of a persona, 0 ≤ position < its count."""
        customers: Ints = (self.edges[persona] + positions - self.shift) * self.inverse % self.size
        return customers


class Crowd:
    """Who of a persona acts at some hour: some are busier than others, and each has hours of their own.

    A persona's customers stand in an order of their own, the busiest first; every third of them is early,
    usual or late.
    """

    def __init__(self, seed: int, ranks: Ranks, hourly: Sequence[Sequence[float]]) -> None:
        """``hourly`` has 24 weights per persona."""
        self._ranks = ranks
        self._first = np.asarray(ranks.edges[:-1], np.int64)
        self._count = np.diff(np.asarray(ranks.edges, np.int64))
        rng = np.random.default_rng(stream_key(seed, "crowd"))
        self._factor = np.array([coprime_near(int(n * rng.random()), int(n)) for n in self._count])
        self._shift = np.array([int(n * rng.random()) for n in self._count])
        #: Customers per persona and chronotype, and the edges between the chronotypes by persona × 24 hours.
        self._size = (self._count[:, None] + 2 - np.arange(3)) // 3
        self._edges = np.stack(
            [_chronotypes(hours, size) for hours, size in zip(hourly, self._size, strict=True)]
        )

    def pick(self, personas: Ints, hours: Ints, units: Floats) -> Ints:
        """A customer of each persona, for clock hours and numbers in [0, 1)."""
        low, high = self._edges[personas, hours].T
        kind = (units >= low).astype(np.int64) + (units >= high)
        start = np.where(kind == 0, 0.0, np.where(kind == 1, low, high))
        end = np.where(kind == 0, low, np.where(kind == 1, high, 1.0))
        size = self._size[personas, kind]
        part = np.clip((units - start) / np.maximum(end - start, 1e-12), 0.0, 1 - 1e-9)
        part = EVEN_PART * part + (1 - EVEN_PART) * part * part * np.sqrt(part)
        position = (size * part).astype(np.int64) * 3 + kind
        rank = (
            self._first[personas]
            + (position * self._factor[personas] + self._shift[personas]) % (self._count[personas])
        )
        customers: Ints = (rank - self._ranks.shift) * self._ranks.inverse % self._ranks.size
        return customers


def _chronotypes(hourly: Sequence[float], sizes: Ints) -> Floats:
    """For each hour up to which numbers the early, and up to which the usual people act: 24 × 2.

    The weights are fitted so that each chronotype acts in all as often as it has people.
    """
    away_h = np.abs(np.arange(24)[:, None] + 0.5 - np.array(_CHRONOTYPES))
    away_h = np.minimum(away_h, 24 - away_h)
    liking = np.exp(-0.5 * (away_h / _CHRONOTYPE_SPREAD_H) ** 2) + _CHRONOTYPE_FLOOR
    weights = np.asarray(hourly, np.float64)[:, None] + 1e-9
    wanted = sizes / max(1, sizes.sum())
    for _ in range(50):
        liking /= np.maximum(liking.sum(axis=1, keepdims=True), 1e-300)
        acted = (weights * liking).sum(axis=0) / weights.sum()
        liking *= wanted / np.maximum(acted, 1e-12)
    liking /= np.maximum(liking.sum(axis=1, keepdims=True), 1e-300)
    edges: Floats = np.cumsum(liking, axis=1)[:, :2]
    return edges


def coprime_near(value: int, size: int) -> int:
    """The next number from ``value`` on that shares no factor with ``size``."""
    candidate = max(1, value)
    while gcd(candidate, max(1, size)) != 1:
        candidate += 1
    return candidate


class Map:
    """The cities as columns."""

    def __init__(self, places: Places) -> None:
        self.cities: tuple[City, ...] = places.cities
        self.codes = {(city.name, city.country): code for code, city in enumerate(places.cities)}
        self.latitude = np.array([city.place.latitude for city in places.cities])
        self.longitude = np.array([city.place.longitude for city in places.cities])
        self._stretch = KM_PER_DEGREE * np.cos(np.radians(self.latitude))
        self.is_home = np.array([city.country == places.home_country for city in places.cities])
        weights = [city.population_k for city in places.cities]
        home = [weight * bool(own) for weight, own in zip(weights, self.is_home, strict=True)]
        abroad = [weight * (not own) for weight, own in zip(weights, self.is_home, strict=True)]
        #: Choices of a city by inhabitants: 0 at home, 1 abroad (at home where there is no abroad).
        self.by_population = Shares([home, abroad if sum(abroad) > 0 else home])

    def near(
        self, cities: Ints, draws: Draws, rows: Ints, k: int, spread_km: float
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Latitude and longitude of a point around each city's centre, as `places.near` draws one.

        Uses the numbers ``k`` and ``k`` + 1.
        """
        return self.around(self.latitude[cities], self.longitude[cities], cities, draws, rows, k, spread_km)

    def around(
        self,
        latitude: Floats,
        longitude: Floats,
        cities: Ints,
        draws: Draws,
        rows: Ints,
        k: int,
        spread_km: Floats | float,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The same around points in the cities, in degrees."""
        away_km = np.sqrt(-2.0 * np.log1p(-draws.units(rows, k))) * spread_km
        np.minimum(away_km, CITY_RADIUS_KM, out=away_km)
        angle = 2 * np.pi * draws.units(rows, k + 1)
        north = latitude + away_km * np.sin(angle) / KM_PER_DEGREE
        east = longitude + away_km * np.cos(angle) / self._stretch[cities]
        return np.rint(north * DEGREE).astype(np.int32), np.rint(east * DEGREE).astype(np.int32)


class PeopleColumns(NamedTuple):
    """What is true of some customers, equally long columns; ``openings_cents`` has one per account slot."""

    persona: NDArray[np.int8]
    city: NDArray[np.int16]
    latitude: NDArray[np.int32]
    longitude: NDArray[np.int32]
    income_cents: Ints
    openings_cents: tuple[Ints, ...]


class People:
    """The customers of a population.  Most methods take indices and answer one value for each."""

    def __init__(
        self,
        seed: int,
        ranks: Ranks,
        personas: Sequence[Persona],
        places: Places,
        currency: str,
        balance_unit_cents: float,
        slots: int,
    ) -> None:
        """``balance_unit_cents`` is the mean opening balance of a balance factor of 1."""
        self.slots = slots
        self._all: PeopleColumns | None = None
        self.ranks = ranks
        self.map = Map(places)
        self.currency = currency
        self.devices = Draws(seed, "devices")
        self._draws = Draws(seed, "customer")
        scale = unit_scale(currency)
        self._incomes = np.array([p.income_units * scale * to_cents(1.0, currency) for p in personas])
        drift = exp(-_BALANCE_SIGMA * _BALANCE_SIGMA / 2)  # keeps the log-normal's mean at 1
        self._balances = np.array([balance_unit_cents * p.balance_factor * drift for p in personas])
        #: Per persona, the most one payment may be, in cents.
        self.limits_cents = np.array(
            [TIER_LIMIT_UNITS[kyc_tier(p, currency)] * to_cents(1.0, currency) for p in personas], np.int64
        )

    @property
    def size(self) -> int:
        return self.ranks.size

    def all(self) -> PeopleColumns:
        """Everybody, kept from the first time on: 23 bytes a customer with one account."""
        if self._all is None:
            self._all = self._make(np.arange(self.size, dtype=np.int64))
        return self._all

    def some(self, start: int, end: int) -> PeopleColumns:
        """The customers from ``start`` to ``end`` (exclusive)."""
        if self._all is None:
            return self._make(np.arange(start, end, dtype=np.int64))
        everybody, cut = self._all, slice(start, end)
        return PeopleColumns(
            everybody.persona[cut],
            everybody.city[cut],
            everybody.latitude[cut],
            everybody.longitude[cut],
            everybody.income_cents[cut],
            tuple(openings[cut] for openings in everybody.openings_cents),
        )

    def _make(self, customers: Ints) -> PeopleColumns:
        cities = self.home_cities(customers)
        return PeopleColumns(
            self.ranks.personas(customers).astype(np.int8),
            cities.astype(np.int16),
            *self.homes(customers, cities),
            self.incomes_cents(customers),
            tuple(self.openings_cents(customers, slot) for slot in range(self.slots)),
        )

    def home_cities(self, customers: Ints) -> Ints:
        return self.map.by_population.pick(np.zeros_like(customers), self._draws.units(customers, _CITY))

    def homes(self, customers: Ints, cities: Ints) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Latitude and longitude; ``cities`` as from `home_cities`."""
        return self.map.near(cities, self._draws, customers, _HOME, HOME_SPREAD_KM)

    def device_counts(self, customers: Ints) -> NDArray[np.int8]:
        counts: NDArray[np.int8] = _DEVICES[self._draws.below(customers, _DEVICE_COUNT, len(_DEVICES))]
        return counts

    def device_ids(self, start: int, end: int) -> Iterator[tuple[str, ...]]:
        """The devices of the customers from ``start`` to ``end`` (exclusive), the main one first."""
        first = start * MAX_DEVICES
        high, low = (self.devices.lists(first, end * MAX_DEVICES, k) for k in (0, 1))
        for at, word in enumerate(self._draws.lists(start, end, _DEVICE_COUNT)):
            own = slice(at * MAX_DEVICES, at * MAX_DEVICES + int(_DEVICES[int(unit(word) * len(_DEVICES))]))
            yield tuple(map(uuid_text, high[own], low[own]))

    def device_id(self, customer: int, slot: int) -> str:
        """The id of a customer's device; slot 0 is the main one."""
        key = customer * MAX_DEVICES + slot
        return uuid_text(self.devices.word(key, 0), self.devices.word(key, 1))

    def incomes_cents(self, customers: Ints) -> Ints:
        """A month's income."""
        factor = np.exp(_INCOME_SIGMA * self._draws.normals(customers, _INCOME))
        return rounded(self._incomes[self.ranks.personas(customers)] * factor)

    def price_levels(self, customers: Ints) -> Floats:
        """How dear each customer shops against the persona's middle; 1 on average."""
        drift = PRICE_LEVEL_SIGMA * PRICE_LEVEL_SIGMA / 2
        levels: Floats = np.exp(PRICE_LEVEL_SIGMA * self._draws.normals(customers, _LEVEL) - drift)
        return levels

    def price_level(self, customer: int) -> float:
        """The same for one customer, the quick way; the last bit may differ."""
        near, far = (unit(self._draws.word(customer, _LEVEL + k)) for k in (0, 1))
        normal = sqrt(-2 * log1p(-near)) * cos(2 * pi * far)
        return exp(PRICE_LEVEL_SIGMA * normal - PRICE_LEVEL_SIGMA * PRICE_LEVEL_SIGMA / 2)

    def habits(self, customers: Ints) -> Floats:
        """A number in [0, 1) that decides how much of a customer's shopping is remote."""
        return self._draws.units(customers, _HABIT)

    def openings_cents(self, customers: Ints, slot: int) -> Ints:
        """The opening balance of the account ``slot``."""
        factor = np.exp(_BALANCE_SIGMA * self._draws.normals(customers, _BALANCE + 2 * slot))
        return rounded(self._balances[self.ranks.personas(customers)] * factor)


def kyc_tier(persona: Persona, currency: str) -> str:
    """The tier of a customer of ``persona``.

    The bank's limits are the same number in every currency: a thousand yen is one lunch.
    """
    return persona.kyc_tier if unit_scale(currency) == 1 else "tier_3"
