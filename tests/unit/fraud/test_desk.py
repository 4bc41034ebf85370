from __future__ import annotations

import gc
from itertools import pairwise
from time import thread_time

import pytest

from banksim.fraud.plan import SLICE
from banksim.model import ScenarioError

from .helpers import BLOCKED, desk, drive, drive_all, scenario

HOUR_S = 3600.0


def chain(**follower):
    return {
        "rate": 0.001,
        "patterns": [
            {"type": "card_testing", "count": 60, "duration_minutes": 30},
            {"type": "account_takeover", "count": 9, "follows": "card_testing", "delay_minutes": 20}
            | follower,
        ],
    }


def test_a_follower_starts_its_delay_after_its_parents_last_step():
    fraud = desk(fraud=chain())
    [parent] = fraud.planned
    run = fraud.open(parent)
    steps = drive(run)
    [follower] = fraud.finished(run, at_s=run.ended_s + 5000)
    assert follower.start_s == pytest.approx(steps[-1].sim_s + 20 * 60)
    assert follower.follows == parent.campaign_id


def test_a_follower_inherits_the_loot_and_uses_it_first():
    fraud = desk(fraud=chain())
    run = fraud.open(fraud.planned[0])
    drive(run)
    [follower] = fraud.finished(run, 0)
    heir = fraud.open(follower)
    assert heir.campaign.inherited == tuple(run.campaign.loot)
    steps = drive(heir)
    assert steps[0].transaction.account.customer_index in run.campaign.loot


def test_requires_successful_acts_on_those_who_succeeded_alone():
    fraud = desk(fraud=chain(requires_successful="card_testing"))
    run = fraud.open(fraud.planned[0])
    drive(run)
    [follower] = fraud.finished(run, 0)
    steps = drive(fraud.open(follower))
    assert len(steps) == 9
    assert {s.transaction.account.customer_index for s in steps} <= set(run.campaign.loot)


def test_requires_successful_alone_follows_too():
    fraud = desk(fraud=chain(follows=None, requires_successful="card_testing"))
    assert [s.follows for s in fraud.follow_ups] == [fraud.planned[0].campaign_id]


def test_without_success_there_is_nothing_to_act_on():
    fraud = desk(fraud=chain(requires_successful="card_testing"))
    made = drive_all(fraud, lambda _: BLOCKED)
    assert sum(map(len, made.values())) == 60
    assert (fraud.starved, fraud.missed) == (1, 0)


def test_a_follower_that_would_start_after_the_end_is_counted_as_missed():
    fraud = desk(duration_hours=1, fraud=chain(delay_minutes=600))
    made = drive_all(fraud)
    assert sum(map(len, made.values())) == 60
    assert fraud.missed == 1


def test_a_follower_in_a_phase_waits_for_the_phase():
    phases = [
        {
            "name": "probe",
            "start_hour": 1,
            "duration_hours": 1,
            "patterns": [{"type": "card_testing", "count": 40, "duration_minutes": 20}],
        },
        {
            "name": "exploit",
            "start_hour": 3,
            "duration_hours": 1,
            "patterns": [{"type": "account_takeover", "count": 8, "requires_successful": "card_testing"}],
        },
    ]
    made = drive_all(desk(fraud={"rate": 0.05, "phases": phases}))
    takeover = [s for steps in made.values() for s in steps if s.truth.typology == "account_takeover"]
    assert len(takeover) == 8
    assert all(3 * HOUR_S <= s.sim_s <= 4 * HOUR_S for s in takeover)


def test_a_chain_of_three():
    fraud = desk(
        fraud={
            "rate": 0.001,
            "patterns": [
                {"type": "card_testing", "count": 40, "duration_minutes": 20},
                {"type": "account_takeover", "count": 8, "follows": "card_testing", "delay_minutes": 10},
                {"type": "mule_network", "count": 12, "follows": "account_takeover", "delay_minutes": 10},
            ],
        }
    )
    made = drive_all(fraud)
    ends = {steps[0].truth.typology: (steps[0].sim_s, steps[-1].sim_s) for steps in made.values()}
    assert ends["account_takeover"][0] >= ends["card_testing"][1] + 600
    assert ends["mule_network"][0] >= ends["account_takeover"][1] + 600
    assert sum(map(len, made.values())) == 60


