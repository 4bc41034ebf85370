"""Customers that join while the run goes on: opened at the bank when their moment comes.

Joinings are drawn one ahead of time, so nothing grows with the population but the set of
those who are in.  Whoever passed the identity check makes a first deposit later, which is
handed out like any other transaction, and does nothing else before; whoever failed stays a
customer without accounts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

import gevent
from gevent.lock import BoundedSemaphore

from banksim.activity import Joining, OnboardingPlan
from banksim.domain import BanksimError
from banksim.engine.agenda import Agenda, CustomerJoins, FirstDeposit
from banksim.engine.share import WHOLE
from banksim.systems import NexumClient
from banksim.world import Customer

logger = logging.getLogger(__name__)

#: Customers being opened at once while the run goes on.
CONCURRENCY = 8


class Joiners:
    """Opens joining customers and counts them: ``joined``, ``rejected`` (identity), ``failed`` (the bank)."""

    def __init__(
        self,
        plan: OnboardingPlan,
        bank: NexumClient | None,
        agenda: Agenda,
        wake: Callable[[], None],
        on_open: Callable[[Customer, float], None] | None = None,
        is_mine: Callable[[int], bool] = WHOLE.has_customer,
    ) -> None:
        """``on_open`` hears of every customer who got accounts, and when (simulated); it must not wait.

        ``is_mine`` says whether a customer is this process's to open, once it is due.
        """
        self._plan = plan
        self._bank = bank
        self._agenda = agenda
        self._wake = wake
        self._on_open = on_open
        self._is_mine = is_mine
        self._places = BoundedSemaphore(CONCURRENCY)
        self._in: set[int] = set()
        #: Those of them who have not begun to use their account.
        self._waiting: set[int] = set()
        self._asked: set[int] = set()
        self.rejected = 0
        self.failed = 0

    @property
    def joined(self) -> int:
        return len(self._in)

    def acts(self, customer_index: int) -> bool:
        """Whether a customer was there before the run, or has joined and begun to use the account."""
        if customer_index < self._plan.existing:
            return True
        return customer_index in self._in and customer_index not in self._waiting

    def schedule_next(self) -> None:
        """Enter the next joining into the agenda, if there is one."""
        joining = next(self._plan, None)
        if joining is not None:
            self._agenda.add(joining.sim_s, CustomerJoins(joining))

    def walk_from(self, sim_s: float) -> None:
        """Go through the joinings from a simulated second on; nobody joins twice."""
        self._agenda.drop(lambda entry: isinstance(entry, CustomerJoins))
        self._plan.move_to(sim_s)
        self.schedule_next()

    def joined_elsewhere(self, customer_indices: Iterable[int]) -> None:
        """Other processes of the run have opened these."""
        self._in.update(customer_indices)

    def join(self, joining: Joining) -> None:
        """A joining is due.  Returns at once; the bank is asked beside the caller."""
        self.schedule_next()
        index = joining.customer_index
        if self._is_mine(index) and index not in self._asked and index not in self._in:
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
                    if opened and self._on_open is not None:
                        self._on_open(customer, joining.sim_s)
            except BanksimError as error:
                self.failed += 1
                logger.warning("A customer could not join: %s", error)
                return
        if not joining.approved:
            self.rejected += 1
            return
        self._waiting.add(joining.customer_index)
        self._in.add(joining.customer_index)
        if joining.first_deposit is not None:
            begin = partial(self._waiting.discard, joining.customer_index)
            self._agenda.add(joining.first_deposit.sim_s, FirstDeposit(joining.first_deposit, begin))
            self._wake()
