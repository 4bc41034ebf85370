"""What all workers of a run share: the sandbox's stand-ins, brokers, access to balances.

live       addresses as given; the bank is asked for balances at the end
sandbox    bank and detector are started here, workers call them
dry run    every worker has a bank and a detector of its own, in process
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from banksim.measure import ExpectedBalances
from banksim.measure.comparison import combined, not_checked
from banksim.measure.figures import Reconciliation
from banksim.measure.results import DetectorStats, FaultMade
from banksim.run.connect import Connected, connect, read_stats, says
from banksim.run.invariant import MovementBooks
from banksim.run.kafka import find_brokers
from banksim.run.plan import Mode, RunSettings
from banksim.run.reconcile import reconcile
from banksim.run.stand_ins import FaultConductor
from banksim.run.workers.messages import Final, WireBrokers
from banksim.sandbox.detector.kafka import DetectorBridge
from banksim.schedule.clock import Clock
from banksim.targets import ignore_call

logger = logging.getLogger(__name__)

IN_PROCESS = {"nexum": "in process, one for each worker", "bastion": "in process, one for each worker"}


class SharedTargets:
    """Opened before the workers get their orders, closed after the report."""

    def __init__(self, settings: RunSettings) -> None:
        """Raises BanksimError when something does not start."""
        self._settings = settings
        self._connected: Connected | None = None
        self._bridge: DetectorBridge | None = None
        self._faults: FaultConductor | None = None
        self.brokers = find_brokers(settings)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def addresses(self) -> Mapping[str, str]:
        """Where each target is."""
        return self._connected.addresses if self._connected is not None else IN_PROCESS

    def wire_brokers(self) -> WireBrokers:
        found = self.brokers
        return WireBrokers(
            servers=found.servers, wanted=found.wanted, asked_for=found.asked_for, reason=found.reason
        )

    def conducting(self, clock: Clock) -> AbstractContextManager[None]:
        """While this lasts the scenario's faults are made in the stand-ins that were started here."""
        if self._connected is not None and self._connected.stand_ins is not None:
            self._faults = FaultConductor(self._settings.scenario.faults, clock, self._connected.stand_ins)
        return self._faults.running() if self._faults is not None else nullcontext()

    def detector_stats(self) -> DetectorStats | None:
        """The detector's own statistics; None in a dry run, where every worker has a detector."""
        return says(self._connected.targets.detector, self._detector_before) if self._connected else None

    def history_ends(self) -> None:
        """What the detector has counted until now is not of the run."""
        self._detector_before = read_stats(self._connected.targets.detector) if self._connected else None

    def faults(self) -> list[FaultMade]:
        """What each fault did that was made here; in a dry run every worker makes its own."""
        return self._faults.figures() if self._faults is not None else []

    def reconcile(
        self, books: ExpectedBalances, missing: int, lost: Sequence[int], finals: Iterable[Final]
    ) -> Reconciliation:
        """Compare balances, where every worker's expected ones have arrived.

        ``missing`` accounts were opened and have no expected balance, ``lost`` are the numbers of lost
        workers.  In a dry run every worker has compared its own bank.
        """
        if self._connected is None:
            return combined(final.reconciliation for final in finals if final.reconciliation)
        if lost:
            named = f"worker {lost[0]} was" if len(lost) == 1 else f"workers {', '.join(map(str, lost))} were"
            return not_checked(books, f"{named} lost, and with it what the bank had acknowledged to it")
        if missing and not books.overflow:
            logger.error("The workers' figures lack %s accounts that they have opened", f"{missing:,}")
            return not_checked(books, f"the expected balances of {missing:,} opened accounts did not arrive")
        scenario = self._settings.scenario
        return reconcile(books, self._connected, scenario.currency, scenario.invariant.settle_seconds)

    def close(self) -> None:
        if self._bridge is not None:
            self._bridge.close()
        if self._connected is not None:
            self._connected.close()
        self.brokers.close()

    def _open(self) -> None:
        servers = self.brokers.servers
        if self._settings.mode is not Mode.DRY_RUN:
            self._connected = connect(self._settings, MovementBooks(ExpectedBalances()), ignore_call, servers)
            self.history_ends()
        elif servers:
            self._bridge = DetectorBridge(servers)
            self._bridge.start()