def test_the_same_answers_give_the_same_transactions_in_every_process():
    fraud = {"rate": 0.01, "patterns": [{"type": "card_testing"}, {"type": "mule_network"}]}
    assert drive_all(desk(5, fraud=fraud)) == drive_all(desk(5, fraud=fraud))


def test_only_customers_of_that_moment_are_drawn_in():
    made = scenario(
        customers=400,
        onboarding={"existing_share": 0.25},
        fraud={"patterns": [{"type": "card_testing", "count": 300}, {"type": "mule_network", "count": 60}]},
    )
    steps = [
        s
        for steps in drive_all(
            desk(customers=400, onboarding={"existing_share": 0.25}, fraud=made.fraud)
        ).values()
        for s in steps
    ]
    payers = {s.transaction.account.customer_index for s in steps}
    payees = {s.transaction.counterparty.customer_index for s in steps if s.transaction.counterparty}
    assert max(payers | payees) < 100


def test_the_engine_may_say_who_is_a_customer():
    fraud = desk(fraud={"patterns": [{"type": "online_fraud", "count": 50}]})
    steps = [s for spec in fraud.planned for s in drive(fraud.open(spec, lambda index: index % 2 == 0))]
    assert all(s.transaction.account.customer_index % 2 == 0 for s in steps)


def test_an_unknown_kind_is_refused_in_plain_words():
    with pytest.raises(ScenarioError, match="tea_leaf"):
        desk(
            plugins=[__file__.replace("test_desk", "plugin_example")],
            fraud={"patterns": [{"type": "tea_leaf"}]},
        )


def many(**fraud):
    mix = {
        "rate": 0.05,
        "patterns": [{"type": "card_testing", "weight": 0.5}, {"type": "online_fraud", "weight": 0.5}],
    }
    return desk(fraud=mix | fraud, transaction_rate={"peak_tps": 800, "off_peak_tps": 800})


def test_replanning_in_slices_gives_the_same_plan_and_takes_effect_at_its_end():
    at_once, sliced = many(), many()
    before = sliced.planned
    slices = 0
    for _ in sliced.replanning(30_000.0, 150.0):
        slices += 1
        assert sliced.planned is before
    assert sliced.rate_driven_from(30_000.0) == at_once.replan(30_000.0, 150.0)
    assert sliced.planned == at_once.planned != before
    assert slices > len(sliced.rate_driven_from(30_000.0)) / SLICE


def test_changes_of_speed_are_planned_in_order_whichever_is_advanced():
    in_order, crossed = many(), many()
    in_order.replan(20_000.0, 150.0)
    in_order.replan(40_000.0, 60.0)
    first, second = crossed.replanning(20_000.0, 150.0), crossed.replanning(40_000.0, 60.0)
    next(first)
    for _ in second:
        pass
    assert list(first) == []
    assert crossed.planned == in_order.planned


def test_the_plan_in_order_is_sorted_once():
    fraud = many()
    specs = fraud.specs
    assert fraud.specs is specs
    fraud.replan(40_000.0, 60.0)
    assert fraud.specs is not specs
    assert [s.start_s for s in fraud.specs] == sorted(s.start_s for s in fraud.specs)


@pytest.mark.timing
def test_no_slice_of_replanning_44_000_campaigns_takes_20_ms():
    """In processor time and without collections of garbage, which a run makes rare by itself."""
    fraud = desk(
        transaction_rate={"peak_tps": 1_000, "off_peak_tps": 1_000},
        speed_multiplier=2.0,
        fraud={
            "rate": 0.02,
            "patterns": [
                {"type": "card_testing", "weight": 0.8},
                {"type": "account_takeover", "weight": 0.2, "follows": "card_testing"},
            ],
        },
    )
    assert len(fraud.specs) > 44_000
    gc.collect()
    gc.disable()
    try:
        moments = [thread_time(), *(thread_time() for _ in fraud.replanning(600.0, 1.9)), thread_time()]
    finally:
        gc.enable()
    assert max(b - a for a, b in pairwise(moments)) < 0.020
