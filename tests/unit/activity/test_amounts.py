from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.activity.prices import Pricing
from banksim.world import Customer, World, load_personas, stream
from tests.unit.world.scenarios import WorldSettings

SALARIED = load_personas()["salaried"]
USD, JPY = Pricing("USD"), Pricing("JPY")


@pytest.fixture(scope="module")
def student() -> Customer:
    people = World.from_scenario(WorldSettings(customers=20), 7).population
    return people.customer(people.nth_of("student", 0))


def test_prices_end_as_prices_do() -> None:
    rng = stream(1)
    endings = Counter(USD.purchase(SALARIED, "grocery", rng) % 100 for _ in range(4000))
    assert endings[99] > 500 and endings[95] > 150 and endings[0] > 200
    assert len(endings) > 90  # and everything else


def test_machines_give_notes() -> None:
    rng = stream(1)
    drawn = [USD.cash(SALARIED, True, rng) for _ in range(500)]
    assert all(cents % 2000 == 0 and 2000 <= cents <= 80_000 for cents in drawn)
    assert len(set(drawn)) > 8


def test_yen_are_whole_and_larger() -> None:
    rng = stream(1)
    assert all(JPY.cash(SALARIED, True, rng) % 1000 == 0 for _ in range(100))
    coffee = sorted(JPY.purchase(SALARIED, "cafe", rng) for _ in range(301))[150]
    assert 700 < coffee < 1300


def test_most_transfers_are_round() -> None:
    rng = stream(1)
    drawn = [USD.transfer(SALARIED, rng) for _ in range(1000)]
    assert 0.55 < sum(cents % 500 == 0 for cents in drawn) / 1000 < 0.8


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10**9), st.integers(0, 1000))
def test_nothing_is_above_the_limit(student: Customer, cents: int, seed: int) -> None:
    limited = USD.within_limit(cents, student, stream(seed))
    assert 0 < limited < USD.limit_cents(student) == 100_000
    assert limited == cents or cents >= 100_000


def test_what_is_over_the_limit_does_not_pile_up_at_it(student: Customer) -> None:
    rng = stream(1)
    assert len({USD.within_limit(10**7, student, rng) for _ in range(100)}) > 90


@settings(max_examples=60)
@given(st.floats(0.0001, 10**6), st.integers(0, 1000))
def test_every_price_is_positive(units: float, seed: int) -> None:
    assert USD.price(units, stream(seed)) >= 50
    assert JPY.price(units, stream(seed)) >= 10


@settings(max_examples=60)
@given(st.integers(1, 10**8), st.sampled_from([5, 10, 50]))
def test_rounded_is_a_positive_multiple(cents: int, units: int) -> None:
    assert USD.rounded(cents, units) % (units * 100) == 0 < USD.rounded(cents, units)


def test_a_category_outside_the_personas_mix_has_a_price() -> None:
    assert USD.purchase(SALARIED, "no such category", stream(1)) > 0
