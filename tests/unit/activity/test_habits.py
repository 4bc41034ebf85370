from __future__ import annotations

import numpy as np
import pytest

from banksim.activity import habits
from banksim.activity.habits import HabitBook
from banksim.activity.journeys import Who
from banksim.world import World, distance_km, stream
from banksim.world.random import Draws, uuid_text
from tests.unit.world.scenarios import WorldSettings


@pytest.fixture(scope="module")
def world() -> World:
    return World.from_scenario(WorldSettings(customers=200), 7)


def test_habits_are_a_function_of_the_customer(world: World) -> None:
    one, other = HabitBook(world), HabitBook(world)
    people = [world.population.customer(i) for i in range(50)]
    backwards = [other.of(c) for c in reversed(people)]
    for mine, theirs in zip(map(one.of, people), reversed(backwards), strict=True):
        assert (mine.shops, mine.payees, mine.bills) == (theirs.shops, theirs.payees, theirs.bills)


def test_habits_are_plausible(world: World) -> None:
    book = HabitBook(world)
    for index in range(200):
        customer = world.population.customer(index)
        own = book.of(customer)
        assert 3 <= len(own.shops) <= 8
        assert {shop.place.city for shop in own.shops} == {customer.home.city}
        assert len(own.payees) <= 6 and index not in own.payees
        assert all(distance_km(customer.home, machine) < 10 for machine in own.cash_machines)
        # Plain numbers: they go onto the wire.
        assert {type(machine.latitude) for machine in own.cash_machines} == {float}
        assert own.pay_units * 30.4 / own.pay_period_days == pytest.approx(customer.income_cents / 100)
        rents = [bill.amount_units for bill in own.bills if bill.biller.category == "rent"]
        assert len(rents) <= 1 and all(rent % 10 == 0 for rent in rents)


def test_pay_periods_follow_the_survey(world: World) -> None:
    # Every two weeks 42.2 %, weekly 33.8 % (BLS 2019).
    book = HabitBook(world)
    days = [book.of(world.population.customer(i)).pay_period_days for i in range(200)]
    assert days.count(14) > days.count(7) > days.count(15) > days.count(30)


def test_the_first_shop_is_the_favourite(world: World) -> None:
    own, rng = HabitBook(world).of(world.population.customer(0)), stream(1)
    drawn = [own.regular_shop(rng) for _ in range(2000)]
    assert drawn.count(own.shops[0]) > 2000 / len(own.shops) * 1.3


def test_the_cache_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(habits, "CACHED_HABITS", 10)
    book = HabitBook(world)
    for index in range(50):
        book.of(world.population.customer(index))
    assert len(book._cache) == 10


def test_at_night_few_categories_are_open(world: World) -> None:
    columns, count = HabitBook(world).columns, 300
    salaried = list(world.personas).index("salaried")
    who = Who(np.zeros(count, np.int64), np.full(count, salaried), np.zeros(count, np.int64))
    away = np.zeros(count, bool)  # from home, and so from the regular shops

    def visited(hour: int) -> set[str]:
        shops = columns.visit(who, who.city, away, np.full(count, hour), Draws(1, "test"), np.arange(count))
        return {columns.shops.merchants[shop].category for shop in shops}

    assert visited(3) <= {"convenience", "fuel", "transport", "taxi", "hotel"}
    assert "grocery" in visited(12)


def test_objects_and_columns_agree(world: World) -> None:
    book = HabitBook(world)
    columns, merchants = book.columns, book.columns.shops.merchants
    people, indices = world.population.people, np.arange(200)
    who = Who(indices, people.ranks.personas(indices), people.home_cities(indices))
    favourites, online = (shop(who, np.zeros(200, np.int64)) for shop in (columns.shop, columns.online_shop))
    counts, payees = columns.shop_counts(indices), columns.payee(indices, np.ones(200, np.int64))
    days, cents, varies = columns.pay(indices)
    for index in range(200):
        own = book.of(world.population.customer(index))
        assert own.shops[0] == merchants[favourites[index]] and len(own.shops) == counts[index]
        assert own.online_shops[0] == merchants[online[index]]
        assert payees[index] in (*own.payees, index)
        assert (own.pay_period_days, own.pay_varies) == (days[index], varies[index])
        assert own.pay_units == pytest.approx(cents[index] / 100)


def test_a_device_of_one_customer_is_that_of_the_columns(world: World) -> None:
    columns, day_s = HabitBook(world).columns, 86_400.0
    customers = np.arange(200).repeat(4)
    slots, sim_s = np.tile(np.arange(4), 200), np.linspace(0, 400 * day_s, 800)
    keys = columns.device_keys(customers, columns.device_numbers(customers, slots, sim_s))
    ids = [
        uuid_text(world.population.people.devices.word(key, 0), world.population.people.devices.word(key, 1))
        for key in keys.tolist()
    ]
    assert ids == list(map(columns.device_id, customers.tolist(), slots.tolist(), sim_s.tolist()))
    levels = world.population.people.price_levels(np.arange(200))
    assert [world.population.people.price_level(n) for n in range(200)] == pytest.approx(levels.tolist())


def test_a_household_shares_a_device_and_browsers_are_cleared(world: World) -> None:
    columns, everybody = HabitBook(world).columns, np.arange(200)
    shared = columns.device_keys(everybody, columns.device_numbers(everybody, np.full(200, 3), np.zeros(200)))
    assert sorted(np.unique(shared, return_counts=True)[1].tolist()) == [4] * 50
    first, later = (columns.device_id(7, 1, day * 86_400.0) for day in (0, 100))
    assert first == world.population.people.device_id(7, 1) != later


def test_those_who_pay_each_other_do_so_both_ways(world: World) -> None:
    columns, everybody = HabitBook(world).columns, np.arange(200)
    for rank in (0, 2, 3, 5):
        friends = columns.payee(everybody, np.full(200, rank))
        back = columns.payee(friends, np.full(200, rank))
        assert (back == everybody).mean() > 0.95
    paid = np.bincount(columns.popular(np.random.default_rng(1).random(20_000)), minlength=200)
    assert paid.max() > 10 * paid.mean()
