"""Customers at the bank: opened before the run, or when they join while it goes on.

Only the set of those who have joined grows with the population.  A customer who passed the
identity check makes a first deposit later, which is handed out like any other transaction, and
does nothing else before; one who failed it stays a customer without accounts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Pool

from banksim.activity import OnboardingPlan
from banksim.measure.counts import NotOpened
from banksim.model import BanksimError
from banksim.report.console import bar
from banksim.run.dispatcher import Wakeup
from banksim.run.plan import LiveSimulation
from banksim.schedule.arrivals import WHOLE, Share
from banksim.schedule.simulation import Joining
from banksim.targets import NexumClient
from banksim.world import Customer, Population

logger = logging.getLogger(__name__)

# -- Opening customers at the bank before they act, many at a time ----------------------------------
#
# A customer is a handful of calls (customer, KYC, accounts, first deposits), so a large
# population takes a while; progress is counted, for pages and the log.


#: Customers being opened at once.
OPENING_CONCURRENCY = 16
#: Progress is reported once opening takes longer than this, and then this often.
TELL_EVERY_S = 2.0


class Register(Protocol):
    """Is notified of every customer whom the bank has opened."""

    def opened(self, customer: Customer, sim_s: float) -> None:
        """The customer has accounts since simulated ``sim_s``.  Returns at once."""


class Opening:
    """Opens customers and counts them."""

    def __init__(
        self, bank: NexumClient | None, population: Population, register: Register | None = None
    ) -> None:
        self._bank = bank
        self._register = register
        self._population = population
        self._stopped = False
        self.total = 0
        self.done = 0
        self._opened = 0
        self._failed: set[int] = set()
        self._first_error = ""

    def not_opened(self) -> NotOpened | None:
        """Those whom the bank has not opened, whatever was tried; None when there are none."""
        failed = len(self._failed)
        return NotOpened(self._opened + failed, failed, self._first_error) if failed else None

    def open_all(self, indices: Iterable[int], total: int, tell: Callable[[str], None]) -> None:
        """Open ``total`` customers; reports progress when that takes over two seconds.

        Raises BanksimError when not one of them could be opened.
        """
        bank = self._bank
        if bank is None:
            return
        self.total, self.done = total, 0
        opened_before = self._opened
        pool = Pool(OPENING_CONCURRENCY)
        started_s = told_s = time.monotonic()
        for index in indices:
            if self._stopped:
                break
            pool.spawn(self._open, bank, index)  # waits while the pool is full
            if time.monotonic() - told_s >= TELL_EVERY_S:
                told_s = time.monotonic()
                tell(self._progress(told_s - started_s))
        pool.join()
        failed = self.done - (self._opened - opened_before)
        if self.total and failed == self.total:
            raise BanksimError(
                f"The bank opened none of {self.total:,} customers: {self._first_error}. "
                "If this is not the bank that was meant, check --nexum-url."
            )
        if failed:
            tell(f"{failed:,} of {self.total:,} customers could not be opened: {self._first_error}")

    def stop(self) -> None:
        """Open no further customers."""
        self._stopped = True

    def _open(self, bank: NexumClient, index: int) -> None:
        try:
            customer = self._population.customer(index)
            bank.open_customer(customer)
            if self._register is not None:
                self._register.opened(customer, 0.0)
            self._opened += 1
            self._failed.discard(index)
        except BanksimError as error:
            self._failed.add(index)
            self._first_error = self._first_error or str(error)
        self.done += 1

    def _progress(self, elapsed_s: float) -> str:
        share = self.done / self.total
        left_s = elapsed_s / share - elapsed_s if share else 0.0
        return f"Opening customers {bar(share)} {self.done:,} of {self.total:,}, about {left_s:.0f} s left"


#: Customers being opened at once while the run goes on.
JOINING_CONCURRENCY = 8


class NoJoiners:
    """Where no customer joins during the run."""

    def join(self, joining: Joining) -> None: ...
    def joined_elsewhere(self, customer_indices: Iterable[int]) -> None: ...
    def counts(self) -> dict[str, int]:
        return {}


class Joiners:
    """Opens joining customers and counts them: ``joined``, ``rejected`` (identity), ``failed`` (the bank)."""

    def __init__(
        self,
        plan: OnboardingPlan,
        bank: NexumClient | None,
        simulation: LiveSimulation,
        wakeup: Wakeup,
        share: Share = WHOLE,
        register: Register | None = None,
    ) -> None:
        """``wakeup`` is woken when a first deposit has got its date."""
        self._plan = plan
        self._bank = bank
        self._simulation = simulation
        self._wakeup = wakeup
        self._share = share
        self._register = register
        self._places = BoundedSemaphore(JOINING_CONCURRENCY)
        self._in: set[int] = set()
        self._asked: set[int] = set()
        self.rejected = 0
        self.failed = 0

    @property
    def joined(self) -> int:
        return len(self._in)

    def joined_elsewhere(self, customer_indices: Iterable[int]) -> None:
        """Other processes of the run have opened these customers, who act from now on."""
        indices = set(customer_indices)
        self._in |= indices
        self._simulation.admit(indices)

    def join(self, joining: Joining) -> None:
        """A customer's joining is due.  Returns at once; a greenlet calls the bank."""
        index = joining.customer_index
        if self._share.has_customer(index) and index not in self._asked and index not in self._in:
            self._asked.add(index)
            gevent.spawn(self._open, joining)

    def counts(self) -> dict[str, int]:
        return {"joined": self.joined, "rejected": self.rejected, "failed": self.failed}

    def _open(self, joining: Joining) -> None:
        with self._places:
            try:
                if self._bank is not None:
                    customer = self._plan.customer(joining.customer_index)
                    opened = self._bank.open_customer(customer, kyc_approved=joining.approved)
                    if opened and self._register is not None:
                        self._register.opened(customer, joining.sim_s)
            except BanksimError as error:
                self.failed += 1
                logger.warning("A customer could not join: %s", error)
                return
        if not joining.approved:
            self.rejected += 1
            return
        self._in.add(joining.customer_index)
        self._simulation.joined(joining)
        self._wakeup.wake()
