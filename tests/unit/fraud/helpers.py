"""Scenarios, answers and a driver shared by the tests of this room."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from banksim.fraud import CampaignRun, CampaignSpec, FraudProgram
from banksim.fraud.campaign import Stage
from banksim.fraud.people import NormalBehaviour, VictimPool
from banksim.model import BankReply, BankStatus, Decision, Label, Outcome, Planned, ScoreReply
from banksim.scenario import Scenario
from banksim.schedule.clock import offered_rate
from banksim.world import World

APPROVED = Outcome(BankReply(BankStatus.POSTED), ScoreReply(0.1, Decision.APPROVE), 0.0, 10.0)
REFUSED = Outcome(
    BankReply(BankStatus.REFUSED, "insufficient funds"), ScoreReply(0.2, Decision.APPROVE), 0.0, 10.0
)
BLOCKED = Outcome(BankReply(BankStatus.POSTED), ScoreReply(0.9, Decision.BLOCK), 0.0, 10.0)

Answer = Callable[[Planned], Outcome]


def scenario(**changes: Any) -> Scenario:
    """A day of 20 transactions a second at speed 100, about 17,000 in all, unless told otherwise."""
    values: dict[str, Any] = {
        "name": "test",
        "duration_hours": 24,
        "speed_multiplier": 100,
        "customers": 400,
        "transaction_rate": {"peak_tps": 20, "off_peak_tps": 20},
    }
    made = values | changes
    if isinstance(made.get("fraud"), dict):  # decoys would be in the way of counting
        made["fraud"] = {"decoy_rate": 0.0} | made["fraud"]
    return Scenario.model_validate(made)


def desk(seed: int = 1, speed: float | None = None, registry: Any = None, **changes: Any) -> FraudProgram:
    made = scenario(**changes)
    here = world(made.customers, made.currency)
    speed = made.speed_multiplier if speed is None else speed
    fraud = FraudProgram(here, made, seed, offered_rate(made), speed, registry)
    # Slow to make, and pure.
    fraud.__dict__["_stage"] = Stage(
        here, VictimPool(seed, here.population), normal(made.customers, made.currency)
    )
    return fraud


@lru_cache(maxsize=8)
def world(customers: int = 400, currency: str = "USD") -> World:
    return World.from_scenario(scenario(customers=customers, currency=currency), 1)


@lru_cache(maxsize=8)
def normal(customers: int, currency: str) -> NormalBehaviour:
    return NormalBehaviour.of(world(customers, currency))


def approve(_: Planned) -> Outcome:
    return APPROVED


def drive(
    run: CampaignRun, answer: Answer = approve, most: int = 100_000, owners: bool = False
) -> list[Planned]:
    """What the campaign does when answered by ``answer``; with ``owners`` also what account holders do."""
    steps: list[Planned] = []
    planned = run.first()
    while planned is not None and len(steps) < most:
        if owners or planned.truth.label is not Label.GENUINE:
            steps.append(planned)
        planned = run.advance(answer(planned))
    return steps


def drive_all(
    fraud: FraudProgram,
    answer: Answer = approve,
    specs: Iterable[CampaignSpec] | None = None,
    owners: bool = False,
) -> dict[str, list[Planned]]:
    """Every campaign with its followers, by campaign id."""
    waiting = list(fraud.planned if specs is None else specs)
    made: dict[str, list[Planned]] = {}
    while waiting:
        spec = waiting.pop(0)
        run = fraud.open(spec)
        made[spec.campaign_id] = drive(run, answer, owners=owners)
        assert not run.fault
        waiting += fraud.finished(run, run.ended_s)
    return made


def one_pattern(
    kind: str, seed: int = 1, answer: Answer = approve, owners: bool = False, **options: Any
) -> list[list[Planned]]:
    """The campaigns of a scenario with this pattern alone; ``count`` 60 unless given."""
    pattern = {"type": kind, "count": 60} | options
    fraud = desk(seed, fraud={"rate": 0.001, "patterns": [pattern], "sophistication": 0.2})
    return list(drive_all(fraud, answer, owners=owners).values())
