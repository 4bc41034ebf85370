from __future__ import annotations

import pytest

from banksim.activity import OnboardingPlan
from banksim.model import Kind, Label
from banksim.schedule.clock import Piece, PiecewiseRate
from banksim.world import World
from tests.unit.world.scenarios import OnboardingSettings, WorldSettings

HOUR_S = 3600.0
SETTINGS = WorldSettings(customers=1000, onboarding=OnboardingSettings())
#: Three times as busy in the second half of the ten hours.
RATE = PiecewiseRate([Piece(0, 5 * HOUR_S, 1.0), Piece(5 * HOUR_S, 10 * HOUR_S, 3.0)])


@pytest.fixture(scope="module")
def world() -> World:
    return World.from_scenario(SETTINGS, 7)


def plan(world: World, rate: PiecewiseRate = RATE) -> OnboardingPlan:
    return OnboardingPlan(world, SETTINGS, rate)


def test_everybody_who_was_not_there_joins_once_in_order_of_time(world: World) -> None:
    onboarding = plan(world)
    joinings = list(onboarding)
    assert onboarding.existing == 200
    assert [j.customer_index for j in joinings] == list(range(200, 1000))
    assert [j.sim_s for j in joinings] == sorted(j.sim_s for j in joinings)
    assert joinings[0].sim_s >= 0 and joinings[-1].sim_s <= 8 * HOUR_S
    assert next(onboarding, None) is None


def test_joinings_are_as_dense_as_transactions(world: World) -> None:
    # Area until 8 h: 5 + 9; until 5 h: 5.
    early = sum(j.sim_s < 5 * HOUR_S for j in plan(world)) / 800
    assert early == pytest.approx(5 / 14, abs=0.005)


def test_approval_and_first_deposit(world: World) -> None:
    joinings = list(plan(world))
    approved = [j for j in joinings if j.approved]
    assert len(approved) / 800 == pytest.approx(0.9, abs=0.04)
    assert all(j.first_deposit is None for j in joinings if not j.approved)
    deposits = [j for j in approved if j.first_deposit is not None]
    assert len(deposits) > 300
    for joining in deposits:
        planned = joining.first_deposit
        assert planned is not None
        tx = planned.transaction
        assert tx.kind is Kind.DEPOSIT and tx.account.customer_index == joining.customer_index
        assert 1 * HOUR_S <= planned.sim_s - joining.sim_s <= 6 * HOUR_S
        assert planned.sim_s < 10 * HOUR_S
        assert 100_00 <= tx.amount_cents <= 900_00
        assert tx.timestamp_s == world.start_epoch_s + planned.sim_s
        assert planned.truth.label is Label.GENUINE


def test_first_deposits_after_the_end_are_left_out(world: World) -> None:
    late = [j for j in plan(world) if j.approved and j.sim_s > 7.9 * HOUR_S]
    assert any(j.first_deposit is None for j in late)


def test_a_joining_is_a_function_of_the_index(world: World) -> None:
    listed = list(plan(world))
    assert [plan(world).joining(index) for index in (999, 500, 200)] == [listed[799], listed[300], listed[0]]
    with pytest.raises(IndexError):
        plan(world).joining(199)


def test_without_any_traffic_joinings_are_spread_evenly(world: World) -> None:
    joinings = list(plan(world, PiecewiseRate.constant(0.0, 10 * HOUR_S)))
    assert joinings[400].sim_s == pytest.approx(4 * HOUR_S, abs=60)


def test_hours_without_traffic_see_no_joinings(world: World) -> None:
    rate = PiecewiseRate([Piece(0, 3600, 1.0), Piece(3600, 7200, 0.0), Piece(7200, 36_000, 1.0)])
    assert not [j for j in plan(world, rate) if 3601 < j.sim_s < 7199]


def test_who_joins_brings_no_money(world: World) -> None:
    onboarding = plan(world)
    assert onboarding.customer(199) == world.population.customer(199)
    newcomer = onboarding.customer(200)
    assert [spec.opening_balance_cents for spec in newcomer.accounts] == [0]
    assert newcomer.email == world.population.customer(200).email


def test_first_deposits_fit_the_tier() -> None:
    rich = WorldSettings(
        customers=200, onboarding=OnboardingSettings(initial_deposit_range=(50_000.0, 90_000.0))
    )
    world = World.from_scenario(rich, 7)
    for joining in OnboardingPlan(world, rich, RATE):
        if joining.first_deposit is not None:
            customer = world.population.customer(joining.customer_index)
            limit = {"tier_1": 1_000_00, "tier_2": 10_000_00, "tier_3": 100_000_00}[customer.kyc_tier]
            assert joining.first_deposit.transaction.amount_cents < limit


def test_without_the_block_there_is_no_plan(world: World) -> None:
    with pytest.raises(ValueError):
        OnboardingPlan(world, WorldSettings(), RATE)
