from __future__ import annotations

import random
from math import sqrt
from statistics import mean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.fraud import plan as plan_module
from banksim.schedule.clock import offered_rate

from .helpers import desk, scenario

HOUR_S = 3600.0
BUSY = {
    "rate": 0.02,
    "baseline_rate": 0.002,
    "attack_window": [2, 6],
    "patterns": [
        {"type": "card_testing", "weight": 0.5},
        {"type": "account_takeover", "weight": 0.3, "follows": "card_testing", "delay_minutes": 30},
        {"type": "structuring", "count": 40},
        {"type": "online_fraud", "weight": 0.2, "intensity": 2.0},
    ],
}


def planned_transactions(fraud):
    return sum(spec.size for spec in fraud.specs)


def test_the_same_seed_gives_the_same_plan_and_another_seed_another():
    assert desk(3, fraud=BUSY).specs == desk(3, fraud=BUSY).specs
    assert desk(3, fraud=BUSY).specs != desk(4, fraud=BUSY).specs


def test_ids_are_unique():
    ids = [spec.campaign_id for spec in desk(fraud=BUSY).specs]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("rate", [0.00003, 0.0004, 0.02])
def test_planned_transactions_match_the_share_over_many_seeds(rate):
    fraud = {"rate": rate, "patterns": [{"type": "card_testing"}, {"type": "mule_network", "weight": 0.4}]}
    made = scenario(fraud=fraud)
    budget = offered_rate(made).total() / made.speed_multiplier * rate
    totals = [planned_transactions(desk(seed, fraud=fraud)) for seed in range(50)]
    error = stdev(totals) / sqrt(len(totals))
    assert abs(mean(totals) - budget) < 4 * error + 1e-6 * budget


def test_inside_and_outside_the_window_as_much_as_their_shares_say():
    fraud = {
        "rate": 0.05,
        "baseline_rate": 0.005,
        "attack_window": [2, 4],
        "patterns": [{"type": "online_fraud"}],
    }
    inside, outside = [], []
    for seed in range(50):
        made = desk(seed, fraud=fraud).planned
        inside.append(sum(s.size for s in made if 2 * HOUR_S <= s.start_s < 4 * HOUR_S))
        outside.append(sum(s.size for s in made) - inside[-1])
    assert mean(inside) == pytest.approx(2 * 720 * 0.05, rel=0.1)
    assert mean(outside) == pytest.approx(22 * 720 * 0.005, rel=0.1)


def test_campaigns_that_start_in_the_window_end_in_it():
    fraud = {
        "rate": 0.05,
        "baseline_rate": 0,
        "attack_window": [2, 4],
        "patterns": [{"type": "mule_network"}],
    }
    for spec in desk(fraud=fraud).planned:
        assert 2 * HOUR_S <= spec.start_s < spec.deadline_s <= 4 * HOUR_S


def test_intensity_makes_campaigns_larger_but_not_more_transactions():
    def plan(intensity):
        return desk(
            fraud={"rate": 0.05, "patterns": [{"type": "card_testing", "intensity": intensity}]}
        ).planned

    slow, fast = plan(1.0), plan(4.0)
    assert abs(sum(s.size for s in slow) - sum(s.size for s in fast)) <= 1
    assert mean(s.size for s in fast) > 3 * mean(s.size for s in slow)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 700),
    minutes=st.none() | st.floats(1, 300),
    kind=st.sampled_from(["card_testing", "structuring", "account_takeover", "unusual_location"]),
    window=st.none() | st.just([22, 3]),
    seed=st.integers(0, 20),
)
def test_a_count_is_exact_and_starts_in_its_window(count, minutes, kind, window, seed):
    pattern = {"type": kind, "count": count, "duration_minutes": minutes}
    fraud = desk(seed, fraud={"rate": 0.01, "attack_window": window, "patterns": [pattern]})
    assert planned_transactions(fraud) == count
    for spec in fraud.planned:
        assert spec.exact and not spec.rate_driven
        assert spec.start_s <= spec.deadline_s <= 24 * HOUR_S
        if minutes is not None:
            assert spec.deadline_s - spec.start_s <= minutes * 60 + 1e-6
        if window:
            assert spec.start_s < 3 * HOUR_S  # the first occurrence, begun the day before


def test_a_count_with_a_duration_is_one_campaign():
    pattern = {"type": "card_testing", "count": 500, "duration_minutes": 10}
    assert [s.size for s in desk(fraud={"patterns": [pattern]}).planned] == [500]


def test_a_count_does_not_depend_on_speed():
    fraud = {"patterns": [{"type": "card_testing", "count": 300}]}
    assert desk(1, 10, fraud=fraud).planned == desk(1, 10, fraud=fraud).planned
    assert planned_transactions(desk(1, 10, fraud=fraud)) == planned_transactions(desk(1, 5000, fraud=fraud))


def test_a_phase_keeps_its_campaigns_inside():
    phase = {
        "name": "raid",
        "start_hour": 5,
        "duration_hours": 2,
        "patterns": [{"type": "card_testing", "count": 200}, {"type": "online_fraud"}],
    }
    for spec in desk(fraud={"rate": 0.05, "phases": [phase]}).planned:
        assert 5 * HOUR_S <= spec.start_s <= spec.deadline_s <= 7 * HOUR_S


def test_followers_have_different_parents_and_share_their_count():
    fraud = desk(
        fraud={
            "rate": 0.001,
            "patterns": [
                {"type": "card_testing", "count": 200},
                {"type": "account_takeover", "count": 21, "follows": "card_testing", "delay_minutes": 45},
            ],
        }
    )
    parents = {spec.campaign_id for spec in fraud.planned}
    followed = [spec.follows for spec in fraud.follow_ups]
    assert sum(spec.size for spec in fraud.follow_ups) == 21
    assert len(set(followed)) == len(followed)
    assert set(followed) <= parents


