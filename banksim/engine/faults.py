"""Makes the scenario's faults at their simulated moments, and knows afterwards what each did.

One greenlet walks along the beginnings and ends.  It asks the clock anew at least every
`LOOK_EVERY_S`, so a pause keeps a fault as long as it lasts, and a change of speed moves
its end.  Whatever is on when simulated time is over is lifted before the books are
compared: a bank must be there to be asked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import gevent

from banksim.clock import Clock
from banksim.domain import BanksimError
from banksim.sandbox.faults import ActiveFault
from banksim.scenario.faults import Fault

logger = logging.getLogger(__name__)

#: Longest wall time for which a change of speed or a pause goes unnoticed.
LOOK_EVERY_S = 0.05
RESTART = "restart"


class StandIns(Protocol):
    """The bank and the detector of a run that may be broken.  May wait; raises BanksimError."""

    def set_faults(self, target: str, faults: Sequence[ActiveFault]) -> None:
        """These faults and no others are on at the bank or the detector."""

    def kill(self, target: str) -> None:
        """End it without warning: connections are refused from now on."""

    def start(self, target: str) -> None:
        """Start it again, at the same address."""

    def affected(self) -> dict[int, int]:
        """Calls that met each fault so far, by its number."""


class FaultConductor:
    """All faults of one run."""

    def __init__(self, faults: Sequence[Fault], clock: Clock, stand_ins: StandIns) -> None:
        self._faults = faults
        self._clock = clock
        self._stand_ins = stand_ins
        # An end comes before a beginning at the same moment.
        self._edges = sorted(
            edge
            for number, fault in enumerate(faults)
            for edge in ((fault.end_s, 0, number), (fault.start_s, 1, number))
        )
        self._on: list[int] = []
        self._down: set[str] = set()
        self._begun: dict[int, float] = {}
        self._ended: dict[int, float] = {}
        self._starting: list[Any] = []

    @property
    def active(self) -> list[str]:
        """What the faults that are on are called."""
        return [self._faults[number].label for number in self._on]

    def run(self) -> None:
        """Make each fault when it is due; returns after the last one ended."""
        while self._edges:
            now_s = time.monotonic()
            sim_s = self._clock.sim_at(now_s)
            while self._edges and self._edges[0][0] <= sim_s:
                _, begins, number = self._edges.pop(0)
                self._change(number, bool(begins), sim_s)
            if self._edges:
                wait_s = self._clock.wall_at(self._edges[0][0]) - now_s
                gevent.sleep(max(0.0, min(wait_s, LOOK_EVERY_S)))

    def lift(self) -> None:
        """End every fault that is on, and wait for what starts again.  No more will begin."""
        self._edges.clear()
        sim_s = self._clock.sim_at(time.monotonic())
        for number in list(self._on):
            self._change(number, False, sim_s)
        gevent.joinall(self._starting)

    def rows(self) -> list[dict[str, Any]]:
        """What was planned and what became of it, in file order.

        {name, target, kind, share, start_s, end_s, begun, affected}: simulated seconds, as they came
        for a fault that began, else as planned; ``affected`` calls (None for a restart).
        """
        counts = self._stand_ins.affected()
        return [
            {
                "name": fault.label,
                "target": fault.target,
                "kind": fault.kind,
                "share": fault.share or 1.0,
                "start_s": self._begun.get(number, fault.start_s),
                "end_s": self._ended.get(number, fault.end_s),
                "begun": number in self._begun,
                "affected": None if fault.kind == RESTART else counts.get(number, 0),
            }
            for number, fault in enumerate(self._faults)
        ]

    def _change(self, number: int, begins: bool, sim_s: float) -> None:
        fault = self._faults[number]
        (self._begun if begins else self._ended)[number] = sim_s
        if begins:
            self._on.append(number)
        else:
            self._on.remove(number)
        logger.warning("Fault %s: %s", "begins" if begins else "ends", fault.label)
        try:
            if fault.kind != RESTART:
                self._tell(fault.target)
            elif begins:
                self._down.add(fault.target)
                self._stand_ins.kill(fault.target)
            else:  # it takes a moment, and others must not wait for it
                self._starting.append(gevent.spawn(self._start, fault.target))
        except BanksimError as error:
            logger.error("The fault %s could not be changed: %s", fault.label, error)

    def _start(self, target: str) -> None:
        try:
            self._stand_ins.start(target)
            self._down.discard(target)
            self._tell(target)
        except BanksimError as error:
            logger.error("The %s did not start again: %s", target, error)

    def _tell(self, target: str) -> None:
        if target in self._down:
            return  # it is told when it is back
        on = [
            ActiveFault(
                number,
                fault.kind,
                fault.share or 1.0,
                fault.latency_ms or (0.0, 0.0),
                fault.status or 503,
            )
            for number in self._on
            if (fault := self._faults[number]).target == target and fault.kind != RESTART
        ]
        self._stand_ins.set_faults(target, on)


@contextmanager
def made(conductor: FaultConductor | None) -> Iterator[None]:
    """While this lasts a run's faults are made, if it has any; at the end none is left."""
    if conductor is None:
        yield
        return
    beside = gevent.spawn(conductor.run)
    try:
        yield
    finally:
        beside.kill()
        conductor.lift()
