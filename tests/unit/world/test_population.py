from __future__ import annotations

import re
from collections import Counter
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.world import Population, load_personas
from banksim.world.population import CACHED_CUSTOMERS
from banksim.world.random import stream

PERSONAS = load_personas()
EMAIL = re.compile(r"^[a-z]+(\.[a-z]+)?[0-9]+@[a-z.]+\.[a-z]{2,}$")


def population(seed: int = 7, size: int = 300, **more: object) -> Population:
    return Population(seed, size, PERSONAS, **more)  # type: ignore[arg-type]


def test_a_customer_is_a_function_of_seed_and_index() -> None:
    one, other = population(), population()
    forwards = [one.customer(i) for i in range(300)]
    backwards = [other.customer(i) for i in reversed(range(300))]
    assert forwards == backwards[::-1]


def test_another_seed_makes_other_people() -> None:
    one, other = population(seed=1), population(seed=2)
    same = sum(one.customer(i).display_name == other.customer(i).display_name for i in range(300))
    assert same < 5
    assert {c.devices for c in map(one.customer, range(300))}.isdisjoint(
        c.devices for c in map(other.customer, range(300))
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), st.integers(1, 700))
def test_shares_are_exact_to_one_customer(seed: int, size: int) -> None:
    people = population(seed, size)
    seen = Counter(people.persona_of(i) for i in range(size))
    assert sum(seen.values()) == size
    for name, persona in PERSONAS.items():
        assert abs(seen[name] - persona.share * size) <= 1
        assert seen[name] == people.count_of(name) == len(people.indices_of(name))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 5), st.integers(1, 400))
def test_the_indices_of_a_persona_are_exactly_its_customers(seed: int, size: int) -> None:
    people = population(seed, size)
    for name in PERSONAS:
        listed = list(people.indices_of(name))
        assert sorted(listed) == [i for i in range(size) if people.persona_of(i) == name]


def test_every_part_of_the_population_is_mixed_like_the_whole() -> None:
    people = population(size=10_000)
    seen = Counter(people.persona_of(i) for i in range(1000))
    for name, persona in PERSONAS.items():
        assert seen[name] / 1000 == pytest.approx(persona.share, abs=0.02)


def test_pick_is_uniform_within_the_persona() -> None:
    people, rng = population(size=100), stream(1)
    seen = Counter(people.pick(rng, "student") for _ in range(4000))
    assert set(seen) == set(people.indices_of("student"))
    assert max(seen.values()) < 2 * min(seen.values())
    assert {people.persona_of(people.pick(rng)) for _ in range(300)} == set(PERSONAS)


def test_pick_of_nobody() -> None:
    with pytest.raises(LookupError):
        population().pick(stream(1), "astronaut")


def test_emails_are_ascii_and_unique() -> None:
    people = population(size=5000, locale="fr_FR")
    emails = [people.customer(i).email for i in range(5000)]
    assert len(set(emails)) == 5000
    assert all(EMAIL.match(email) for email in emails)


def test_customers_are_complete() -> None:
    people = population(accounts_per_customer=3)
    for index in range(300):
        customer = people.customer(index)
        persona = PERSONAS[customer.persona]
        assert customer.index == index and customer.persona == people.persona_of(index)
        assert customer.first_name and customer.last_name and customer.phone
        address = customer.address
        assert address.line1 and address.city == customer.home.city and address.postal_code and address.state
        assert address.country == customer.home.country == "US"
        age = (date(2026, 1, 5) - customer.date_of_birth).days / 365.25
        assert persona.ages[0] <= age <= persona.ages[1] + 1.01
        assert 1 <= len(customer.devices) <= 3 == len(customer.accounts)
        assert [a.product for a in customer.accounts] == ["checking", "savings", "savings"]
        assert all(a.opening_balance_cents > 0 for a in customer.accounts)
        assert customer.kyc_tier == persona.kyc_tier


def test_opening_balances_have_the_scenarios_mean() -> None:
    people = population(size=6000, initial_balance_cents=123_400)
    balances = [people.customer(i).accounts[0].opening_balance_cents for i in range(6000)]
    assert sum(balances) / 6000 == pytest.approx(123_400, rel=0.04)


def test_yen_customers_have_the_tier_that_yen_need() -> None:
    people = population(currency="JPY")
    assert {people.customer(i).kyc_tier for i in range(50)} == {"tier_3"}


def test_memory_does_not_grow_with_the_population() -> None:
    people = population(size=5_000_000)
    for index in range(0, 5_000_000, 240):
        people.customer(index)
    assert len(people._cache) <= CACHED_CUSTOMERS
    assert people.customer(4_999_999).email


@pytest.mark.parametrize("index", [-1, 300])
def test_outside_the_population(index: int) -> None:
    with pytest.raises(IndexError):
        population().customer(index)
    with pytest.raises(IndexError):
        population().indices_of("student")[1000]


def test_an_empty_population_is_refused() -> None:
    with pytest.raises(ValueError):
        population(size=0)
    with pytest.raises(ValueError):
        Population(1, 5, {})
