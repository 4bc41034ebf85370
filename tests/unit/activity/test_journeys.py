from __future__ import annotations

import numpy as np
import pytest

from banksim.activity.journeys import BLOCK_DAYS, DAY_S, Journeys, Trip, Trips, Who
from banksim.world import World, distance_km
from banksim.world.columns import DEGREE
from tests.unit.world.scenarios import WorldSettings


@pytest.fixture(scope="module")
def world() -> World:
    often = {"student": {"trips_per_month": 1.0}, "salaried": {"trips_per_month": 0.0}}
    return World.from_scenario(WorldSettings(customers=600, personas=often), 7)


def all_trips(world: World, persona: str) -> dict[tuple[int, int], Trip]:
    trips, found = Trips(world), {}
    for index in world.population.indices_of(persona):
        customer = world.population.customer(index)
        for block in range(4):
            trip = trips.trip(customer, world.start_epoch_s + block * BLOCK_DAYS * DAY_S)
            if trip is not None:
                found[index, block] = trip
    return found


def test_the_chance_is_the_personas(world: World) -> None:
    asked = world.population.count_of("student") * 4
    assert len(all_trips(world, "student")) / asked == pytest.approx(BLOCK_DAYS / 30.4, abs=0.05)
    assert not all_trips(world, "salaried")


def test_a_journey_leaves_time_to_travel_and_fits_between_its_neighbours(world: World) -> None:
    last_home_s: dict[int, float] = {}
    for (index, _), trip in sorted(all_trips(world, "student").items()):
        home = world.population.customer(index).home
        assert (trip.place.city, trip.place.country) != (home.city, home.country)
        assert trip.leaves_s < trip.arrives_s < trip.returns_s < trip.home_s
        for way_s in (trip.arrives_s - trip.leaves_s, trip.home_s - trip.returns_s):
            assert distance_km(home, trip.place) / (way_s / 3600) < 800
        assert trip.leaves_s > last_home_s.get(index, 0.0)
        last_home_s[index] = trip.home_s


def test_whereabouts_follow_the_timetable(world: World) -> None:
    trips = Trips(world)
    (index, _), trip = next(iter(all_trips(world, "student").items()))
    customer = world.population.customer(index)
    assert trips.whereabouts(customer, trip.leaves_s - 1) == customer.home
    assert trips.whereabouts(customer, trip.leaves_s) is None
    assert trips.whereabouts(customer, trip.arrives_s) == trip.place
    assert trips.whereabouts(customer, trip.returns_s) is None
    assert trips.whereabouts(customer, trip.home_s) == customer.home


def test_a_journey_is_a_function_of_customer_and_time(world: World) -> None:
    forwards = all_trips(world, "student")
    trips = Trips(world)
    for (index, block), trip in reversed(forwards.items()):
        customer = world.population.customer(index)
        assert trips.trip(customer, world.start_epoch_s + block * BLOCK_DAYS * DAY_S) == trip


def test_objects_and_columns_agree(world: World) -> None:
    trips, journeys = Trips(world), Journeys(world)
    people, indices = world.population.people, np.arange(600)
    who = Who(indices, people.ranks.personas(indices), people.home_cities(indices))
    homes = people.homes(indices, who.city)
    for day in range(0, 60, 7):
        moments = np.full(600, world.start_epoch_s + day * DAY_S + 43_200)
        columns, stay = journeys.trips(who, *homes, moments), journeys.stay(who, *homes, moments)
        for index in range(600):
            customer = world.population.customer(index)
            trip, where = trips.trip(customer, moments[index]), trips.whereabouts(customer, moments[index])
            assert (trip is None) == np.isinf(columns.leaves_s[index])
            assert trip is None or trip.leaves_s == columns.leaves_s[index]
            assert (where is None) == stay.on_the_way[index]
            assert stay.is_away[index] == (where != customer.home)
            if where is not None:
                north, east = stay.latitude[index] / DEGREE, stay.longitude[index] / DEGREE
                assert (where.latitude, where.longitude) == (north, east)


def test_some_journeys_go_abroad(world: World) -> None:
    found = all_trips(world, "student").values()
    abroad = sum(trip.place.country != "US" for trip in found) / len(found)
    assert 0.25 < abroad < 0.45
