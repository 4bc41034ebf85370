"""What the scams, the abuse of cards and the decoys of every day mean, read from their transactions."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import mean, median

import pytest

from banksim.fraud.typologies.card_abuse import TAP_UNITS
from banksim.fraud.typologies.everyday import ERRANDS_S
from banksim.model import CREDIT_KINDS, FraudStage, Kind

from .helpers import REFUSED, desk, drive, one_pattern, world
from .test_decoys import decoys

DAY_S = 86_400.0
SCAMS = ("purchase_scam", "impersonation_scam", "invoice_scam", "romance_scam", "investment_scam")


def stories(kind, count=12, days=40, answer=None, **options):
    """The steps of some campaigns of a kind, by victim."""
    fraud = desk(
        3,
        duration_hours=24 * days,
        customers=400,
        fraud={"patterns": [{"type": kind, "count": count, **options}]},
    )
    found = defaultdict(list)
    for spec in fraud.planned:
        steps = drive(fraud.open(spec), **({} if answer is None else {"answer": answer}))
        for step in steps:
            found[spec.campaign_id, step.transaction.account.customer_index].append(step)
    return list(found.values())


@pytest.mark.parametrize("kind", SCAMS)
def test_a_scam_is_paid_by_the_victim_at_home_and_is_their_loss(kind):
    for steps in stories(kind):
        for step in steps:
            tx, victim = (
                step.transaction,
                world().population.customer(step.transaction.account.customer_index),
            )
            assert step.truth.role == "victim" and tx.place == victim.home
            assert step.truth.stage in (FraudStage.HARM, FraudStage.PREPARATION) and step.loss_cents > 0
    assert any(step.truth.stage is FraudStage.HARM for steps in stories(kind) for step in steps)


def test_romance_grows_over_weeks_to_one_account():
    long = [steps for steps in stories("romance_scam", count=40, days=90) if len(steps) >= 5]
    assert long
    for steps in long:
        assert len({step.transaction.counterparty for step in steps}) == 1
        assert steps[-1].sim_s - steps[0].sim_s > 3 * DAY_S
    assert median(s[-1].transaction.amount_cents / s[0].transaction.amount_cents for s in long) > 1.5


def test_stakes_go_to_a_crypto_exchange():
    shops = {step.transaction.merchant.category for steps in stories("investment_scam") for step in steps}
    assert shops == {"crypto_exchange"}


def test_impersonation_drains_the_account_within_the_hour():
    for steps in stories("impersonation_scam"):
        assert steps[-1].sim_s - steps[0].sim_s < 4 * 3600
    shares = [
        sum(step.transaction.amount_cents for step in steps)
        / world()
        .population.customer(steps[0].transaction.account.customer_index)
        .accounts[0]
        .opening_balance_cents
        for steps in stories("impersonation_scam")
    ]
    assert mean(shares) > 0.3 and max(shares) <= 0.96


def test_a_scam_ends_when_the_victim_is_refused_twice():
    for steps in stories("romance_scam", answer=lambda _: REFUSED):
        assert len(steps) % 2 == 0 or len(steps) == 1
        first, second = (step.transaction.amount_cents for step in (*steps, steps[-1])[:2])
        assert len(steps) == 1 or second <= 0.5 * first + 1000  # written as a round sum


def test_cards_of_one_shop_are_used_days_after_their_owners_were_there():
    fraud = desk(3, duration_hours=24 * 20, fraud={"patterns": [{"type": "compromised_shop", "count": 12}]})
    steps = drive(fraud.open(fraud.planned[0]), owners=True)
    visits = [step for step in steps if not step.truth.is_fraud]
    uses = [step for step in steps if step.truth.is_fraud]
    assert len({step.transaction.merchant.merchant_id for step in visits}) == 1
    assert {s.transaction.account for s in uses} <= {s.transaction.account for s in visits}
    assert uses[0].sim_s - visits[0].sim_s > DAY_S
    assert len({step.transaction.merchant.merchant_id for step in uses}) > 1


def test_a_found_card_pays_little_near_home_and_stops_when_declined():
    for steps in stories("lost_or_stolen_card"):
        for step in steps:
            tx = step.transaction
            assert tx.place.city == world().population.customer(tx.account.customer_index).home.city
            if tx.kind is Kind.PURCHASE:
                assert tx.amount_cents <= TAP_UNITS * 100 + 99
    assert all(len(steps) == 1 for steps in stories("lost_or_stolen_card", answer=lambda _: REFUSED))


def test_copied_cards_meet_at_few_machines():
    [steps] = [one_pattern("atm_cash_out", 3, count=12, duration_minutes=60)[0]]
    assert {step.transaction.kind for step in steps} == {Kind.WITHDRAWAL}
    at_machines = [s.transaction for s in steps]
    assert len({tx.account for tx in at_machines}) > 8
    assert len({(tx.place.latitude, tx.place.longitude) for tx in at_machines}) <= 3


def test_what_comes_back_is_what_was_paid_and_counts_once():
    for steps in stories("refund_abuse", count=24):
        paid = [s.transaction.amount_cents for s in steps if s.transaction.kind is Kind.PURCHASE]
        back = [s.transaction.amount_cents for s in steps if s.transaction.kind in CREDIT_KINDS]
        assert Counter(back) <= Counter(paid)
        assert sum(step.loss_cents for step in steps) == sum(paid)
        assert {s.truth.stage for s in steps if s.transaction.kind is Kind.PURCHASE} == {FraudStage.HARM}


def test_a_bust_out_shop_sells_to_many_within_hours():
    [steps] = one_pattern("merchant_bust_out", 3, count=15, duration_minutes=12 * 60)
    assert len({step.transaction.merchant.merchant_id for step in steps}) == 1
    assert len({step.transaction.account for step in steps}) == 15


@pytest.mark.parametrize(
    ("kind", "payers", "payees"),
    [("payroll", 1, 3), ("marketplace_seller", 2, 1), ("remittance", 1, 1)],
)
def test_decoys_of_every_day_have_the_shape_of_what_they_resemble(kind, payers, payees):
    found = [steps for steps in decoys(kind, rate=0.2, hours=24 * 7) if len(steps) >= 3]
    assert found
    for steps in found:
        transfers = [step.transaction for step in steps if step.transaction.kind is Kind.TRANSFER]
        assert len({tx.account for tx in transfers}) >= payers
        assert len({tx.counterparty for tx in transfers}) >= payees


def test_a_treasurer_passes_on_what_was_collected():
    whole = [
        steps
        for steps in decoys("club_treasurer", rate=0.2, hours=24 * 7)
        if steps[-1].truth.role == "treasurer"
    ]
    assert whole
    for steps in whole:
        collected = sum(s.transaction.amount_cents for s in steps if s.truth.role == "member")
        assert steps[-1].transaction.amount_cents <= collected


def everyday(kind):
    found = decoys(kind, rate=0.2, hours=24 * 7)
    assert len(found) >= 3
    return found


def test_takings_are_cash_of_a_small_business_below_the_reporting_threshold():
    for step in (step for steps in everyday("cash_takings") for step in steps):
        assert step.transaction.kind is Kind.DEPOSIT
        assert step.truth.persona == "small_business"
        assert 500_00 < step.transaction.amount_cents < 10_000_00


def test_errands_are_near_home_and_soon_done():
    for steps in everyday("errands"):
        moments = defaultdict(list)
        for step in steps:
            index = step.transaction.account.customer_index
            assert step.transaction.place.city == world(2000).population.customer(index).home.city
            moments[index].append(step.sim_s)
        assert all(max(found) - min(found) <= ERRANDS_S for found in moments.values())
        assert len(steps) > len(moments)


def test_goods_go_back_once_at_their_price():
    for steps in everyday("returned_goods"):
        paid = [step.transaction.amount_cents for step in steps if step.transaction.kind is Kind.PURCHASE]
        back = [step.transaction.amount_cents for step in steps if step.transaction.kind is Kind.DEPOSIT]
        assert Counter(back) <= Counter(paid)


def test_a_new_phone_pays_somebody_from_a_device_that_the_customer_did_not_have():
    for step in (step for steps in everyday("new_phone") for step in steps):
        customer = world(2000).population.customer(step.transaction.account.customer_index)
        assert step.transaction.kind is Kind.TRANSFER
        assert step.transaction.device_id not in customer.devices
