"""A dispatcher with users and no bank: every arrival is answered at once, and its start is noted.

What is left is the generator itself: what was planned, when it was due, when it started.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent

from banksim.measure import Measures
from banksim.model import NOT_SCORED, At, BankReply, BankStatus, Ended, Outcome, Planned
from banksim.run.customers import NoJoiners
from banksim.run.dispatcher import (
    ALWAYS,
    ANY_PERSONA,
    FRAUD_SEAT,
    Arrival,
    CampaignDriver,
    Dispatcher,
    UserQueues,
    Wakeup,
)
from banksim.run.plan import build_parts
from banksim.run.process import rare_collections
from banksim.run.sink import Ignore, Tee
from banksim.run.timekeeper import Timekeeper
from banksim.scenario import parse_scenario
from banksim.schedule.simulation import Simulation
from tests.unit.run.makers import Backlog, RowsPut

POSTED = Outcome(BankReply(BankStatus.POSTED), NOT_SCORED, lag_ms=0.0, service_ms=0.0)

CONSTANT = """\
name: A constant rate
duration_hours: {hours}
speed_multiplier: 1
start_at: 2026-01-05 10:00:00
customers: 500
arrivals: {arrivals}
transaction_rate: {{peak_tps: {tps}, off_peak_tps: {tps}, business_hours: [0, 24]}}
fraud: {{rate: 0, decoy_rate: 0}}
"""


@dataclass(frozen=True, slots=True)
class Start:
    """One arrival: when it was due, when a user had it (wall seconds from the start), and what it was."""

    due_s: float
    started_s: float
    sim_s: float
    campaign_id: str

    @property
    def lag_ms(self) -> float:
        return (self.started_s - self.due_s) * 1000.0


class Drops(Ignore):
    """Why each arrival that was not handed out was dropped."""

    def __init__(self, reasons: list[str]) -> None:
        self._reasons = reasons

    def dropped(self, at: At, planned: Planned | None, reason: str, n: int = 1) -> None:
        self._reasons += [reason] * n


class DispatchRig:
    """One dispatcher over the plan of a scenario; ``starts`` and ``dropped`` are what became of it."""

    def __init__(self, text: str, *, seed: int = 5, users: int = 20) -> None:
        scenario = parse_scenario(text, "rig.yaml", {})
        self.parts = build_parts(scenario, seed, scenario.speed_multiplier)
        self.measures = Measures()
        self.starts: list[Start] = []
        self.dropped: list[str] = []
        self.origin_s = 0.0
        self._users = users
        self._queues = UserQueues([ANY_PERSONA, FRAUD_SEAT])
        self.timekeeper = Timekeeper(self.parts.clock)
        self.simulation = Simulation(self.parts)
        wakeup = Wakeup()
        self._driver = CampaignDriver(self.simulation, wakeup)
        self.dispatcher = Dispatcher(
            self.simulation,
            self.timekeeper,
            self._queues,
            self,
            RowsPut(),
            Backlog(self._queues),
            Tee([self.measures, Drops(self.dropped), self._driver]),
            NoJoiners(),
            wakeup,
            self.parts.desk,
            self.measures.planned_fraud,
            ALWAYS,
        )
        self.timekeeper.add(self.dispatcher)

    def run(self, meanwhile: Callable[[DispatchRig], None] | None = None) -> None:
        """Live the whole scenario; ``meanwhile`` runs beside it."""
        users = [gevent.spawn(self._work, seat) for seat in (ANY_PERSONA, FRAUD_SEAT) * self._users]
        gevent.sleep(0)  # every user sits before the first arrival
        self.origin_s = time.monotonic()
        self.timekeeper.start(self.origin_s)
        beside = gevent.spawn(meanwhile, self) if meanwhile else None
        with rare_collections():
            self.dispatcher.run()
            while self._queues.waiting:
                gevent.sleep(0)
        gevent.killall(users)
        if beside is not None:
            beside.get()

    def now_s(self) -> float:
        """Wall seconds since the start."""
        return time.monotonic() - self.origin_s

    def lags_ms(self) -> list[float]:
        return sorted(start.lag_ms for start in self.starts)

    def _work(self, seat: str) -> None:
        while True:
            self._queues.take(seat).carry_out()

    def perform(self, arrival: Arrival) -> None:
        """Answer at once, and note when that was."""
        started_s = time.monotonic() - self.origin_s
        truth = arrival.planned.truth
        self.starts.append(
            Start(arrival.due_wall_s - self.origin_s, started_s, arrival.planned.sim_s, truth.campaign_id)
        )
        self._driver.ended(self.timekeeper.now(), [Ended(arrival.planned, POSTED)])
