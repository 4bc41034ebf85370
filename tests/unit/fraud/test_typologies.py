"""What each typology means, read from the transactions it makes."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from statistics import mean, median

import pytest

from banksim.model import CREDIT_KINDS, Channel, FraudStage, Kind, Label
from banksim.scenario import KNOWN_PATTERN_TYPES
from banksim.world import TIER_LIMIT_UNITS, distance_km

from .helpers import APPROVED, REFUSED, desk, drive, one_pattern, world


def transactions(campaigns):
    return [step.transaction for steps in campaigns for step in steps]


def by_account(steps):
    found = defaultdict(list)
    for step in steps:
        found[step.transaction.account.customer_index].append(step)
    return found


@pytest.mark.parametrize("kind", KNOWN_PATTERN_TYPES)
@pytest.mark.parametrize("soph", [0.0, 1.0])
def test_every_amount_is_positive_and_within_the_payers_limit(kind, soph):
    for seed in (1, 2):
        for tx in transactions(one_pattern(kind, seed, sophistication=soph)):
            tier = world().population.customer(tx.account.customer_index).kyc_tier
            assert 0 < tx.amount_cents <= TIER_LIMIT_UNITS[tier] * 100


@pytest.mark.parametrize("kind", KNOWN_PATTERN_TYPES)
def test_amounts_are_hardly_ever_the_same(kind):
    amounts = [tx.amount_cents for tx in transactions(one_pattern(kind, count=100))]
    assert len(set(amounts)) > (20 if kind == "atm_cash_out" else 50)  # machines give notes


@pytest.mark.parametrize("currency", ["JPY", "CHF"])
@pytest.mark.parametrize("kind", KNOWN_PATTERN_TYPES)
def test_every_kind_works_in_other_currencies(kind, currency):
    fraud = desk(currency=currency, fraud={"patterns": [{"type": kind, "count": 20}]})
    for spec in fraud.planned:
        for step in drive(fraud.open(spec)):
            assert step.transaction.currency == currency
            assert step.transaction.amount_cents > 0


@pytest.mark.parametrize("kind", KNOWN_PATTERN_TYPES)
@pytest.mark.parametrize("customers", [1, 2, 5])
def test_every_kind_works_in_a_tiny_bank(kind, customers):
    fraud = desk(customers=customers, fraud={"patterns": [{"type": kind, "count": 12}]})
    steps = [step for spec in fraud.planned for step in drive(fraud.open(spec))]
    assert len(steps) == 12
    for step in steps:
        assert step.transaction.counterparty != step.transaction.account


def test_card_testing_is_small_over_many_cards_and_few_devices():
    [steps] = one_pattern("card_testing", count=100, duration_minutes=20, sophistication=0.0)
    assert all(1 <= step.transaction.amount_cents <= 500 for step in steps)
    assert len(by_account(steps)) > 75
    assert len({step.transaction.device_id for step in steps}) <= 3
    assert 3 <= len({step.transaction.merchant.merchant_id for step in steps}) <= 8
    assert all(step.transaction.channel is not Channel.POS for step in steps)


def test_card_testing_keeps_to_the_amounts_asked_for():
    amounts = [tx.amount_cents for tx in transactions(one_pattern("card_testing", amount_range=[0.01, 0.4]))]
    assert min(amounts) >= 1
    assert max(amounts) <= 40


def test_about_a_quarter_of_the_tested_cards_is_worth_keeping():
    fraud = desk(
        customers=4000, fraud={"patterns": [{"type": "card_testing", "count": 800, "duration_minutes": 90}]}
    )
    run = fraud.open(fraud.planned[0])
    cards = len(by_account(drive(run)))
    assert 0.2 < len(run.campaign.loot) / cards < 0.3
    refused = fraud.open(fraud.planned[0])
    drive(refused, lambda _: REFUSED)
    assert len(refused.campaign.loot) == 0


def test_account_takeover_takes_the_share_of_the_balance_asked_for():
    for steps in one_pattern("account_takeover", count=40, target_balance_pct=0.8, sophistication=0.0):
        for index, taken in list(by_account(steps).items())[:-1]:  # the last may be cut at the size
            customer = world().population.customer(index)
            total = sum(step.transaction.amount_cents for step in taken)
            balance = customer.accounts[0].opening_balance_cents
            assert all(step.transaction.kind is Kind.TRANSFER for step in taken)
            if balance > 50_000:
                assert total == pytest.approx(0.8 * balance, rel=0.02)


def test_account_takeover_pays_accomplices_who_are_no_victims():
    steps = [step for made in one_pattern("account_takeover", count=80) for step in made]
    payees = {step.transaction.counterparty.customer_index for step in steps}
    assert payees.isdisjoint(by_account(steps))


def test_a_clumsy_takeover_comes_from_a_new_device_and_a_careful_one_from_the_victims():
    def foreign_devices(soph):
        steps = [s for made in one_pattern("account_takeover", count=150, sophistication=soph) for s in made]
        return mean(
            s.transaction.device_id
            not in world().population.customer(s.transaction.account.customer_index).devices
            for s in steps
        )

    assert foreign_devices(0.0) == 1.0
    assert foreign_devices(1.0) < 0.5


def test_a_refused_thief_asks_for_less_and_then_leaves():
    [steps] = one_pattern(
        "account_takeover", count=20, duration_minutes=60, answer=lambda _: REFUSED, sophistication=0.0
    )
    for tries in by_account(steps).values():
        assert len(tries) <= 3


def test_a_velocity_burst_stays_in_its_window_over_many_shops():
    [steps] = one_pattern(
        "velocity_attack",
        count=100,
        duration_minutes=600,
        transaction_burst=50,
        time_window_seconds=60,
        sophistication=0.0,
    )
    bursts = by_account(steps)
    assert sorted(map(len, bursts.values())) == [50, 50]
    for burst in bursts.values():
        assert burst[-1].sim_s - burst[0].sim_s <= 60
        assert len({step.transaction.merchant.merchant_id for step in burst}) > 10


def test_intensity_makes_a_burst_faster():
    [steps] = one_pattern(
        "velocity_attack",
        count=40,
        duration_minutes=600,
        transaction_burst=40,
        time_window_seconds=80,
        intensity=4,
    )
    assert steps[-1].sim_s - steps[0].sim_s <= 20


def test_a_dead_card_is_thrown_away():
    [steps] = one_pattern(
        "velocity_attack", count=50, duration_minutes=600, transaction_burst=50, answer=lambda _: REFUSED
    )
    assert {len(tries) for tries in by_account(steps).values()} == {5}


def test_large_amounts_are_above_the_threshold():
    amounts = [
        tx.amount_cents
        for tx in transactions(one_pattern("large_amount", suspicious_threshold=5000, sophistication=1.0))
    ]
    assert min(amounts) > 500_000


def test_large_amounts_are_a_multiple_of_the_usual():
    def middle(**options):
        return median(
            tx.amount_cents for tx in transactions(one_pattern("large_amount", count=200, **options))
        )

    usual = middle(amount_multiplier=1.0)
    assert 6 < middle(amount_multiplier=10.0, sophistication=0.0) / usual < 16
    assert middle(amount_multiplier=10.0, sophistication=1.0) < middle(
        amount_multiplier=10.0, sophistication=0.0
    )


@pytest.mark.parametrize(
    "options",
    [
        {"sophistication": 0.0},
        {"location_jump_km": 3000, "time_window_hours": 4, "sophistication": 0.9},
    ],
)
def test_unusual_locations_need_more_than_an_airliner(options):
    [steps] = one_pattern("unusual_location", count=60, duration_minutes=1200, owners=True, **options)
    home = [step for step in steps if step.truth.label is Label.GENUINE]
    assert len(steps) - len(home) == 60  # what the owner pays at home is nobody's fraud, and extra
    assert all(
        step.transaction.place.city
        == world().population.customer(step.transaction.account.customer_index).home.city
        for step in home
    )
    jumps = 0
    for path in by_account(steps).values():
        for here, there in pairwise(path):
            km = distance_km(here.transaction.place, there.transaction.place)
            hours = (there.sim_s - here.sim_s) / 3600
            if km < 100:  # a third payment in the strange city
                continue
            jumps += 1
            assert km >= options.get("location_jump_km", 1000)
            assert km > 900 * hours
            assert hours <= options.get("time_window_hours", 1)
    assert jumps >= 20


def test_a_careful_thief_with_a_cloned_card_waits_for_longer():
    def middle_gap_s(sophistication):
        gaps_s = []
        for seed in range(9):
            [steps] = one_pattern(
                "unusual_location",
                seed,
                count=2,
                duration_minutes=60_000,
                owners=True,
                sophistication=sophistication,
            )
            home, clone = steps[:2]
            assert home.truth.label is Label.GENUINE
            assert clone.truth.is_fraud
            gaps_s.append(clone.sim_s - home.sim_s)
        return median(gaps_s)

    gaps_s = [middle_gap_s(sophistication) for sophistication in (0.0, 0.3, 0.6, 0.9)]
    assert gaps_s == sorted(gaps_s)
    assert gaps_s[0] < 3600
    assert gaps_s[-1] > 4 * gaps_s[0]


def test_a_cloned_card_is_used_in_shops_that_are_open_and_where_the_shop_is():
    from banksim.world.persona import load_categories

    for tx in transactions(one_pattern("unusual_location", count=100)):
        assert tx.channel is Channel.POS
        assert tx.place == tx.merchant.place
        assert load_categories()[tx.merchant.category].is_open(int(tx.timestamp_s // 3600) % 24)


def test_online_fraud_is_without_card_and_above_the_usual():
    made = transactions(one_pattern("online_fraud", count=200, sophistication=0.0))
    assert all(tx.channel in (Channel.ONLINE, Channel.MOBILE) for tx in made)
    assert 6_000 < median(tx.amount_cents for tx in made) < 40_000


def test_identity_theft_builds_a_history_and_then_takes_everything():
    for steps in one_pattern("identity_theft", count=60, sophistication=0.0):
        for story in list(by_account(steps).values())[:-1]:
            kinds = [step.transaction.kind for step in story]
            into = sum(s.transaction.amount_cents for s in story if s.transaction.kind in CREDIT_KINDS)
            largest = max(story, key=lambda s: s.transaction.amount_cents).transaction
            assert kinds[-1] in (Kind.TRANSFER, Kind.WITHDRAWAL)
            assert largest.kind in (Kind.DEPOSIT, Kind.TRANSFER)
            out = sum(
                s.transaction.amount_cents
                for s in story
                if s.transaction.kind in (Kind.TRANSFER, Kind.WITHDRAWAL)
            )
            assert 0.3 * into < out <= into


def test_a_careful_fraudster_is_closer_to_his_victims_habits():
    def excess(soph):
        made = transactions(one_pattern("online_fraud", count=300, sophistication=soph))
        return mean(tx.amount_cents for tx in made)

    assert excess(1.0) < 0.6 * excess(0.0)


def test_what_the_bank_refuses_moves_no_believed_balance():
    fraud = desk(fraud={"patterns": [{"type": "large_amount", "count": 1}]})
    run = fraud.open(fraud.planned[0])
    planned = run.first()
    person = world().population.customer(planned.transaction.account.customer_index)
    before = run.campaign.wallet.balance(person)
    run.campaign.note(planned, REFUSED)
    assert run.campaign.wallet.balance(person) == before
    run.campaign.note(planned, APPROVED)
    assert run.campaign.wallet.balance(person) == before - planned.transaction.amount_cents


@pytest.mark.parametrize("kind", KNOWN_PATTERN_TYPES)
def test_money_is_lost_once_and_only_where_a_victim_or_the_bank_pays(kind):
    """Laundering and money paid in are no loss; every harmful step is."""
    for step in (step for steps in one_pattern(kind, count=40, owners=True) for step in steps):
        tx, stage, role = step.transaction, step.truth.stage, step.truth.role
        assert (stage is FraudStage.NONE) == (step.truth.label is Label.GENUINE)
        laundering = role in ("mule", "source", "smurf", "depositor", "accomplice")
        assert (stage is FraudStage.LAUNDERING) == laundering
        if stage is FraudStage.HARM:
            assert step.loss_cents == tx.amount_cents and tx.kind not in CREDIT_KINDS
        elif tx.kind in CREDIT_KINDS or role in ("invented customer", "") or laundering:
            assert step.loss_cents == 0
        else:
            assert stage is FraudStage.PREPARATION and step.loss_cents == tx.amount_cents
