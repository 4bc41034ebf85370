"""What a scenario's fraud block promises: exact counts, kept durations, shares by weight, the dial."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from math import log, sqrt
from statistics import mean, stdev

import pytest

from banksim.model import Label
from banksim.scenario import KNOWN_PATTERN_TYPES
from tests.unit.activity.helpers import planned

from .helpers import desk, drive, drive_all, scenario, world

DIAL = (0.0, 0.5, 1.0)
SPEEDS = (1, 10, 100, 1_000, 10_000)


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("kind", ["card_testing", "mule_network", "app_scam", "stack"])
def test_a_count_of_500_makes_exactly_500_labelled_transactions(kind, speed):
    fraud = desk(2, speed, fraud={"rate": 0.01, "patterns": [{"type": kind, "count": 500}]})
    truths = [step.truth for steps in drive_all(fraud).values() for step in steps]
    assert len(truths) == 500
    assert {(truth.label, truth.typology) for truth in truths} == {(Label.FRAUD, kind)}


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("kind", KNOWN_PATTERN_TYPES)
def test_a_duration_is_kept_in_simulated_time_at_every_speed(kind, speed):
    pattern = {"type": kind, "count": 40, "duration_minutes": 25}
    fraud = desk(3, speed, fraud={"patterns": [pattern]})
    [spec] = fraud.planned
    moments = [step.sim_s for step in drive(fraud.open(spec))]
    assert len(moments) == 40
    assert 0 <= moments[-1] - moments[0] <= 25 * 60


def test_every_kind_has_its_weight_in_what_is_made_over_several_seeds():
    """Of all kinds at once, weights from 1 to 3; within four standard errors of the mean over the seeds."""
    weights = {kind: 1 + nth % 3 for nth, kind in enumerate(KNOWN_PATTERN_TYPES)}
    patterns = [{"type": kind, "weight": weight / 3} for kind, weight in weights.items()]
    shares = {kind: [] for kind in weights}
    for seed in range(12):
        made = drive_all(desk(seed, 50, fraud={"rate": 0.1, "patterns": patterns}))
        counts = Counter(step.truth.typology for steps in made.values() for step in steps)
        for kind in weights:
            shares[kind].append(counts[kind] / counts.total())
    for kind, weight in weights.items():
        expected = weight / sum(weights.values())
        error = stdev(shares[kind]) / sqrt(len(shares[kind]))
        assert abs(mean(shares[kind]) - expected) < 4 * error + 0.001, kind


# -- the dial ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def genuine():
    """Log amounts of genuine people by persona and kind: (mean, standard deviation)."""
    found: dict[tuple, list[float]] = {}
    for one in planned(world(), [nth * 7.2 for nth in range(12_000)], scenario=scenario()):
        tx = one.transaction
        found.setdefault((one.truth.persona, tx.kind), []).append(log(tx.amount_cents))
    return {key: (mean(logs), stdev(logs)) for key, logs in found.items() if len(logs) > 20}


def steps_of(kind, soph, count=300):
    pattern = {"type": kind, "count": count, "sophistication": soph}
    made = drive_all(desk(5, fraud={"rate": 0.0, "patterns": [pattern]}))
    return [step for steps in made.values() for step in steps]


def z_scores(steps):
    for step in steps:
        found = genuine().get((step.truth.persona, step.transaction.kind))
        if found:
            yield (log(step.transaction.amount_cents) - found[0]) / found[1]


@pytest.mark.parametrize(
    "kind", ["online_fraud", "velocity_attack", "large_amount", "app_scam", "fan_out", "smurfing"]
)
def test_the_dial_moves_amounts_towards_the_victims_habits(kind):
    clumsy, middling, careful = (mean(map(abs, z_scores(steps_of(kind, soph)))) for soph in DIAL)
    assert clumsy > middling > careful
    assert careful < 0.85 * clumsy


@pytest.mark.parametrize("kind", ["card_testing", "account_takeover", "online_fraud", "velocity_attack"])
def test_the_dial_moves_devices_from_unknown_ones_to_the_victims_own(kind):
    def novelty(soph):
        owners = (
            (world().population.customer(s.transaction.account.customer_index), s)
            for s in steps_of(kind, soph)
        )
        return mean(step.transaction.device_id not in owner.devices for owner, step in owners)

    clumsy, middling, careful = map(novelty, DIAL)
    assert clumsy == 1.0
    assert 0.4 < middling < 0.8
    assert careful < 0.4


def night_share(soph, kind="online_fraud"):
    """Part of the fraud between midnight and six, in a day whose customers are as busy at all hours."""
    starts = [
        spec
        for seed in range(15)
        for spec in desk(
            seed, fraud={"rate": 0.02, "sophistication": soph, "patterns": [{"type": kind}]}
        ).planned
    ]
    return sum(s.size for s in starts if s.start_s < 6 * 3600) / sum(s.size for s in starts)


def test_the_dial_moves_the_hour_from_the_night_to_when_customers_are_busy():
    clumsy, middling, careful = map(night_share, DIAL)
    assert clumsy > middling > careful
    assert clumsy > 0.38
    assert careful == pytest.approx(0.25, abs=0.03)


def test_the_hours_of_fraud_bend_but_their_sum_does_not():
    for soph in DIAL:
        fraud = desk(
            fraud={"rate": 0.02, "baseline_rate": 0.004, "attack_window": [20, 2], "sophistication": soph}
        )
        inside = fraud.share.integral(0, 2 * 3600) / (2 * 3600)
        outside = fraud.share.integral(2 * 3600, 20 * 3600) / (18 * 3600)
        assert (inside, outside) == (pytest.approx(0.02), pytest.approx(0.004))


@pytest.mark.parametrize("rate", [0.3, 0.6, 0.9, 0.99])
def test_a_share_never_passes_the_whole(rate):
    share = desk(fraud={"rate": rate, "sophistication": 0.0}).share
    assert all(piece.value < 1 for piece in share)
    assert share.total() / share.duration_s == pytest.approx(rate)
