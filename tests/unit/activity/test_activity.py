from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import pytest

from banksim.activity import Activity
from banksim.activity.calendar import is_salary_hour
from banksim.activity.finder import MAX_DRAWS
from banksim.model import CREDIT_KINDS, AccountRef, Channel, Kind, Label, Place, Planned, Transaction
from banksim.world import TIER_LIMIT_UNITS, World, distance_km, stream
from banksim.world.persona import load_categories
from tests.unit.activity.helpers import Ahead, activity_at, taken
from tests.unit.activity.helpers import planned as planned_at
from tests.unit.world.scenarios import OnboardingSettings, WorldSettings

DAY_S = 86_400
CARD_PRESENT = {Channel.POS, Channel.ATM, Channel.BRANCH}


def moments(count: int, days: float, seed: int = 1) -> list[float]:
    rng = stream(seed, "moments")
    return sorted(rng.uniform(0, days * DAY_S) for _ in range(count))


def plans(world: World, count: int, days: float, **more: object) -> list[Planned]:
    return planned_at(world, moments(count, days), **more)


@pytest.fixture(scope="module")
def world() -> World:
    return World.from_scenario(WorldSettings(customers=400, accounts_per_customer=2), 7)


@pytest.fixture(scope="module")
def week(world: World) -> list[Planned]:
    """20,000 arrivals, evenly over a week: about seven a day for each customer."""
    return plans(world, 20_000, 7)


def overdrafts(world: World, planned: Iterable[Planned]) -> int:
    """How many would be refused by a bank that lets nobody below zero."""
    balance: dict[AccountRef, int] = {}

    def held(account: AccountRef) -> int:
        specs = world.population.customer(account.customer_index).accounts
        return balance.setdefault(account, specs[account.slot].opening_balance_cents)

    refused = 0
    for tx in (item.transaction for item in planned):
        if tx.kind in CREDIT_KINDS:
            balance[tx.account] = held(tx.account) + tx.amount_cents
        elif held(tx.account) < tx.amount_cents:
            refused += 1
        else:
            balance[tx.account] = held(tx.account) - tx.amount_cents
            if tx.counterparty is not None:
                balance[tx.counterparty] = held(tx.counterparty) + tx.amount_cents
    return refused


def test_the_same_moments_give_the_same_plans(week: list[Planned]) -> None:
    again = World.from_scenario(WorldSettings(customers=400, accounts_per_customer=2), 7)
    assert plans(again, 20_000, 7)[:3000] == week[:3000]


def test_another_seed_or_shard_gives_other_plans(world: World, week: list[Planned]) -> None:
    other = World.from_scenario(WorldSettings(customers=400, accounts_per_customer=2), 8)
    ids = {planned.transaction.transaction_id for planned in week}
    assert len(ids) == len(week)
    assert ids.isdisjoint(planned.transaction.transaction_id for planned in plans(other, 500, 7))
    assert ids.isdisjoint(planned.transaction.transaction_id for planned in plans(world, 500, 7, shard=1))


def test_every_plan_is_whole(world: World, week: list[Planned]) -> None:
    own_device = 0
    for planned in week:
        tx = planned.transaction
        customer = world.population.customer(tx.account.customer_index)
        assert planned.truth.label is Label.GENUINE and planned.truth.persona == customer.persona
        assert tx.timestamp_s == world.start_epoch_s + planned.sim_s
        own_device += tx.device_id in customer.devices
        assert tx.description and tx.currency == "USD"
        assert tx.amount_cents > 0
        assert (tx.merchant is not None) == (tx.kind in (Kind.PURCHASE, Kind.BILL_PAYMENT))
        assert (tx.counterparty is not None) == (tx.kind is Kind.TRANSFER)
        assert tx.counterparty != tx.account
        assert tx.channel in world.personas[customer.persona].channels[tx.kind] or tx.channel in (
            Channel.ONLINE,  # a shop out of reach
            Channel.MOBILE,  # money fetched from savings
        )
    # The others are the household's, browsers that were cleared, and devices used once.
    assert 0.9 < own_device / len(week) < 0.98


