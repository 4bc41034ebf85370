"""Habits and journeys of many customers at once: pure functions of (seed, index), nothing kept.

What a customer keeps coming back to (shops, payees, bills, cash machines, pay days), and when
they are away from home.  `habits` and `trips` make their objects from the same functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from banksim.activity.calendar import PAY_CLASSES, PayDays
from banksim.activity.habits import (
    ABROAD_SHARE,
    BLOCK_DAYS,
    BLOCK_S,
    DAY_S,
    MAX_NIGHTS,
    MIN_NIGHTS,
    REGULAR_ONLINE_SHARE,
    REGULAR_SHARE,
    TRAVEL_OVERHEAD_H,
    TRAVEL_SPEED_KMH,
    _bill_turns,
)
from banksim.world import Persona, World, unit_scale
from banksim.world.columns import DEGREE, NET, People, Shops
from banksim.world.draws import Bools, Draws, Floats, Ints, Shares
from banksim.world.places import EARTH_RADIUS_KM
from banksim.world.random import zipf_weights

MAX_SHOPS, MAX_ONLINE, MAX_PAYEES = 8, 4, 6
_MIN_SHOPS, _MIN_ONLINE, _MIN_PAYEES = 3, 2, 2
_HOME_OWNERS = 0.35
_MONTH_DAYS = 30.4
_VARYING_PAY = 0.35
_SHOP_TRIES = 4
_CITY_TRIES = 8
# Rooms in the streams: rows of one customer and of one 28 days.
_BILLS, _BLOCKS = 64, 1 << 16

Degrees = NDArray[np.int32]


class Who(NamedTuple):
    """Some customers and what is asked of them most: equally long columns."""

    customer: Ints
    persona: Ints
    city: Ints

    def at(self, positions: Ints | Bools) -> Who:
        return Who(self.customer[positions], self.persona[positions], self.city[positions])


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


class Journeys(NamedTuple):
    """Journeys in unix seconds: `trips.Trip` as columns.  ``leaves_s`` is infinite where there is none."""

    leaves_s: Floats
    arrives_s: Floats
    returns_s: Floats
    home_s: Floats
    city: Ints
    latitude: Degrees
    longitude: Degrees


class HabitColumns:
    """The habits of a world's customers."""

    def __init__(self, world: World, people: People, shops: Shops) -> None:
        personas = list(world.personas.values())
        self._people, self.shops = people, shops
        self._scale = unit_scale(world.currency)
        self._shop, self._net, self._payee, self._bill, self._machine, self._pay, self._trip = (
            Draws(world.seed, "habits", name)
            for name in ("shops", "net", "payees", "bills", "machines", "pay", "trips")
        )
        names = shops.categories
        self._shop_mix = Shares([[p.merchants.get(name, 0.0) for name in names] for p in personas])
        self._net_mix = Shares([[p.online_merchants.get(name, 0.0) for name in names] for p in personas])
        self._open_mix = Shares(
            [
                [p.merchants.get(name, 0.0) * shops.is_open[code, hour] for code, name in enumerate(names)]
                for p in personas
                for hour in range(24)
            ]
        )
        sells = np.array([[name in p.merchants for name in names] for p in personas])
        self._any_open = (sells.astype(np.int64) @ shops.is_open.astype(np.int64)) > 0
        self._favourites = Shares([[1.0], *(zipf_weights(n) for n in range(1, MAX_SHOPS + 1))])
        self._set_bills(personas)
        days = PayDays(world.population)
        self._pay_edges = np.array(
            [
                first + end
                for first, p in zip(people.ranks.edges, personas, strict=False)
                for end in days.ends(p.name)
            ]
        )
        self._pay_period = np.array([period for period, _ in PAY_CLASSES])
        self._trip_chance = np.array([p.trips_per_month * BLOCK_DAYS / 30.4 for p in personas])

    def _set_bills(self, personas: Sequence[Persona]) -> None:
        """Tables of the bills of a household by persona × 2, plus 1 for those who own their home."""
        turns = [_bill_turns(p, owns) for p in personas for owns in (False, True)]
        codes = self.shops.category_codes
        self._bill_turns = Shares([[share for _, share in choice.shares()] for _, choice in turns])
        self._bill_category = np.zeros((len(turns), max(len(names) for names, _ in turns)), np.int64)
        self._bill_model = np.zeros((*self._bill_category.shape, 2))
        for row, (names, _) in enumerate(turns):
            models = [personas[row // 2].amounts[name] for name in names]
            self._bill_category[row, : len(names)] = [codes[name] for name in names]
            self._bill_model[row, : len(names)] = models
        self._rent = codes.get("rent", -1)

    # ---- shops

    def shop_counts(self, customers: Ints) -> Ints:
        """How many regular shops each has."""
        return _MIN_SHOPS + self._shop.below(customers * MAX_SHOPS, 2, MAX_SHOPS - _MIN_SHOPS + 1)

    def shop(self, who: Who, ranks: Ints) -> NDArray[np.int32]:
        """The regular shop of that rank, 0 is the favourite."""
        rows = who.customer * MAX_SHOPS + ranks
        categories = self._shop_mix.pick(who.persona, self._shop.units(rows, 0))
        return self.shops.pick(who.city, categories, self._shop.units(rows, 1))

    def online_counts(self, customers: Ints) -> Ints:
        return _MIN_ONLINE + self._net.below(customers * MAX_ONLINE, 2, MAX_ONLINE - _MIN_ONLINE + 1)

    def online_shop(self, who: Who, ranks: Ints) -> NDArray[np.int32]:
        """The regular shop on the net of that rank."""
        rows = who.customer * MAX_ONLINE + ranks
        categories = self._net_mix.pick(who.persona, self._net.units(rows, 0))
        return self.shops.pick(np.full_like(ranks, NET), categories, self._net.units(rows, 1))

    def visit(
        self, who: Who, where: Ints, at_home: Bools, hours: Ints, draws: Draws, rows: Ints
    ) -> NDArray[np.int32]:
        """An open shop for each row in the city ``where``, often a regular one; -1 where all are closed.

        Uses the numbers 0 to 6 of ``draws``.
        """
        found = np.full(len(rows), -1, np.int32)
        todo = np.flatnonzero(at_home & (draws.units(rows, 0) < REGULAR_SHARE))
        for attempt in range(_SHOP_TRIES):
            if not len(todo):
                break
            own = who.at(todo)
            ranks = self._favourites.pick(
                self.shop_counts(own.customer), draws.units(rows[todo], 1 + attempt)
            )
            shops = self.shop(own, ranks)
            is_open = self.shops.is_open[self.shops.category[shops], hours[todo]]
            found[todo[is_open]] = shops[is_open]
            todo = todo[~is_open]
        todo = np.flatnonzero((found < 0) & self._any_open[who.persona, hours])
        mix = who.persona[todo] * 24 + hours[todo]
        categories = self._open_mix.pick(mix, draws.units(rows[todo], 5))
        found[todo] = self.shops.pick(where[todo], categories, draws.units(rows[todo], 6))
        return found

    def visit_online(self, who: Who, draws: Draws, rows: Ints) -> NDArray[np.int32]:
        """A shop on the net for each row.  Uses the numbers 7 to 10 of ``draws``."""
        is_regular = draws.units(rows, 7) < REGULAR_ONLINE_SHARE
        ranks = self._favourites.pick(self.online_counts(who.customer), draws.units(rows, 8))
        regular = self.online_shop(who, ranks)
        categories = self._net_mix.pick(who.persona, draws.units(rows, 9))
        other = self.shops.pick(np.full(len(rows), NET), categories, draws.units(rows, 10))
        shops: NDArray[np.int32] = np.where(is_regular, regular, other)
        return shops

    # ---- people who are paid, bills, cash

    def payee_counts(self, customers: Ints) -> Ints:
        return _MIN_PAYEES + self._payee.below(customers * MAX_PAYEES, 1, MAX_PAYEES - _MIN_PAYEES + 1)

    def payee(self, customers: Ints, ranks: Ints) -> Ints:
        """Somebody the customer often pays; the customer's own index where there is nobody."""
        return self._payee.below(customers * MAX_PAYEES + ranks, 0, self._people.size)

    def bill_rows(self, who: Who) -> Ints:
        """The household's row in the tables of bills."""
        owns_home = self._pay.units(who.customer, 3) < _HOME_OWNERS
        rows: Ints = who.persona * 2 + owns_home
        return rows

    def due_bill(self, rows: Ints, units: Floats) -> Ints:
        """One of a household's bills, by how often each comes."""
        return self._bill_turns.pick(rows, units)

    def is_rent(self, rows: Ints, bills: Ints) -> Bools:
        rent: Bools = self._bill_category[rows, bills] == self._rent
        return rent

    def bill(self, who: Who, rows: Ints, bills: Ints) -> tuple[NDArray[np.int32], Floats]:
        """The biller and the usual amount in units of each household's bill."""
        category, keys = self._bill_category[rows, bills], who.customer * _BILLS + bills * 2
        median, sigma = self._bill_model[rows, bills].T
        units = median * np.exp(sigma * self._bill.normals(keys, 0)) * self._scale
        if self._scale == 1:
            round_rent = np.maximum(10.0, np.rint(units / 10)) * 10
        else:
            round_rent = np.rint(units / 1000) * 1000
        units = np.where(category == self._rent, round_rent, units)
        return self.shops.pick(who.city, category, self._bill.units(keys, 2)), units

    def bill_count(self, row: int) -> int:
        """How many bills a household of that row has."""
        return int(np.count_nonzero(self._bill_model[row, :, 0]))

    def machine(
        self, who: Who, latitude: Degrees, longitude: Degrees, is_second: Bools
    ) -> tuple[Degrees, Degrees]:
        """The customer's first or second cash machine, near the home given."""
        degrees = latitude / DEGREE, longitude / DEGREE
        keys = who.customer * 2 + is_second
        spread_km = np.where(is_second, 2.5, 1.0)
        return self._people.map.around(*degrees, who.city, self._machine, keys, 0, spread_km)

    # ---- pay

    def pay_classes(self, customers: Ints) -> Ints:
        """The pay class, as a position in `pay_days.PAY_CLASSES`."""
        ranks = self._people.ranks.ranks(customers)
        found = np.searchsorted(self._pay_edges, ranks, side="right")
        classes: Ints = found % len(self._pay_period)
        return classes

    def pay(self, customers: Ints) -> tuple[Ints, Floats, Bools]:
        """Days between two pay days, one pay day's cents, and whether they vary."""
        days = self._pay_period[self.pay_classes(customers)]
        cents = self._people.incomes_cents(customers) * days / _MONTH_DAYS
        return days, cents, self._pay.units(customers, 0) < _VARYING_PAY

    # ---- journeys

    def journeys(self, who: Who, latitude: Degrees, longitude: Degrees, timestamp_s: Floats) -> Journeys:
        """The journey of each customer, at home at the point given, in the 28 days around a moment."""
        shift_s = who.customer * 7919 % BLOCK_DAYS * DAY_S
        block = ((timestamp_s + shift_s) // BLOCK_S).astype(np.int64)
        rows = who.customer * _BLOCKS + block % _BLOCKS
        goes = self._trip.units(rows, 0) < self._trip_chance[who.persona]
        leaves_s = np.full(len(rows), np.inf)
        arrives_s, returns_s, home_s = leaves_s.copy(), leaves_s.copy(), leaves_s.copy()
        city, places = who.city.copy(), (latitude.copy(), longitude.copy())
        at = np.flatnonzero(goes)
        if len(at):
            rows, draws = rows[at], self._trip
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
        return Journeys(leaves_s, arrives_s, returns_s, home_s, city, *places)

    def stay(self, who: Who, latitude: Degrees, longitude: Degrees, timestamp_s: Floats) -> Stay:
        """Where each customer, at home at the point given, is at each moment.

        On the way, the place is the destination's.
        """
        at_home = np.zeros(len(who.customer), bool)
        trip = self.journeys(who, latitude, longitude, timestamp_s)
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
        abroad = (self._trip.units(rows, 1) < ABROAD_SHARE).astype(np.int64)
        found = homes.copy()
        todo = np.arange(len(rows))
        for attempt in range(_CITY_TRIES):
            units = self._trip.units(rows[todo], 6 + attempt)
            found[todo] = self._people.map.by_population.pick(abroad[todo], units)
            todo = todo[found[todo] == homes[todo]]
        return found


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
