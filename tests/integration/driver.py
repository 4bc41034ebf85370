"""A whole run without Locust: users are plain greenlets.  For tests that look inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent

from banksim.model import Planned
from banksim.run.dispatcher import ANY_PERSONA, FRAUD_SEAT, UserQueues
from banksim.run.kafka import find_brokers
from banksim.run.local_load import LocalLoad, prepare_local_load
from banksim.run.plan import Mode, Parts, RunSettings
from banksim.run.run import Run
from banksim.run.timekeeper import Timekeeper
from banksim.scenario import parse_scenario

SMALL_ATTACK = """\
name: A small attack
duration_hours: 6
speed_multiplier: 3600
start_at: 2026-01-05 09:00:00
customers: 60
accounts_per_customer: 2
transaction_rate: {peak_tps: 120, off_peak_tps: 120}
fraud:
  rate: 0.1
  decoy_rate: 0.05
  patterns:
    - {type: card_testing, count: 40}
    - {type: account_takeover, count: 10, follows: card_testing, delay_minutes: 10}
    - {type: velocity_attack, weight: 1}
    - {type: large_amount, weight: 1}
    - {type: unusual_location, weight: 1}
    - {type: online_fraud, weight: 1}
    - {type: identity_theft, weight: 1}
    - {type: mule_network, weight: 1}
    - {type: structuring, weight: 1}
    - {type: synthetic_identity, count: 10}
    - {type: layering, count: 9}
    - {type: smurfing, count: 8}
    - {type: app_scam, count: 5}
    - {type: fan_in, count: 5}
    - {type: fan_out, count: 5}
    - {type: cycle, count: 4}
    - {type: scatter_gather, count: 6}
    - {type: gather_scatter, count: 6}
    - {type: bipartite, count: 6}
    - {type: stack, count: 8}
"""


def settings_for(
    folder: Path,
    text: str = SMALL_ATTACK,
    mode: Mode = Mode.DRY_RUN,
    seed: int = 11,
    transaction_log: bool = False,
    **overrides: Any,
) -> RunSettings:
    scenario = parse_scenario(text, "test.yaml", overrides)
    speed = scenario.speed_multiplier
    return RunSettings(scenario, seed, speed, mode, folder, transaction_log=transaction_log)


def assert_adds_up(results: Mapping[str, Any]) -> None:
    """What must hold whatever failed: every arrival ended in exactly one count."""
    sent = results["transactions"]
    assert sent["sent"] > 100
    assert sent["sent"] == sent["completed"] + sent["failed"] + sent["unknown"]
    assert (sent["offered"], sent["in_flight"]) == (sent["sent"] + sent["dropped"], 0)


class Driver:
    """Conducts a run with ``users`` greenlets for each kind of seat; ``planned`` is everything they did."""

    def __init__(self, settings: RunSettings, users: int = 8) -> None:
        self.planned: list[Planned] = []
        self.queues = UserQueues([ANY_PERSONA, FRAUD_SEAT])

        def prepare(plan: Parts, timekeeper: Timekeeper) -> LocalLoad:
            return prepare_local_load(settings, plan, timekeeper, self.queues, find_brokers(settings))

        self.run = Run(settings, prepare)
        self._users = users

    def conduct(self, meanwhile: Callable[[Run], None] | None = None) -> Run:
        """Live the whole run; ``meanwhile`` is called beside it."""
        users = [
            gevent.spawn(self._work, seat) for seat in (ANY_PERSONA, FRAUD_SEAT) for _ in range(self._users)
        ]
        beside = gevent.spawn(meanwhile, self.run) if meanwhile else None
        try:
            self.run.conduct()
        finally:
            gevent.killall(users)
        if beside is not None:
            beside.get()
        return self.run

    def _work(self, seat: str) -> None:
        while True:
            arrival = self.queues.take(seat)
            self.planned.append(arrival.planned)
            arrival.carry_out()
