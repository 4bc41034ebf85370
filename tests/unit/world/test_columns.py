"""A column and an object never disagree about a customer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from banksim.model import Place
from banksim.model.money import to_cents
from banksim.world import TIER_LIMIT_UNITS, Population, World, distance_km, load_personas
from banksim.world.columns import DEGREE, Map
from banksim.world.merchants import NET
from banksim.world.places import CITY_RADIUS_KM, Places
from banksim.world.random import Draws
from tests.unit.world.scenarios import WorldSettings

PERSONAS = load_personas()


@pytest.mark.parametrize(("currency", "locale"), [("USD", "en_US"), ("JPY", "ja_JP"), ("EUR", "de_DE")])
def test_columns_and_customers_agree(currency: str, locale: str) -> None:
    size = 700
    population = Population(7, size, PERSONAS, currency, accounts_per_customer=3, locale=locale)
    people, indices = population.people, np.arange(size)
    personas, cities = people.ranks.personas(indices), people.home_cities(indices)
    latitude, longitude = people.homes(indices, cities)
    counts, incomes = people.device_counts(indices), people.incomes_cents(indices)
    openings = [people.openings_cents(indices, slot) for slot in range(3)]
    names = list(population.personas)
    for index in range(size):
        customer, city = population.customer(index), people.map.cities[cities[index]]
        assert customer.persona == names[personas[index]] == population.persona_of(index)
        assert customer.home == Place(
            city.name, city.country, round(latitude[index] / DEGREE, 4), round(longitude[index] / DEGREE, 4)
        )
        assert customer.devices == tuple(people.device_id(index, slot) for slot in range(counts[index]))
        assert customer.income_cents == incomes[index]
        assert [spec.opening_balance_cents for spec in customer.accounts] == [o[index] for o in openings]
        limit = TIER_LIMIT_UNITS[customer.kyc_tier] * to_cents(1, currency)
        assert people.limits_cents[personas[index]] == limit


def test_a_customer_alone_is_the_customer_among_many() -> None:
    one, many = Population(7, 600, PERSONAS), Population(7, 600, PERSONAS)
    together = list(many.customers(0, 600))
    assert [one.customer(index) for index in range(599, -1, -1)] == together[::-1]
    assert [many.customer(index) for index in range(600)] == together


def test_ranks_pick_within_the_persona() -> None:
    population = Population(7, 500, PERSONAS)
    ranks, personas = population.people.ranks, np.arange(len(PERSONAS)).repeat(1000)
    picked = ranks.pick(personas, Draws(7, "test").units(np.arange(len(personas))))
    assert (ranks.personas(picked) == personas).all()
    for code, name in enumerate(PERSONAS):
        count = population.count_of(name)
        assert sorted(ranks.nth(code, np.arange(count)).tolist()) == sorted(population.indices_of(name))
        assert len(set(picked[personas == code].tolist())) > 0.8 * count


def test_points_near_a_city_stay_near_it() -> None:
    cities = Map(Places("US"))
    codes = np.arange(len(cities.cities)).repeat(50)
    latitude, longitude = cities.near(codes, Draws(7, "test"), np.arange(len(codes)), 0, 4.0)
    away_km = [
        distance_km(cities.cities[code].place, Place("", "", north / DEGREE, east / DEGREE))
        for code, north, east in zip(codes, latitude, longitude, strict=True)
    ]
    assert max(away_km) < CITY_RADIUS_KM + 0.1
    assert np.mean(away_km) == pytest.approx(4 * np.sqrt(np.pi / 2), rel=0.08)  # of a Rayleigh distribution


def test_shops_are_those_of_the_directory() -> None:
    world = World.from_scenario(WorldSettings(customers=10), 7)
    cities = world.population.people.map
    shops = world.merchants.columns(cities)
    assert sorted(m.merchant_id for m in shops.merchants) == sorted(
        m.merchant_id for m in world.merchants.all()
    )
    city, grocery = 3, shops.category_codes["grocery"]
    count = 4000
    units = Draws(7, "test").units(np.arange(count))
    picked = shops.pick(np.full(count, city), np.full(count, grocery), units)
    seen = Counter(shops.merchants[code].merchant_id for code in picked)
    expected = world.merchants.in_city(cities.cities[city].place, "grocery")
    assert set(seen) == {merchant.merchant_id for merchant in expected}
    assert seen[expected[0].merchant_id] == max(seen.values())  # the most popular
    assert (shops.city[picked] == city).all() and (shops.category[picked] == grocery).all()


def test_what_is_not_sold_there_is_replaced() -> None:
    world = World.from_scenario(WorldSettings(customers=10), 7)
    shops = world.merchants.columns(world.population.people.map)
    fuel = shops.category_codes["fuel"]
    picked = shops.pick(np.full(500, NET), np.full(500, fuel), Draws(7, "test").units(np.arange(500)))
    categories = {shops.merchants[code].category for code in picked}
    assert categories <= set(world.merchants.online_categories) and len(categories) > 5
