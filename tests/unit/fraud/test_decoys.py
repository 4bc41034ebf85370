"""Decoys, genuine behaviour that looks like fraud: what each is, how many there are, and its label."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from math import sqrt
from statistics import mean, median, stdev

import pytest

from banksim.fraud import FraudProgram, build_registry
from banksim.fraud.patterns import DECOY_MIX
from banksim.fraud.people import VictimPool
from banksim.model import Channel, Kind, Label
from banksim.scenario import KNOWN_PATTERN_TYPES
from banksim.schedule.clock import offered_rate
from banksim.world import World, distance_km

from .helpers import desk, drive, drive_all, scenario, world

DECOYS = tuple(DECOY_MIX)
DAY_S = 86_400.0


def decoys(kind=None, seed=1, rate=0.05, hours=72, customers=2000, **changes):
    """The steps of every decoy campaign (of one kind) of a run without fraud."""
    fraud = desk(
        seed,
        duration_hours=hours,
        customers=customers,
        fraud={"rate": 0.0, "decoy_rate": rate},
        **changes,
    )
    return [drive(fraud.open(s)) for s in fraud.planned if kind in (None, s.typology)]


def person(step, customers=2000):
    return world(customers).population.customer(step.transaction.account.customer_index)


def test_the_mix_is_of_decoys_that_exist_and_are_no_kinds_of_fraud():
    assert set(build_registry().names(Label.DECOY)) == set(DECOYS)
    assert set(DECOYS).isdisjoint(KNOWN_PATTERN_TYPES)
    assert sum(DECOY_MIX.values()) == pytest.approx(1.0)


def test_decoys_are_labelled_so_and_act_from_their_own_devices():
    campaigns = decoys()
    assert {steps[0].truth.typology for steps in campaigns} == set(DECOYS)
    steps = [step for steps in campaigns for step in steps]
    # A phone may have been replaced and a browser cleared since the run began.
    assert mean(step.transaction.device_id in person(step).devices for step in steps) > 0.95
    for step in steps:
        assert step.truth.label is Label.DECOY
        assert not step.truth.is_fraud
        assert step.truth.role and step.truth.campaign_id


def test_nobody_in_a_decoy_is_an_accomplice():
    cast = VictimPool(1, world(2000).population)
    accomplices = {cast.index_of(cast.victims + nth) for nth in range(cast.accomplices)}
    for step in (step for steps in decoys() for step in steps):
        tx = step.transaction
        assert tx.account.customer_index not in accomplices
        assert tx.counterparty is None or tx.counterparty.customer_index not in accomplices


def test_the_rate_is_their_share_of_all_transactions():
    made = scenario()
    budget = offered_rate(made).total() / made.speed_multiplier * 0.01
    totals = [
        sum(s.size for s in desk(seed, fraud={"rate": 0.02, "decoy_rate": 0.01}).planned if s.decoy)
        for seed in range(40)
    ]
    assert abs(mean(totals) - budget) < 4 * stdev(totals) / sqrt(len(totals))


def test_each_decoy_has_its_share():
    sizes: Counter[str] = Counter()
    for seed in range(20):
        for spec in desk(seed, fraud={"rate": 0.0, "decoy_rate": 0.05}).planned:
            sizes[spec.typology] += spec.size
    for kind, weight in DECOY_MIX.items():
        assert sizes[kind] / sizes.total() == pytest.approx(weight, abs=0.02)


def test_fraud_decoys_and_the_others_share_the_offered_rate():
    fraud = desk(fraud={"rate": 0.05, "decoy_rate": 0.01, "attack_window": [2, 4]})
    for hour in (1, 3, 12):
        parts = (
            fraud.share.at(hour * 3600),
            fraud.decoy_share.at(hour * 3600),
            fraud.genuine_share.at(hour * 3600),
        )
        assert sum(parts) == pytest.approx(1)
        assert parts[1] == 0.01
    none = desk(fraud={"rate": 0.05, "decoy_rate": 0.0})
    assert none.decoy_share.total() == 0
    assert not any(spec.decoy for spec in none.planned)


def test_where_nearly_everything_is_fraud_decoys_get_what_is_left():
    fraud = desk(fraud={"rate": 0.999, "decoy_rate": 0.5, "sophistication": 1.0})
    assert fraud.decoy_share.at(0) == pytest.approx(0.001)
    assert fraud.genuine_share.at(0) == pytest.approx(0)


def test_decoys_leave_the_fraud_as_it_is():
    patterns = [{"type": "card_testing"}, {"type": "structuring", "count": 30}]
    plans = [desk(fraud={"rate": 0.01, "decoy_rate": rate, "patterns": patterns}) for rate in (0.0, 0.02)]
    frauds = [[spec for spec in plan.planned if not spec.decoy] for plan in plans]
    assert frauds[0] == frauds[1]


def test_decoys_happen_outside_attack_windows_too():
    starts = [
        s.start_s / 3600
        for s in desk(fraud={"rate": 0.02, "decoy_rate": 0.02, "attack_window": [2, 4]}).planned
        if s.decoy
    ]
    assert mean(2 <= hour < 4 for hour in starts) < 0.2


def test_a_holiday_is_booked_and_then_paid_far_from_home_at_a_speed_of_planes():
    far = 0
    campaigns = decoys("holiday_trip")
    for steps in campaigns:
        home = person(steps[0]).home
        assert steps[0].transaction.merchant.category in ("airline", "travel_agency", "hotel")
        assert steps[0].transaction.channel in (Channel.ONLINE, Channel.MOBILE)
        far += sum(distance_km(home, s.transaction.place) > 100 for s in steps[1:])
        for here, there in pairwise(steps):
            km = distance_km(here.transaction.place, there.transaction.place)
            if km > 20 and here.transaction.account == there.transaction.account:
                assert km <= 900 * (there.sim_s - here.sim_s) / 3600
    assert far > 0.5 * sum(len(steps) - 1 for steps in campaigns)


def test_a_traveller_really_is_away():
    """Most travellers are those whose own journey it is, so their other payments are there too."""
    from banksim.activity.journeys import Trips

    trips, there = Trips(world(2000)), []
    for steps in decoys("holiday_trip"):
        for step in steps[1:]:
            at_home = distance_km(step.transaction.place, person(step).home) < 30
            where = trips.whereabouts(person(step), step.transaction.timestamp_s)
            if not at_home:
                there.append(where is not None and distance_km(where, step.transaction.place) < 30)
    assert mean(there) > 0.6


def test_a_big_purchase_is_many_times_the_usual():
    ratios = []
    for steps in decoys("big_purchase"):
        for step in steps:
            persona = world(2000).personas[person(step).persona]
            tx = step.transaction
            assert tx.kind is Kind.PURCHASE
            usual = persona.amounts.get(tx.merchant.category, persona.amounts["online_retail"]).median_units
            ratios.append(tx.amount_cents / 100 / usual)
    assert median(ratios) > 5


def test_pay_day_brings_a_salary_and_a_burst_after_it():
    with_salary = 0
    for steps in decoys("pay_day_burst"):
        kinds = [step.transaction.kind for step in steps]
        for nth, kind in enumerate(kinds):
            if kind is Kind.SALARY:
                with_salary += 1
                burst = [
                    s for s in steps[nth + 1 :] if s.transaction.account == steps[nth].transaction.account
                ]
                assert all(s.sim_s - steps[nth].sim_s <= 8 * 3600 for s in burst)
                assert steps[nth].transaction.description in ("Salary", "Pension payment")
    assert with_salary > 5


def test_tenants_pay_one_landlord_on_the_1st_where_the_run_has_one():
    made = scenario(
        start_at="2026-01-30 00:00:00",
        duration_hours=96,
        customers=2000,
        fraud={"rate": 0, "decoy_rate": 0.05},
    )
    fraud = FraudProgram(World.from_scenario(made, 1), made, 1, offered_rate(made), made.speed_multiplier)
    on_the_first = []
    for steps in (drive(fraud.open(s)) for s in fraud.planned if s.typology == "landlord_fan_in"):
        assert len({step.transaction.counterparty for step in steps}) <= max(1, len(steps) // 4)
        assert len({step.transaction.account for step in steps}) > 0.8 * len(steps)
        days = [datetime.fromtimestamp(step.transaction.timestamp_s, UTC).day for step in steps]
        if steps[0].sim_s < 2.8 * DAY_S:  # began by the 1st, the third day of this run
            on_the_first += [day == 1 for day in days]
    assert mean(on_the_first) > 0.9


def test_tenants_pay_in_a_run_without_a_1st_too():
    assert decoys("landlord_fan_in")


@pytest.mark.parametrize("currency", ["JPY", "CHF"])
@pytest.mark.parametrize("customers", [1, 5, 60])
def test_decoys_work_in_tiny_banks_and_other_currencies(customers, currency):
    for steps in decoys(customers=customers, currency=currency, hours=24, rate=0.01):
        assert steps
        assert all(step.transaction.amount_cents > 0 for step in steps)


def test_a_replan_plans_decoys_anew_too():
    fraud = desk(fraud={"rate": 0.0, "decoy_rate": 0.02})
    before = fraud.planned
    again = fraud.replan(12 * 3600.0, 25)
    assert sum(s.size for s in again) > 1.5 * sum(s.size for s in before if s.start_s >= 12 * 3600)
    assert all(s.decoy for s in again)
    drive_all(fraud)