def test_amounts_are_under_the_tiers_limit(world: World, week: list[Planned]) -> None:
    over = 0
    for planned in week:
        customer = world.population.customer(planned.transaction.account.customer_index)
        if planned.transaction.amount_cents >= TIER_LIMIT_UNITS[customer.kyc_tier] * 100:
            over += 1
            assert planned.transaction.kind is Kind.TRANSFER  # which some try
    assert 0 < over < 0.005 * len(week)


def test_personas_follow_their_hourly_profile(world: World, week: list[Planned]) -> None:
    """Chi-square of persona × hour against share × tempo × hourly × weekly, 120 degrees of freedom."""
    expected: Counter[tuple[str, int]] = Counter()
    hours = Counter(world.hour_of_week(planned.sim_s) for planned in week)
    for how, count in hours.items():
        weights = {
            p.name: world.population.count_of(p.name) * p.tempo * p.hourly[how % 24] * p.weekly[how // 24]
            for p in world.personas.values()
        }
        for name, weight in weights.items():
            expected[name, how % 24] += count * weight / sum(weights.values())
    seen = Counter((planned.truth.persona, world.hour(planned.sim_s)) for planned in week)
    chi_square = sum((seen[cell] - mean) ** 2 / mean for cell, mean in expected.items())
    # Independent draws would stay below 180 in 999 of 1,000 cases; people who are out pay more than once.
    assert chi_square < 360


def test_kinds_follow_the_task_weights(week: list[Planned], world: World) -> None:
    seen = Counter(p.transaction.kind for p in week if p.truth.persona == "family")
    total, tasks = sum(seen.values()), world.personas["family"].tasks
    for kind in (Kind.PURCHASE, Kind.WITHDRAWAL, Kind.TRANSFER, Kind.BILL_PAYMENT):
        assert seen[kind] / total == pytest.approx(tasks[kind] / sum(tasks.values()), abs=0.03), kind


def test_salaries_come_in_business_hours_and_not_twice_in_a_period(world: World, week: list[Planned]) -> None:
    paid: dict[int, list[float]] = defaultdict(list)
    for planned in week:
        if planned.transaction.kind is Kind.SALARY:
            assert is_salary_hour(world.hour_of_week(planned.sim_s))
            paid[planned.transaction.account.customer_index].append(planned.sim_s)
    assert len(paid) > 100
    for moments_s in paid.values():
        assert all(b - a > 6 * DAY_S for a, b in itertools.pairwise(moments_s))


def test_shops_are_open(world: World, week: list[Planned]) -> None:
    categories = load_categories()
    closed = [
        planned
        for planned in week
        if planned.transaction.channel is Channel.POS
        and planned.transaction.merchant is not None
        and not categories[planned.transaction.merchant.category].is_open(world.hour(planned.sim_s))
    ]
    assert len(closed) <= len(week) * 0.002  # who entered before closing time


def test_customers_come_back_to_their_shops(week: list[Planned]) -> None:
    visits: dict[int, Counter[str]] = defaultdict(Counter)
    for tx in (planned.transaction for planned in week):
        if tx.channel is Channel.POS and tx.merchant is not None:
            visits[tx.account.customer_index][tx.merchant.merchant_id] += 1
    top_five = sum(sum(n for _, n in shops.most_common(5)) for shops in visits.values())
    assert top_five / sum(sum(shops.values()) for shops in visits.values()) > 0.5


@pytest.mark.parametrize(("count", "days"), [(20_000, 7.0), (12_000, 1.0)])
def test_some_overdraw_and_most_do_not(count: int, days: float) -> None:
    world = World.from_scenario(WorldSettings(customers=300), 7)
    planned = plans(world, count, days)
    assert 0.01 * len(planned) < overdrafts(world, planned) < 0.10 * len(planned)


def test_the_poor_overdraw_more_but_not_all_the_time() -> None:
    world = World.from_scenario(WorldSettings(customers=100, initial_balance=20), 7)  # type: ignore[arg-type]
    planned = plans(world, 6000, 3)
    assert overdrafts(world, planned) < 0.22 * len(planned)


def fastest_kmh(planned: Iterable[Planned], channels: set[Channel]) -> float:
    """The speed a customer would have needed between two transactions in a row."""
    last: dict[int, tuple[float, Place]] = {}
    fastest = 0.0
    for item in planned:
        tx = item.transaction
        if tx.channel not in channels:
            continue
        if tx.account.customer_index in last:
            then_s, there = last[tx.account.customer_index]
            away_km = distance_km(there, tx.place)
            if away_km > 0.001:
                fastest = max(fastest, away_km / max(item.sim_s - then_s, 1e-9) * 3600)
        last[tx.account.customer_index] = (item.sim_s, tx.place)
    return fastest


@pytest.mark.parametrize(("count", "days"), [(12_000, 40.0), (6_000, 0.02)])
def test_nobody_travels_faster_than_a_plane(count: int, days: float) -> None:
    always_away = {
        name: {"trips_per_month": 1.0} for name in ("student", "salaried", "family", "high_net_worth")
    }
    world = World.from_scenario(WorldSettings(customers=60, personas=always_away), 7)
    planned = plans(world, count, days)
    if days > 30:
        assert (
            len({p.transaction.place.country for p in planned if p.transaction.channel in CARD_PRESENT}) > 3
        )
    assert fastest_kmh(planned, CARD_PRESENT) < 900
    assert fastest_kmh(planned, set(Channel)) < 900


def test_in_a_rush_people_still_pay_in_shops() -> None:
    world = World.from_scenario(WorldSettings(customers=20), 7)
    noon = [12 * 3600 + k * 0.05 for k in range(3000)]
    purchases = [p for p in planned_at(world, noon) if p.transaction.kind is Kind.PURCHASE]
    assert sum(p.transaction.channel is Channel.POS for p in purchases) / len(purchases) > 0.3


def test_only_open_customers_act_and_are_paid(world: World) -> None:
    activity = activity_at(world, moments(2000, 2))
    found = taken(activity, is_open=lambda index: index % 4 == 0)
    for tx in (planned.transaction for planned in found if planned is not None):
        assert tx.account.customer_index % 4 == 0
        assert tx.counterparty is None or tx.counterparty.customer_index % 4 == 0
    assert activity.unplanned == found.count(None) == 0


def test_only_my_customers_pay_but_anybody_is_paid(world: World) -> None:
    payees = set()
    found = planned_at(world, moments(2000, 2), is_mine=lambda index: index < 200)
    for tx in (planned.transaction for planned in found):
        assert tx.account.customer_index < 200
        if tx.counterparty is not None:
            payees.add(tx.counterparty.customer_index)
    assert max(payees) >= 200


def test_nobody_to_act_is_counted_and_looked_for_a_bounded_time(world: World) -> None:
    activity, asked = activity_at(world, [0.0]), []

    def closed(index: int) -> bool:
        asked.append(index)
        return False

    assert taken(activity, is_open=closed) == [None]
    assert (activity.unplanned, len(asked)) == (1, MAX_DRAWS)


def test_a_single_customer_pays_bills_for_want_of_payees() -> None:
    world = World.from_scenario(WorldSettings(customers=1), 7)
    kinds = Counter(planned.transaction.kind for planned in plans(world, 1500, 20))
    assert kinds[Kind.TRANSFER] == 0 < kinds[Kind.BILL_PAYMENT]


def test_who_joins_later_pays_in_first() -> None:
    settings = WorldSettings(customers=50, onboarding=OnboardingSettings(existing_share=0.0))
    world = World.from_scenario(settings, 7)
    first: dict[int, Transaction] = {}
    for planned in planned_at(world, moments(1500, 3), scenario=settings):
        first.setdefault(planned.transaction.account.customer_index, planned.transaction)
    funded = sum(tx.kind in CREDIT_KINDS for tx in first.values())
    assert funded > 0.6 * len(first)  # the others were sent money, or try without


def test_a_noted_deposit_can_be_spent(world: World) -> None:
    settings = WorldSettings(customers=50, onboarding=OnboardingSettings(existing_share=0.0))
    activity = activity_at(World.from_scenario(settings, 7), [], settings)
    deposits = (p.transaction for p in plans(world, 2000, 1) if p.transaction.kind is Kind.DEPOSIT)
    deposit = next(tx for tx in deposits if tx.account.customer_index < 50 and tx.account.slot == 0)
    activity.note(deposit)
    assert activity.rows.state.available(deposit.account) == deposit.amount_cents


def test_memory_is_bounded_by_the_population() -> None:
    world = World.from_scenario(WorldSettings(customers=30, accounts_per_customer=2), 7)
    activity = activity_at(world, moments(6000, 200))
    assert len(taken(activity)) == 6000
    state, salaries = activity.rows.state, activity.rows._drafts.salaries
    assert len(state.balances) == 60 and len(state.seen.sim_s) == 30
    assert len(salaries.paid) < 200 * len(world.personas)
    assert salaries._pages.cache_info().currsize <= 512


def test_planning_ahead_changes_nothing(world: World) -> None:
    some = moments(400, 3)
    activity, found = activity_at(world, some), []
    for _ in some:
        found += taken(activity, 1)
        activity.take_back()
    assert planned_at(world, some) == found


def test_what_was_planned_ahead_is_planned_again_when_moments_change(world: World) -> None:
    """A change of speed moves what is to come: the plan is that of somebody who knew it all along."""
    some, later = moments(600, 3), [3 * DAY_S + moment for moment in moments(300, 1)]
    ahead = Ahead(some)
    activity = Activity(world, None, 0, (), ahead)
    found = taken(activity, 251)
    activity.take_back()
    assert ahead.taken == 251
    ahead.moments = np.array([*some[:251], *later])
    found += taken(activity)
    assert found == planned_at(world, [*some[:251], *later])


def test_arrivals_that_are_due_are_taken_together(world: World) -> None:
    """However they are taken, the same rows come, and each arrival is taken once."""
    some = moments(700, 3)
    ahead = Ahead(some)
    activity = Activity(world, None, 0, (), ahead)
    found, until_s = [], 0.0
    while activity.peek() is not None:
        block, start, end, missing = activity.take(until_s, 40)
        assert 1 <= end - start + missing <= 40
        found += [block.planned(position) for position in range(start, end)]
        until_s = found[-1].sim_s + 3600.0
    assert found == planned_at(world, some) and ahead.taken == len(some)


def test_who_acts_for_another_process_by_now_is_planned_again(world: World) -> None:
    activity = activity_at(world, moments(800, 3))
    found = taken(activity, 300, is_mine=lambda index: index < 400)
    activity.take_back()  # as the simulation does when the share changes
    found += taken(activity, is_mine=lambda index: index < 100)
    customers = [p.transaction.account.customer_index for p in found if p is not None]
    assert len(customers) == 800
    assert max(customers[:300]) >= 100 > max(customers[300:])


@pytest.mark.parametrize(
    ("currency", "locale", "balance"), [("JPY", "ja_JP", 750_000), ("EUR", "de_DE", 5000)]
)
def test_other_currencies(currency: str, locale: str, balance: int) -> None:
    settings = WorldSettings(customers=100, currency=currency, locale=locale, initial_balance=balance)  # type: ignore[arg-type]
    world = World.from_scenario(settings, 7)
    planned = plans(world, 3000, 2)
    per_unit = 1 if currency == "JPY" else 100
    for tx in (item.transaction for item in planned):
        limit = TIER_LIMIT_UNITS[world.population.customer(tx.account.customer_index).kyc_tier] * per_unit
        assert tx.currency == currency
        assert 0 < tx.amount_cents < (2 * limit if tx.kind is Kind.TRANSFER else limit)
    assert overdrafts(world, planned) < 0.08 * len(planned)


def test_amounts_are_varied(week: list[Planned]) -> None:
    amounts = Counter(planned.transaction.amount_cents for planned in week)
    assert amounts.most_common(1)[0][1] < 0.03 * len(week)
    assert len(amounts) > 6000
