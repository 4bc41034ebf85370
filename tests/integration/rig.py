"""A dispatcher with users and no bank: every arrival is answered at once, and its start is noted.

What is left is the generator itself: what was planned, when it was due, when it started.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent

from banksim.measure import Measures
from banksim.model import NOT_SCORED, At, BankReply, BankStatus, Outcome
from banksim.run.dispatcher import Dispatcher
from banksim.run.plan import build_parts
from banksim.run.process import rare_collections
from banksim.run.queues import ANY_PERSONA, FRAUD_SEAT, Arrival, Seats
from banksim.scenario import parse_scenario
from banksim.schedule.simulation import Simulation

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
        self._seats = Seats([ANY_PERSONA, FRAUD_SEAT])
        self.simulation = Simulation(self.parts)
        self.dispatcher = Dispatcher(
            self.simulation,
            self.parts.clock,
            self._seats,
            self.measures,
            lambda planned, reason: self.dropped.append(reason),
            lambda joining: None,
            self._moment,
        )

    def run(self, meanwhile: Callable[[DispatchRig], None] | None = None) -> None:
        """Live the whole scenario; ``meanwhile`` runs beside it."""
        users = [gevent.spawn(self._work, seat) for seat in (ANY_PERSONA, FRAUD_SEAT) * self._users]
        gevent.sleep(0)  # every user sits before the first arrival
        self.origin_s = time.monotonic()
        self.parts.clock.start(self.origin_s)
        beside = gevent.spawn(meanwhile, self) if meanwhile else None
        with rare_collections():
            self.dispatcher.run()
            while self._seats.waiting:
                gevent.sleep(0)
        gevent.killall(users)
        if beside is not None:
            beside.get()

    def now_s(self) -> float:
        """Wall seconds since the start."""
        return time.monotonic() - self.origin_s

    def lags_ms(self) -> list[float]:
        return sorted(start.lag_ms for start in self.starts)

    def _moment(self) -> At:
        now_s = time.monotonic()
        return At(now_s - self.origin_s, self.parts.clock.sim_at(now_s))

    def _work(self, seat: str) -> None:
        while True:
            self._note(self._seats.take(seat))

    def _note(self, arrival: Arrival) -> None:
        started_s = time.monotonic() - self.origin_s
        truth = arrival.planned.truth
        self.starts.append(
            Start(arrival.due_wall_s - self.origin_s, started_s, arrival.planned.sim_s, truth.campaign_id)
        )
        self.dispatcher.answered(arrival.planned, POSTED)