def test_parents_leave_time_for_their_followers():
    for seed in range(10):
        fraud = desk(
            seed,
            fraud={
                "rate": 0.001,
                "patterns": [
                    {"type": "card_testing", "count": 200},
                    {
                        "type": "account_takeover",
                        "count": 20,
                        "follows": "card_testing",
                        "delay_minutes": 240,
                    },
                ],
            },
        )
        assert all(spec.deadline_s <= 20 * HOUR_S for spec in fraud.planned)
        assert all(spec.start_s < 24 * HOUR_S for spec in fraud.follow_ups)


def test_a_rate_driven_follower_shares_the_budget():
    fraud = {
        "rate": 0.02,
        "patterns": [
            {"type": "card_testing", "count": 400},
            {"type": "account_takeover", "follows": "card_testing"},
        ],
    }
    sizes = [sum(s.size for s in desk(seed, fraud=fraud).follow_ups) for seed in range(10)]
    assert mean(sizes) == pytest.approx(0.02 * 17_280, rel=0.02)


def test_more_campaigns_than_the_bound_grow_instead(monkeypatch):
    monkeypatch.setattr(plan_module, "MAX_CAMPAIGNS", 5)
    fraud = desk(fraud={"rate": 0.05, "patterns": [{"type": "online_fraud"}]})
    assert len(fraud.planned) <= 5
    assert planned_transactions(fraud) == pytest.approx(864, abs=1)
    assert fraud.enlarged == {"online_fraud"}


# -- changes of speed -------------------------------------------------------------------------


def test_replan_keeps_what_started_and_what_is_counted():
    fraud = desk(fraud=BUSY)
    before = fraud.planned
    fraud.replan(3 * HOUR_S, 400)
    after = fraud.planned
    kept = [s for s in before if s.exact or s.start_s < 3 * HOUR_S]
    assert [s for s in after if s in before] == kept
    assert all(s.start_s >= 3 * HOUR_S for s in after if s not in before)


def test_replan_returns_the_new_rate_driven_campaigns_only():
    fraud = desk(fraud=BUSY)
    before = fraud.planned
    returned = fraud.replan(3 * HOUR_S, 50)
    assert returned == [s for s in fraud.planned if s not in before]
    assert returned
    assert all(s.rate_driven for s in returned)


def test_ids_are_never_used_twice_over_changes_of_speed():
    fraud = desk(fraud=BUSY)
    old = {s.campaign_id: s for s in fraud.specs}
    for at_h, speed in ((1, 50), (3, 400), (4, 100)):
        fraud.replan(at_h * HOUR_S, speed)
        for spec in fraud.specs:
            assert old.setdefault(spec.campaign_id, spec).start_s == spec.start_s


def test_slower_means_more_transactions_to_a_simulated_hour_so_more_fraud():
    # Fully sophisticated, so that the second half of the day has as large a share as the first.
    fraud = {"rate": 0.02, "patterns": [{"type": "online_fraud", "sophistication": 1.0}]}
    totals = []
    for seed in range(30):
        made = desk(seed, fraud=fraud)
        made.replan(12 * HOUR_S, 25)
        totals.append(planned_transactions(made))
    # 12 hours at speed 100 and 12 at speed 25, 20 a second: 8,640 + 34,560.
    assert mean(totals) == pytest.approx(0.02 * 43_200, rel=0.03)


def test_two_processes_that_see_the_same_changes_hold_the_same_plan():
    one, two = desk(fraud=BUSY), desk(fraud=BUSY)
    for fraud in (one, two):
        fraud.replan(2 * HOUR_S, 10)
        fraud.replan(5 * HOUR_S, 800)
    assert one.specs == two.specs


def test_a_counted_follower_of_rate_driven_parents_keeps_its_count_over_a_replan():
    fraud = desk(
        fraud={
            "rate": 0.02,
            "patterns": [
                {"type": "card_testing"},
                {"type": "account_takeover", "count": 30, "follows": "card_testing"},
            ],
        }
    )
    fraud.replan(6 * HOUR_S, 300)
    assert sum(s.size for s in fraud.follow_ups) == 30
    known = {s.campaign_id for s in fraud.planned}
    assert {s.follows for s in fraud.follow_ups} <= known


def test_counts_vary_as_in_life_when_asked_to():
    """Over seeds the variance of the number of campaigns is its mean, and the mean that of the plan."""
    patterns = [{"type": "online_fraud"}]

    def campaigns(counts):
        settings = {"rate": 0.01, "patterns": patterns, "counts": counts}
        return [len(desk(seed, fraud=settings).planned) for seed in range(60)]

    chance, planned = campaigns("poisson"), campaigns("planned")
    assert mean(chance) == pytest.approx(mean(planned), abs=4 * sqrt(mean(planned) / 60))
    assert 0.5 < stdev(chance) ** 2 / mean(chance) < 1.8
    assert stdev(planned) ** 2 / mean(planned) < 0.2


def test_poisson_numbers_have_their_mean_and_variance():
    rng = random.Random(1)
    for expected in (0.5, 20.0, 400.0):
        drawn = [plan_module.poisson(expected, rng) for _ in range(2_000)]
        assert mean(drawn) == pytest.approx(expected, abs=5 * sqrt(expected / 2_000))
        assert stdev(drawn) ** 2 == pytest.approx(expected, rel=0.15)
