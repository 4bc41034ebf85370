"""Customers at the bank: opened before the run, or when they join while it goes on.

Only the set of those who have joined grows with the population.  A customer who passed the
identity check makes a first deposit later, which is handed out like any other transaction, and
does nothing else before; one who failed it stays a customer without accounts.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Pool

from banksim.activity import Activity, OnboardingPlan
from banksim.measure.counts import NotOpened
from banksim.measure.figures import HistoryPlayed
from banksim.model import BanksimError, BankStatus, Planned, Transaction
from banksim.report.console import bar
from banksim.run.connect import read_stats
from banksim.run.dispatcher import Wakeup
from banksim.run.plan import LiveSimulation, RunSettings, build_past
from banksim.run.process import in_thread
from banksim.run.run import Progress
from banksim.schedule.arrivals import WHOLE, Share
from banksim.schedule.simulation import CustomerTest, Joining
from banksim.targets import NexumClient, Targets
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
    """Opens customers and counts them, until ``progress`` is stopped."""

    def __init__(
        self, bank: NexumClient | None, population: Population, register: Register, progress: Progress
    ) -> None:
        self._bank = bank
        self._register = register
        self._population = population
        self._progress = progress
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
        self._progress.total, self._progress.done = total, 0
        opened_before = self._opened
        pool = Pool(OPENING_CONCURRENCY)
        started_s = told_s = time.monotonic()
        for index in indices:
            if self._progress.stopped:
                break
            pool.spawn(self._open, bank, index)  # waits while the pool is full
            if time.monotonic() - told_s >= TELL_EVERY_S:
                told_s = time.monotonic()
                tell(self._how_far(told_s - started_s))
        pool.join()
        failed = self._progress.done - (self._opened - opened_before)
        if total and failed == total:
            raise BanksimError(
                f"The bank opened none of {total:,} customers: {self._first_error}. "
                "If this is not the bank that was meant, check --nexum-url."
            )
        if failed:
            tell(f"{failed:,} of {total:,} customers could not be opened: {self._first_error}")

    def _open(self, bank: NexumClient, index: int) -> None:
        try:
            customer = self._population.customer(index)
            bank.open_customer(customer)
            self._register.opened(customer, 0.0)
            self._opened += 1
            self._failed.discard(index)
        except BanksimError as error:
            self._failed.add(index)
            self._first_error = self._first_error or str(error)
        self._progress.done += 1

    def _how_far(self, elapsed_s: float) -> str:
        done, total = self._progress.done, self._progress.total
        share = done / total
        left_s = elapsed_s / share - elapsed_s if share else 0.0
        return f"Opening customers {bar(share)} {done:,} of {total:,}, about {left_s:.0f} s left"


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


# -- What customers did before the run, told to bank and detector as fast as they take it ------------
#
# A detector that knows people by their past starts warm, and victims have one.  The same planner
# plans these days as a run of their own; where it leaves balances and people, the run's planner goes
# on.  Nothing of it is measured.  What the bank booked is in the expected balances, as everything
# else it acknowledges.  Every process of a run plans all of it, and tells what its own customers did.


#: Rows of the planner that are taken together.
PLAYED_TOGETHER = 512


class Past:
    """The days before a run; ``played`` once they have been told."""

    def __init__(self, settings: RunSettings, targets: Targets, progress: Progress) -> None:
        self._settings = settings
        self._targets = targets
        self._progress = progress
        self._sent = self._not_taken = 0
        self.played: HistoryPlayed | None = None
        #: What the detector says of itself before the run begins.
        self.detector_before = read_stats(targets.detector)

    def play(self, run: Activity, has: CustomerTest | None = None) -> None:
        """Tell what the customers did that ``has`` accepts (None: all); ``run`` plans on from there.

        Returns early once the progress is stopped.
        """
        settings, days = self._settings, self._settings.scenario.history_days
        past = in_thread(lambda: build_past(settings.scenario, settings.seed, settings.speed))
        started_s = told_s = time.monotonic()
        progress, activity, existing = self._progress, past.activity, past.existing_customers
        progress.done, progress.total = 0, round(past.offered.total() / past.clock.speed)
        progress.history_days = days
        pool, planned = Pool(OPENING_CONCURRENCY), 0
        while not progress.stopped and activity.peek() is not None:
            rows = activity.take(math.inf, PLAYED_TOGETHER, lambda index: index < existing)
            for position in range(rows.start, rows.end):
                if has is None or has(int(rows.block.customer[position])):
                    pool.spawn(self._tell, rows.block.planned(position))  # waits while the pool is full
                planned += 1
            progress.done = planned
            gevent.sleep(0)
            if time.monotonic() - told_s >= TELL_EVERY_S:
                told_s = time.monotonic()
                logger.info("%s", progress.text.capitalize())
        pool.join()
        run.rows.state.go_on(activity.rows.state, past.clock.duration_s)
        self.detector_before = read_stats(self._targets.detector)
        seconds = round(time.monotonic() - started_s, 3)
        planned = max(planned, progress.total) if progress.stopped else planned
        self.played = HistoryPlayed(days, planned, self._sent, self._not_taken, seconds)
        logger.info("Played %s transactions of history in %.1f s", f"{self._sent:,}", seconds)

    def _tell(self, planned: Planned) -> None:
        score_first = self._settings.scenario.flow == "score_then_post"
        steps = [self._score, self._post] if score_first else [self._post, self._score]
        taken = [step(planned.transaction) for step in steps]
        self._sent += 1
        self._not_taken += not all(taken)

    def _post(self, transaction: Transaction) -> bool:
        bank = self._targets.bank
        return bank is None or bank.post(transaction).status in (BankStatus.POSTED, BankStatus.REFUSED)

    def _score(self, transaction: Transaction) -> bool:
        detector = self._targets.detector
        return detector is None or detector.score(transaction).score is not None
