"""The merchants of every city, made when a city is first visited.

A city has shops of every category; their number grows with the square root of its
population, their popularity falls as 1/rank (Zipf), so few shops see most customers.
Shops online exist once for the whole world.  At most one city list per city of
places.yaml is kept, which bounds the directory at a few thousand merchants.

Ids are opaque and names come from neutral word lists: nothing about a merchant says
whether a transaction there is genuine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from banksim.model import Merchant, Place
from banksim.world.columns import DEGREE, Map
from banksim.world.persona import Category, load_categories, load_shop_words
from banksim.world.places import City, Places, near
from banksim.world.random import Choice, Draws, Floats, Ints, Shares, opaque_id, stream, zipf_weights

MAX_PER_CATEGORY = 40
ONLINE_PER_MILLION_FACTOR = 6
ZIPF_EXPONENT = 0.9
_MIN_PER_CATEGORY = 2

_Choices = dict[str, Choice[Merchant]]

#: How far shops of one category are apart in price: sigma of the logarithm (judgement).
SHOP_LEVEL_SIGMA = 0.25
#: The net among the cities of `Shops`: the last row.
NET = -1


class MerchantDirectory:
    """Merchants by city and category."""

    def __init__(self, seed: int, places: Places) -> None:
        self._seed = seed
        self._places = places
        self.draws = Draws(seed, "merchants")
        everything = load_categories()
        self.categories: tuple[str, ...] = tuple(n for n, c in everything.items() if c.in_store)
        self.online_categories: tuple[str, ...] = tuple(n for n, c in everything.items() if c.online)
        self.bill_categories: tuple[str, ...] = tuple(n for n, c in everything.items() if c.is_bill)
        self._local: dict[tuple[str, str], _Choices] = {}
        self._online: _Choices = self._make_online()
        self._any_online = _mixed(self._online)
        self._columns: Shops | None = None
        self._any_local: dict[tuple[str, str], Choice[Merchant]] = {}

    def pick(
        self, rng: random.Random, near: Place, category: str | None = None, online: bool = False
    ) -> Merchant:
        """A merchant by popularity: in the city of ``near``, or on the net with ``online``.

        Without ``category`` any category will do.  One that is not sold that way (petrol
        online) is replaced by any that is.  KeyError for a category that does not exist.
        """
        if category is not None and category not in load_categories():
            raise KeyError(f"no category '{category}'")
        if online:
            choice = self._online.get(category) if category else None
            return (choice or self._any_online).pick(rng)
        shops = self._shops(near)
        choice = shops.get(category) if category else None
        return (choice or self._anything(near)).pick(rng)

    def in_city(self, place: Place, category: str) -> tuple[Merchant, ...]:
        """All merchants of ``category`` in the city of ``place``, most popular first."""
        choice = self._shops(place).get(category)
        return choice.items if choice else ()

    def online(self, category: str) -> tuple[Merchant, ...]:
        """All online merchants of ``category``, most popular first."""
        choice = self._online.get(category)
        return choice.items if choice else ()

    def all(self) -> Iterator[Merchant]:
        """Every merchant of the world; makes the cities that were not visited yet."""
        for choice in self._online.values():
            yield from choice.items
        for city in self._places.cities:
            for choice in self._shops(city.place).values():
                yield from choice.items

    def columns(self, cities: Map) -> Shops:
        """Every merchant as columns, made once."""
        if self._columns is None:
            self._columns = Shops(self, cities)
        return self._columns

    def _shops(self, place: Place) -> _Choices:
        key = (place.city, place.country)
        found = self._local.get(key)
        if found is not None:
            return found
        city = self._places.city_of(place)
        key = (city.name, city.country)
        if key not in self._local:
            self._local[key] = self._make_city(city)
        return self._local[key]

    def _anything(self, place: Place) -> Choice[Merchant]:
        city = self._places.city_of(place)
        key = (city.name, city.country)
        if key not in self._any_local:
            shops = self._shops(city.place)
            self._any_local[key] = _mixed({n: c for n, c in shops.items() if n not in self.bill_categories})
        return self._any_local[key]

    def _make_city(self, city: City) -> _Choices:
        rng = stream(self._seed, "merchants", city.name, city.country)
        size = sqrt(city.population_k / 1000.0)
        shops: _Choices = {}
        for name, category in load_categories().items():
            if not (category.in_store or category.is_bill):
                continue
            count = min(MAX_PER_CATEGORY, max(_MIN_PER_CATEGORY, round(category.per_million * size)))
            names = _shop_names(rng, category, count, local=True)
            merchants = [
                Merchant(opaque_id(rng), shop, category.code, name, near(city.place, rng)) for shop in names
            ]
            shops[name] = Choice(merchants, zipf_weights(count, ZIPF_EXPONENT))
        return shops

    def _make_online(self) -> _Choices:
        rng = stream(self._seed, "merchants", "online")
        shops: _Choices = {}
        for name, category in load_categories().items():
            if not category.online:
                continue
            count = min(MAX_PER_CATEGORY, round(category.per_million * ONLINE_PER_MILLION_FACTOR))
            merchants = [
                Merchant(opaque_id(rng), shop, category.code, name, self._places.home_city(rng).place)
                for shop in _shop_names(rng, category, count, local=False)
            ]
            shops[name] = Choice(merchants, zipf_weights(count, ZIPF_EXPONENT))
        return shops


def _shop_names(rng: random.Random, category: Category, count: int, local: bool) -> list[str]:
    """``count`` different names such as "Linden Market" or "Linden Market Old Town"."""
    lists = load_shop_words()
    names: dict[str, None] = {}
    while len(names) < count:
        name = f"{rng.choice(lists.words)} {rng.choice(category.kinds)}"
        if name in names:
            name = f"{name} {rng.choice(lists.quarters) if local else rng.choice(lists.words)}"
        names[name] = None
    return list(names)


def _mixed(shops: _Choices) -> Choice[Merchant]:
    """One choice over all categories, each with the same weight."""
    merchants: list[Merchant] = []
    weights: list[float] = []
    for choice in shops.values():
        popularity = zipf_weights(len(choice.items), ZIPF_EXPONENT)
        total = sum(popularity)
        merchants.extend(choice.items)
        weights.extend(weight / total for weight in popularity)
    return Choice(merchants, weights)


class Shops:
    """All merchants of a world in one list, with columns beside it.

    City codes are those of `Map`; `NET` as a city stands for the net.
    """

    def __init__(self, directory: MerchantDirectory, cities: Map) -> None:
        categories = load_categories()
        self.categories: tuple[str, ...] = tuple(categories)
        self.category_codes = {name: code for code, name in enumerate(self.categories)}
        self.merchants: list[Merchant] = []
        rows = len(cities.cities) + 1
        self._firsts = np.zeros((rows, len(categories)), np.int64)
        self._counts = np.zeros((rows, len(categories)), np.int64)
        for code, city in enumerate(cities.cities):
            for name in categories:
                self._add(code, name, directory.in_city(city.place, name))
        for name in categories:
            self._add(NET, name, directory.online(name))
        self._zipf = Shares(
            [[1.0], *(zipf_weights(n, ZIPF_EXPONENT) for n in range(1, MAX_PER_CATEGORY + 1))]
        )
        self._instead = [self._sold(row, categories) for row in range(rows)]
        everything = self.merchants
        self.codes = {merchant.merchant_id: code for code, merchant in enumerate(everything)}
        self.category = np.array([self.category_codes[m.category] for m in everything], np.int16)
        self.city = np.array([cities.codes[m.place.city, m.place.country] for m in everything], np.int16)
        places = np.array([(m.place.latitude, m.place.longitude) for m in everything])
        self.latitude, self.longitude = np.rint(places.T * DEGREE).astype(np.int32)
        #: How dear each shop is against the middle of its category.
        self.level = np.exp(SHOP_LEVEL_SIGMA * directory.draws.normals(np.arange(len(everything))))
        #: Categories that are sold on the net alone.
        self.only_online = np.array(
            [c.online and not c.in_store and not c.is_bill for c in categories.values()]
        )
        #: Whether shops of a category are open at a clock hour.
        self.is_open = np.array([[c.is_open(hour) for hour in range(24)] for c in categories.values()])

    def pick(self, cities: Ints, categories: Ints, units: Floats) -> NDArray[np.int32]:
        """A merchant by popularity in each city (or on the `NET`), for numbers in [0, 1).

        A category that is not sold there is replaced by any that is.
        """
        counts = self._counts[cities, categories]
        if not counts.all():
            categories, units = categories.copy(), units.copy()
            for position in np.flatnonzero(counts == 0):
                sold = self._instead[cities[position]]
                units[position] *= len(sold)
                categories[position] = sold[int(units[position])]
                units[position] %= 1.0
            counts = self._counts[cities, categories]
        found: NDArray[np.int32] = self._firsts[cities, categories] + self._zipf.pick(counts, units)
        return found

    def _add(self, row: int, name: str, merchants: Sequence[Merchant]) -> None:
        category = self.category_codes[name]
        self._firsts[row, category], self._counts[row, category] = len(self.merchants), len(merchants)
        self.merchants.extend(merchants)

    def _sold(self, row: int, categories: Mapping[str, Category]) -> list[int]:
        """The categories that stand for any: on the net all, in a city those that are no bills."""
        on_net = row == len(self._firsts) - 1
        return [
            code
            for code, category in enumerate(categories.values())
            if self._counts[row, code] and (on_net or not category.is_bill)
        ]
