"""What a run needs once, however many workers it has: the sandbox's stand-ins, brokers, a way to balances.

live       addresses as given; the bank is asked for balances at the end
sandbox    bank and detector are started here, workers call them
dry run    every worker has a bank and a detector of its own, in process
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from banksim.measure import ExpectedBalances
from banksim.run.connect import Connected, connect, read_stats, says
from banksim.run.invariant import MovementBooks
from banksim.run.kafka import Brokers, find_brokers
from banksim.run.settings import Mode, RunSettings
from banksim.run.stand_ins import FaultConductor, made
from banksim.sandbox.detector.kafka import DetectorBridge
from banksim.schedule.clock import Clock
from banksim.targets import ignore_call

IN_PROCESS = {"nexum": "in process, one for each worker", "bastion": "in process, one for each worker"}


class Premises:
    """Started before the workers hear of the run, closed after its report."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self.brokers = Brokers()
        self.connected: Connected | None = None
        self._bridge: DetectorBridge | None = None
        self._faults: FaultConductor | None = None
        self._detector_before: dict[str, Any] | None = None

    @property
    def addresses(self) -> Mapping[str, str]:
        """Where each target is; empty before `start`."""
        if self._settings.mode is Mode.DRY_RUN:
            return IN_PROCESS
        return self.connected.addresses if self.connected is not None else {}

    def start(self) -> None:
        """Raises BanksimError when something does not start."""
        self.brokers = find_brokers(self._settings)
        if self._settings.mode is not Mode.DRY_RUN:
            self.connected = connect(
                self._settings, MovementBooks(ExpectedBalances()), ignore_call, self.brokers.servers
            )
            self._detector_before = read_stats(self.connected.targets.detector)
        elif self.brokers.servers:
            self._bridge = DetectorBridge(self.brokers.servers)
            self._bridge.start()

    def detector_says(self) -> dict[str, Any] | None:
        """What the one detector says of itself; None in a dry run, where every worker has its own."""
        return says(self.connected.targets.detector, self._detector_before) if self.connected else None

    def conducting(self, clock: Clock) -> AbstractContextManager[None]:
        """While this lasts the scenario's faults are made in the stand-ins that were started here."""
        if self.connected is not None and self.connected.stand_ins is not None:
            self._faults = FaultConductor(self._settings.scenario.faults, clock, self.connected.stand_ins)
        return made(self._faults)

    def faults_of(self, extras: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What each fault did; in a dry run every worker has made them in its own stand-ins."""
        if self._faults is not None:
            return self._faults.rows()
        total: list[dict[str, Any]] = []
        for rows in (extra["faults"] for extra in extras if extra.get("faults")):
            if not total:
                total = [dict(row) for row in rows]
                continue
            for mine, row in zip(total, rows, strict=True):
                mine["begun"] = mine["begun"] or row["begun"]
                if mine["affected"] is not None:
                    mine["affected"] += row["affected"]
        return total

    def brokers_to_wire(self) -> dict[str, Any]:
        """The fields of `Brokers` that workers need."""
        found = self.brokers
        return {
            "servers": found.servers,
            "wanted": found.wanted,
            "asked_for": found.asked_for,
            "reason": found.reason,
        }

    def close(self) -> None:
        if self._bridge is not None:
            self._bridge.close()
        if self.connected is not None:
            self.connected.close()
        self.brokers.close()
