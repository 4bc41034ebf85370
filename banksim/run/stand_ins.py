"""The two ways in which a run's stand-ins can be broken: in this process, and as processes of their own."""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import gevent

from banksim.measure.results import FaultMade
from banksim.model import BanksimError, UsageError
from banksim.run.plan import Mode, RunSettings
from banksim.sandbox import DetectorApi
from banksim.sandbox.http import CONTROL_PATH, CONTROL_TOKEN, ActiveFault, FaultBoard
from banksim.scenario.targets import Fault
from banksim.schedule.clock import Clock
from banksim.targets import HttpTransport, InProcessTransport, Request, SandboxProcess, Transport
from banksim.targets.in_process import FaultyTransport
from banksim.world.random import stream

logger = logging.getLogger(__name__)

# -- Makes the scenario's faults at their simulated moments, and knows afterwards what each did -----
#
# One greenlet walks along the beginnings and ends.  It reads the clock at least every
# `LOOK_EVERY_S`, so a pause keeps a fault as long as it lasts, and a change of speed moves
# its end.  Whatever is on when simulated time is over is lifted before the books are
# compared: a bank must be there to be asked.


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

    name = "faults"

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

    @contextmanager
    def running(self) -> Iterator[None]:
        """The faults are made while this lasts; at the end none is left."""
        making = gevent.spawn(self.run)
        try:
            yield
        finally:
            making.kill()
            self.lift()

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
        for target in sorted({fault.target for fault in self._faults}):  # also what was cut off in the middle
            self._try_to_tell(target)
        gevent.joinall(self._starting)

    def figures(self) -> list[FaultMade]:
        """What was planned and what became of it, in file order.

        Simulated seconds, as they came for a fault that began, else as planned; ``affected`` calls (None
        for a restart).
        """
        counts = self._stand_ins.affected()
        return [
            FaultMade(
                name=fault.label,
                target=fault.target,
                kind=fault.kind,
                share=fault.share or 1.0,
                start_s=self._begun.get(number, fault.start_s),
                end_s=self._ended.get(number, fault.end_s),
                begun=number in self._begun,
                affected=None if fault.kind == RESTART else counts.get(number, 0),
            )
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
                self._try_to_tell(fault.target)
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

    def _try_to_tell(self, target: str) -> None:
        try:
            self._tell(target)
        except BanksimError as error:
            logger.error("The faults of the %s could not be changed: %s", target, error)

    def _tell(self, target: str) -> None:
        if target in self._down:
            return  # it is told when it is back
        on = ((number, self._faults[number]) for number in self._on)
        active = [
            ActiveFault(number, one.kind, one.share or 1.0, one.latency_ms or (0.0, 0.0), one.status or 503)
            for number, one in on
            if one.target == target and one.kind != RESTART
        ]
        self._stand_ins.set_faults(target, active)


TARGETS = ("bank", "detector")
CONTROL_TIMEOUT_S = 5.0


def check_faults(settings: RunSettings) -> None:
    """Raise UsageError when a scenario's faults would have to be made in live systems."""
    if settings.scenario.faults and settings.mode is Mode.LIVE:
        raise UsageError(
            "faults: they are made in the stand-ins only, and this run is against live addresses, which are "
            "not ours to break. Run with --sandbox or --dry-run, or leave the block out and break "
            "your own systems yourself."
        )


class StandInsInProcess:
    """For a dry run.  Its clients call through `wrap`."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._boards = {target: FaultBoard(stream(settings.seed, "faults", target)) for target in TARGETS}
        self._transports: dict[str, FaultyTransport] = {}
        self._fresh: dict[str, Callable[[], None]] = {}

    def wrap(self, target: str, transport: InProcessTransport) -> Transport:
        """The same transport, with whatever faults are on."""
        connections = self._settings.scenario.connections
        faulty = self._transports[target] = FaultyTransport(
            transport,
            self._boards[target],
            rng=stream(self._settings.seed, "faults", "backoff", target),
            timeout_s=connections.timeout_seconds,
            max_retries=connections.max_retries,
        )
        if target == "detector":  # what it had learnt was in its memory; the bank's books are on a disk
            self._fresh[target] = lambda: transport.replace(DetectorApi())
        return faulty

    def set_faults(self, target: str, faults: Sequence[ActiveFault]) -> None:
        self._boards[target].set(faults)

    def kill(self, target: str) -> None:
        self._transports[target].down = True

    def start(self, target: str) -> None:
        self._fresh.get(target, lambda: None)()
        self._transports[target].down = False

    def affected(self) -> dict[int, int]:
        return {number: n for board in self._boards.values() for number, n in board.affected.items()}

    def close(self) -> None:
        """Nothing to let go of."""


class StandInProcesses:
    """For a run with --sandbox.  Give `arguments` and `environment` to the processes, then `attach` them."""

    def __init__(self, settings: RunSettings) -> None:
        self._token = secrets.token_urlsafe(24)
        self._seed = settings.seed
        self._sandbox: SandboxProcess | None = None
        self._affected: dict[int, int] = {}
        self._before_kill: Counter[int] = Counter()  # what a process that ended had counted
        # A bank that is killed must find its books again.
        killed = any(fault.target == "bank" and fault.kind == "restart" for fault in settings.scenario.faults)
        self._folder = TemporaryDirectory(prefix="banksim-bank-") if killed else None

    @property
    def arguments(self) -> list[str]:
        return ["--database", str(Path(self._folder.name) / "bank.db")] if self._folder is not None else []

    @property
    def environment(self) -> dict[str, str]:
        return {CONTROL_TOKEN: f"{self._token}:{self._seed}"}

    def attach(self, sandbox: SandboxProcess) -> None:
        self._sandbox = sandbox

    @property
    def _processes(self) -> SandboxProcess:
        """Raises RuntimeError before `attach`."""
        if self._sandbox is None:
            raise RuntimeError("there is no sandbox yet")
        return self._sandbox

    def set_faults(self, target: str, faults: Sequence[ActiveFault]) -> None:
        control = HttpTransport(
            self._processes.address_of(target),
            rng=random.Random(0),  # nothing is retried, so nothing is drawn
            timeout_s=CONTROL_TIMEOUT_S,
            concurrency=1,
            max_retries=0,
            token=self._token,
        )
        try:
            body = {"faults": [fault.as_dict() for fault in faults]}
            reply = control.send(Request("PUT", CONTROL_PATH, CONTROL_PATH, body))
        finally:
            control.close()
        if reply.status != 200 or reply.error:
            raise BanksimError(reply.error or f"the stand-in answers HTTP {reply.status}")
        for number, count in reply.data["affected"].items():
            self._affected[int(number)] = count

    def kill(self, target: str) -> None:
        self._processes.kill(target)
        self._before_kill.update(self._affected)
        self._affected.clear()

    def start(self, target: str) -> None:
        self._processes.restart(target)

    def affected(self) -> dict[int, int]:
        return dict(self._before_kill + Counter(self._affected))

    def close(self) -> None:
        """After the processes have ended."""
        if self._folder is not None:
            self._folder.cleanup()
