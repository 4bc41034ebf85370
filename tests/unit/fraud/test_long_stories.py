"""Typologies that build trust before they take: app_scam and synthetic_identity."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean, median

import pytest

from banksim.model import CREDIT_KINDS, Kind
from banksim.world import distance_km

from .helpers import BLOCKED, REFUSED, approve, desk, drive, drive_all, one_pattern, world

DAY_S = 86_400.0


def person(step, customers=400):
    return world(customers).population.customer(step.transaction.account.customer_index)


def scams(seed=1, answer=approve, **options):
    """Stories of the victim's own steps, by victim."""
    stories = defaultdict(list)
    pattern = {"type": "app_scam", "count": 80} | options
    for steps in drive_all(desk(seed, customers=4000, fraud={"patterns": [pattern]}), answer).values():
        for step in steps:
            if step.truth.role == "victim":
                stories[step.transaction.account.customer_index].append(step)
    return list(stories.values())


@pytest.mark.parametrize("soph", [0.0, 1.0])
def test_a_scam_is_small_payments_then_one_large_by_the_victims_own_device(soph):
    seen = 0
    for story in scams(sophistication=soph):
        for step in story:
            assert step.transaction.kind is Kind.TRANSFER
            victim = person(step, 4000)
            assert step.transaction.device_id == victim.devices[0]
            assert distance_km(step.transaction.place, victim.home) < 1
        amounts = [step.transaction.amount_cents for step in story]
        if len(amounts) > 1:
            seen += 1
            assert max(amounts) == amounts[-1]
            assert max(amounts[:-1]) <= 0.25 * amounts[-1]
            assert len({step.transaction.counterparty for step in story}) == 1
    assert seen > 10


def test_the_mule_of_a_scam_moves_on_what_came():
    moved = 0
    for steps in one_pattern("app_scam", count=80):
        came = defaultdict(int)
        for step in steps:
            tx = step.transaction
            if step.truth.role == "mule":
                moved += 1
                assert tx.amount_cents <= came[tx.account.customer_index]
                came[tx.account.customer_index] -= tx.amount_cents
            if tx.counterparty is not None:
                came[tx.counterparty.customer_index] += tx.amount_cents
    assert moved > 10


def test_a_refused_victim_is_talked_into_less_and_to_another_account_if_that_was_blocked():
    [steps] = one_pattern("app_scam", 2, lambda _: BLOCKED, count=2, duration_minutes=600)
    assert len({step.transaction.counterparty for step in steps}) == 2
    stories = [story for story in scams(2, lambda _: REFUSED, duration_minutes=1400) if len(story) >= 3]
    halved = [
        story[-1].transaction.amount_cents
        == pytest.approx(0.5 * story[-2].transaction.amount_cents, rel=0.02, abs=1000)
        for story in stories
    ]
    assert mean(halved) > 0.9  # the last story of the campaign may be cut before the second ask


def bust_outs(days, seed=1):
    pattern = {"type": "synthetic_identity", "count": 60, "duration_minutes": days * 1440 - 10}
    fraud = desk(seed, duration_hours=24 * days, speed=1000, fraud={"patterns": [pattern]})
    stories = defaultdict(list)
    for spec in fraud.planned:
        for step in drive(fraud.open(spec)):
            if step.truth.role in ("invented customer", "bust-out"):
                stories[step.transaction.account.customer_index].append(step)
    return list(stories.values())


@pytest.mark.parametrize("days", [1, 120])
def test_a_synthetic_identity_is_good_for_most_of_the_time_and_then_busts_out(days):
    ratios = []
    for story in bust_outs(days):
        good = [s for s in story if s.truth.role == "invented customer"]
        bust = [s for s in story if s.truth.role == "bust-out"]
        assert len(good) > len(bust) >= 2
        assert good[-1].sim_s <= bust[0].sim_s
        lasted_s = story[-1].sim_s - story[0].sim_s
        assert bust[0].sim_s - story[0].sim_s > 0.7 * lasted_s
        paid = [s.transaction.amount_cents for s in good if s.transaction.kind not in CREDIT_KINDS]
        taken = [s.transaction.amount_cents for s in bust]
        ratios.append(mean(taken) / mean(paid))
        assert all(s.transaction.device_id in person(s).devices for s in good)
    assert min(ratios) > 1
    assert median(ratios) > 4


def test_in_a_run_that_is_long_enough_the_history_takes_weeks():
    for story in bust_outs(120):
        assert story[-1].sim_s - story[0].sim_s > 20 * DAY_S


def test_the_bust_out_takes_most_of_the_balance():
    for story in bust_outs(30):
        owner = person(story[0])
        balance = owner.accounts[0].opening_balance_cents
        for step in story:
            tx = step.transaction
            balance += tx.amount_cents if tx.kind in CREDIT_KINDS else -tx.amount_cents
        taken = sum(s.transaction.amount_cents for s in story if s.truth.role == "bust-out")
        limit = max(s.transaction.amount_cents for s in story)
        if owner.kyc_tier != "tier_1":
            assert taken > 0.6 * (balance + taken) or limit >= 900_000
