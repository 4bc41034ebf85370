"""Where things are: real cities with coordinates, distances, and places to go.

A ``Place`` is a point in or near a city.  Homes and shops lie around the city's centre
within `CITY_RADIUS_KM`; nobody here knows about streets, sea or borders, so a home may
stand in a harbour.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from math import asin, cos, radians, sin, sqrt
from types import MappingProxyType
from typing import Any, cast

import yaml

from banksim.model import Place
from banksim.world.random import Choice

EARTH_RADIUS_KM = 6371.0
KM_PER_DEGREE = 111.2
#: Homes, shops and hotels are within this of their city's centre.
CITY_RADIUS_KM = 9.0
#: Country of a locale whose own country has no city here.
FALLBACK_COUNTRY = "US"


@dataclass(frozen=True, slots=True)
class City:
    """A city: its centre, region, inhabitants in thousands, and the shape of its postal codes."""

    place: Place
    region: str
    population_k: float
    postal_shape: str

    @property
    def name(self) -> str:
        return self.place.city

    @property
    def country(self) -> str:
        return self.place.country


@dataclass(frozen=True, slots=True)
class Country:
    """How phone numbers look (# is a digit) and where the house number stands."""

    code: str
    phone_shape: str
    number_first: bool


def distance_km(a: Place, b: Place) -> float:
    """Great-circle distance between two places in kilometres (haversine, spherical Earth)."""
    lat_a, lat_b = radians(a.latitude), radians(b.latitude)
    half_lat = (lat_b - lat_a) / 2
    half_lon = radians(b.longitude - a.longitude) / 2
    chord = sin(half_lat) ** 2 + cos(lat_a) * cos(lat_b) * sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(chord)))


def near(centre: Place, rng: random.Random, spread_km: float = 4.0) -> Place:
    """A point around ``centre``: normal with ``spread_km``, at most `CITY_RADIUS_KM` away."""
    x_km, y_km = rng.gauss(0.0, spread_km), rng.gauss(0.0, spread_km)
    away_km = sqrt(x_km * x_km + y_km * y_km)
    if away_km > CITY_RADIUS_KM:
        x_km, y_km = x_km * CITY_RADIUS_KM / away_km, y_km * CITY_RADIUS_KM / away_km
    latitude = centre.latitude + y_km / KM_PER_DEGREE
    longitude = centre.longitude + x_km / (KM_PER_DEGREE * cos(radians(centre.latitude)))
    return Place(centre.city, centre.country, round(latitude, 4), round(longitude, 4))


class Places:
    """The cities of the world, home country first."""

    def __init__(self, home_country: str, cities: Iterable[City] | None = None) -> None:
        """Raises ValueError when there is no city at all.

        A home country without cities here is replaced by `FALLBACK_COUNTRY`.
        """
        self.cities: tuple[City, ...] = tuple(load_cities() if cities is None else cities)
        if not self.cities:
            raise ValueError("no cities")
        known = {city.country for city in self.cities}
        if home_country not in known:
            home_country = FALLBACK_COUNTRY if FALLBACK_COUNTRY in known else self.cities[0].country
        self.home_country = home_country
        self._by_key = {(city.name, city.country): city for city in self.cities}
        self._home = _by_population(city for city in self.cities if city.country == home_country)
        abroad = [city for city in self.cities if city.country != home_country]
        self._abroad = _by_population(abroad) if abroad else self._home

    def home_city(self, rng: random.Random) -> City:
        """A city of the home country, by population."""
        return self._home.pick(rng)

    def destination(self, rng: random.Random, away_from: Place, abroad: bool) -> Place | None:
        """Somewhere to stay in another city than ``away_from``; None when there is none."""
        choice = self._abroad if abroad else self._home
        for _ in range(8):
            city = choice.pick(rng)
            if city.name != away_from.city or city.country != away_from.country:
                return near(city.place, rng)
        return None

    def foreign(self, rng: random.Random, far_from: Place, min_km: float = 1000.0) -> Place:
        """A place in another country, at least ``min_km`` away.

        When no foreign city is that far, the farthest city of all is taken.
        """
        far = [
            city
            for city in self.cities
            if city.country != far_from.country and distance_km(city.place, far_from) >= min_km
        ]
        city = rng.choice(far) if far else max(self.cities, key=lambda c: distance_km(c.place, far_from))
        return near(city.place, rng)

    def away(self, rng: random.Random, far_from: Place, min_km: float) -> Place:
        """A place in any city, at home or abroad, at least ``min_km`` away (else the farthest)."""
        far = [city for city in self.cities if distance_km(city.place, far_from) >= min_km]
        city = rng.choice(far) if far else max(self.cities, key=lambda c: distance_km(c.place, far_from))
        return near(city.place, rng)

    def city_of(self, place: Place) -> City:
        """The city ``place`` names, or the nearest one when it names none we know."""
        named = self._by_key.get((place.city, place.country))
        if named is not None:
            return named
        return min(self.cities, key=lambda city: distance_km(city.place, place))


def country_of_locale(locale: str) -> str:
    """The two-letter country in a locale such as ``de_CH``; the fallback when it names none."""
    region = locale.replace("-", "_").rpartition("_")[2]
    return region.upper() if len(region) == 2 and "_" in locale.replace("-", "_") else FALLBACK_COUNTRY


@lru_cache(maxsize=1)
def load_cities() -> tuple[City, ...]:
    """All cities of places.yaml."""
    listed = world_file("places.yaml")["cities"]
    return tuple(
        City(Place(name, country, latitude, longitude), region, float(population_k), postal)
        for name, country, region, latitude, longitude, population_k, postal in listed
    )


@lru_cache(maxsize=1)
def load_countries() -> Mapping[str, Country]:
    """Phone and address habits by two-letter country."""
    countries = world_file("places.yaml")["countries"]
    return MappingProxyType(
        {code: Country(code, raw["phone"], raw["house_number"] == "first") for code, raw in countries.items()}
    )


def _by_population(cities: Iterable[City]) -> Choice[City]:
    listed = list(cities)
    return Choice(listed, [city.population_k for city in listed])


@cache
def world_file(name: str) -> Mapping[str, Any]:
    """A YAML file of this room, read once; with libyaml where PyYAML has it, which is ten times as fast."""
    text = files("banksim.world").joinpath(name).read_text("utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return cast(dict[str, Any], yaml.load(text, loader))  # noqa: S506 - both are safe
