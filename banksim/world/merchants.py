"""The merchants of every city, made when a city is first visited.

A city has shops of every category; their number grows with the square root of its
population, their popularity falls as 1/rank (Zipf), so few shops see most customers.
Shops online exist once for the whole world.  At most one city list per city of
places.yaml is kept, which bounds the directory at a few thousand merchants.

Ids are opaque and names come from neutral word lists: nothing about a merchant says
whether a transaction there is honest.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import sqrt

from banksim.model import Merchant, Place
from banksim.world.persona import Category, load_categories, load_shop_words
from banksim.world.places import City, Places, near
from banksim.world.random import Choice, opaque_id, stream, zipf_weights

MAX_PER_CATEGORY = 40
ONLINE_PER_MILLION_FACTOR = 6
ZIPF_EXPONENT = 0.9
_MIN_PER_CATEGORY = 2

Shops = dict[str, Choice[Merchant]]


class MerchantDirectory:
    """Merchants by city and category."""

    def __init__(self, seed: int, places: Places) -> None:
        self._seed = seed
        self._places = places
        everything = load_categories()
        self.categories: tuple[str, ...] = tuple(n for n, c in everything.items() if c.in_store)
        self.online_categories: tuple[str, ...] = tuple(n for n, c in everything.items() if c.online)
        self.bill_categories: tuple[str, ...] = tuple(n for n, c in everything.items() if c.is_bill)
        self._local: dict[tuple[str, str], Shops] = {}
        self._online: Shops = self._make_online()
        self._any_online = _mixed(self._online)
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

    def _shops(self, place: Place) -> Shops:
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

    def _make_city(self, city: City) -> Shops:
        rng = stream(self._seed, "merchants", city.name, city.country)
        size = sqrt(city.population_k / 1000.0)
        shops: Shops = {}
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

    def _make_online(self) -> Shops:
        rng = stream(self._seed, "merchants", "online")
        shops: Shops = {}
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


def _mixed(shops: Shops) -> Choice[Merchant]:
    """One choice over all categories, each with the same weight."""
    merchants: list[Merchant] = []
    weights: list[float] = []
    for choice in shops.values():
        popularity = zipf_weights(len(choice.items), ZIPF_EXPONENT)
        total = sum(popularity)
        merchants.extend(choice.items)
        weights.extend(weight / total for weight in popularity)
    return Choice(merchants, weights)
