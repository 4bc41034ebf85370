"""The two ways in which a run's stand-ins can be broken: in this process, and as processes of their own."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from banksim.domain import BanksimError, UsageError
from banksim.engine.settings import Mode, RunSettings
from banksim.sandbox import DetectorApi
from banksim.sandbox.faults import CONTROL_PATH, CONTROL_TOKEN, ActiveFault, FaultBoard
from banksim.systems import HttpTransport, InProcessTransport, SandboxProcess, Transport
from banksim.systems.faulty_transport import FaultyTransport
from banksim.world.streams import stream

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

    def set_faults(self, target: str, faults: Sequence[ActiveFault]) -> None:
        assert self._sandbox is not None
        control = HttpTransport(
            self._sandbox.address_of(target),
            rng=random.Random(0),  # nothing is retried, so nothing is drawn
            timeout_s=CONTROL_TIMEOUT_S,
            concurrency=1,
            max_retries=0,
            token=self._token,
        )
        try:
            body = {"faults": [fault.as_dict() for fault in faults]}
            reply = control.call("PUT", CONTROL_PATH, CONTROL_PATH, body)
        finally:
            control.close()
        if reply.status != 200 or reply.error:
            raise BanksimError(reply.error or f"the stand-in answers HTTP {reply.status}")
        for number, count in reply.data["affected"].items():
            self._affected[int(number)] = count

    def kill(self, target: str) -> None:
        assert self._sandbox is not None
        self._sandbox.kill(target)
        self._before_kill.update(self._affected)
        self._affected.clear()

    def start(self, target: str) -> None:
        assert self._sandbox is not None
        self._sandbox.restart(target)

    def affected(self) -> dict[int, int]:
        return dict(self._before_kill + Counter(self._affected))

    def close(self) -> None:
        """After the processes have ended."""
        if self._folder is not None:
            self._folder.cleanup()
