"""A made-up but plausible run for these tests: eight simulated hours with three attacks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from banksim.measure import Measures, MeasureSettings, compare
from banksim.measure.results import FeedItem, Planned, Results, RunInfo, ThresholdRow, Window, decode
from banksim.measure.summary import Asked, build_results
from banksim.model import At, BankStatus, Decision, Label
from banksim.scenario.models import Goals
from tests.unit.measure.make import call, end, outcome, planned

#: typology → (start and length in simulated hours, transactions, share caught, median amount in cents)
ATTACKS: dict[str, tuple[float, float, int, float, int]] = {
    "card_testing": (2.0, 0.6, 140, 0.93, 120),
    "account_takeover": (3.6, 0.5, 26, 0.73, 90_000),
    "mule_network": (5.2, 1.2, 61, 0.38, 180_000),
    "app_scam": (0.5, 7.0, 14, 0.21, 210_000),
}
HOSTILE = "<script>alert(1)</script>"


def busy_run(transactions: int = 6_000, seed: int = 4) -> Measures:
    """A run with load, errors, drops, decoys and attacks."""
    rng = random.Random(seed)
    measures = Measures(MeasureSettings())
    events: list[tuple[float, str]] = [(rng.random() * 8, "") for _ in range(transactions)]
    for typology, (start_h, length_h, count, _, _) in ATTACKS.items():
        measures.planned_fraud.add(typology, count)
        events += [(start_h + rng.random() * length_h, typology) for _ in range(count)]
    events += [(rng.random() * 8, "holiday_trip") for _ in range(90)]
    for hours, name in sorted(events):
        _one(measures, rng, hours * 3600, name)
    measures.books.open("a-17", 500_000)
    measures.books.open("a-18", 120_000)
    return measures


def _one(measures: Measures, rng: random.Random, sim_s: float, name: str) -> None:
    at = At(sim_s / 100, sim_s)
    measures.resources(at, 30 + rng.random() * 20, 80e6, 2e5)
    measures.offered(at)
    attack = ATTACKS.get(name)
    label = Label.FRAUD if attack else Label.DECOY if name else Label.GENUINE
    plan = planned(
        label,
        int((attack[4] if attack else 4_200) * rng.lognormvariate(0, 0.8)) + 1,
        sim_s,
        name,
        f"{name}-{rng.randrange(3)}" if attack else "",
    )
    strain = 1.0 + 3.0 * (5.4 < sim_s / 3600 < 6.0)
    if strain > 1 and rng.random() < 0.05:
        measures.dropped(at, plan, "no free seat")
        return
    measures.started(at)
    chance = attack[3] if attack else 0.12 if name else 0.006
    caught = rng.random() < chance
    score = rng.betavariate(9, 2) if caught else rng.betavariate(1.2, 9)
    decision = Decision.BLOCK if score > 0.85 else Decision.REVIEW if caught else Decision.APPROVE
    error = ""
    bank_ms, detector_ms = rng.lognormvariate(2.6, 0.4) * strain, rng.lognormvariate(2.0, 0.6) * strain
    if rng.random() < 0.004 * strain:
        decision, error = Decision.NONE, "no answer within 2 s"
    status = rng.choices(
        [BankStatus.POSTED, BankStatus.REFUSED, BankStatus.FAILED, BankStatus.UNKNOWN],
        [970, 22, 5 * strain, 2 * strain],
    )[0]
    failure = {BankStatus.FAILED: "HTTP 503", BankStatus.UNKNOWN: "no answer within 30 s"}.get(status)
    call(measures, "nexum", rng.choice(["/withdraw", "/deposit", "/transfer"]), bank_ms, failure, at)
    call(measures, "bastion", "/score", detector_ms, error or None, at)
    answer = outcome(
        decision,
        None if error else score,
        status,
        error,
        lag_ms=rng.expovariate(1) * strain,
        service_ms=bank_ms + detector_ms,
    )
    end(measures, plan, answer, at)


RUN = decode(
    RunInfo,
    {
        "run_id": "20260105-081500-fraud_attack",
        "scenario": {
            "name": "fraud_attack",
            "title": "Fraud attack",
            "hash": "5f1c0b9ad2e4",
            "file": "scenarios/fraud_attack.yaml",
            "start_at": "2026-01-05T08:00:00",
        },
        "seed": 42,
        "mode": "sandbox",
        "flow": "post_then_score",
        "currency": "USD",
        "started_at": "2026-02-03T10:00:00+00:00",
        "ended_at": "2026-02-03T10:04:48+00:00",
        "wall_s": 288.0,
        "simulated_s": 28_800.0,
        "speed": 100.0,
        "customers": 2_000,
        "targets": {"nexum": "http://127.0.0.1:8090", "bastion": "http://127.0.0.1:8080"},
        "versions": {"python": "3.11.9", "banksim": "0.1.0", "locust": "2.47.0"},
        "machine": {"system": "Linux x86_64", "cpus": 8, "memory_bytes": 16 * 2**30},
        "end": "completed",
    },
)

PLANNED = Planned(
    transactions=6_331,
    duration_s=28_800.0,
    attacks=[
        Window(start_h * 3600, (start_h + length_h) * 3600, name)
        for name, (start_h, length_h, *_) in ATTACKS.items()
        if length_h < 4
    ],
    fraud_by_typology={name: attack[2] for name, attack in ATTACKS.items()},
)

ASKED = Asked(Goals(), planned=PLANNED)

FEED: list[FeedItem] = [
    FeedItem(
        seq=number,
        transaction_id=f"id-{number}",
        sim_time=f"2026-01-05T15:5{number}:00+00:00",
        customer="Ann O'Neil",
        kind="purchase",
        amount="12.50",
        currency="USD",
        merchant=merchant,
        channel="pos",
        score=None if number == 2 else 0.0731,
        decision="n/a" if number == 2 else "approve",
        reasons=["new_device", "velocity"],
        truth="genuine",
        typology="",
        bank="posted",
        response_ms=21.4,
        ended_at_ms=1_767_628_500_000.0,
    )
    for number, merchant in enumerate(["Corner Café", HOSTILE, "=1+1"])
]


def busy_results(thresholds: Sequence[ThresholdRow] = (), **run: Any) -> Results:
    """``run``: what differs from `RUN`."""
    measures = busy_run()
    reconciliation = compare(measures.books, {"a-17": 500_000, "a-18": 119_950})
    return build_results(
        replace(RUN, **run), measures, ASKED, reconciliation=reconciliation, thresholds=thresholds
    )


def empty_results(end: str = "interrupted") -> Results:
    """A run in which nothing happened at all."""
    return build_results(replace(RUN, end=end, wall_s=0.0, simulated_s=0.0), Measures(), ASKED)


def threshold(expression: str, measured: str, bound: str, reason: str = "") -> ThresholdRow:
    """Failed when there is a reason."""
    value = None if measured == "n/a" else 0.5
    metric = expression.split(" ")[0].split("[")[0].split(".")[0]
    return ThresholdRow(expression, metric, value, measured, bound, not reason, reason)
