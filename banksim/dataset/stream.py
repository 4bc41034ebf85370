"""The labelled stream of a whole scenario, in the order of simulated time, without a target.

    arrivals ──► activity ─────────────┐
    agenda: campaigns, joinings ───────┼──► bank says yes or no ──► entry
        ▲                              │
        └── next step, followers ◄── outcome of this step

The same parts drive live runs; here the outcome is known at once, so nothing waits and
nothing is sent.  Arrivals are drawn at the scenario's speed, which decides how many there are: λ is
per wall second, so a simulated hour at 100x holds a hundredth of the transactions.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from banksim.activity import Joining
from banksim.activity.actors import PlannedBalances
from banksim.fraud import CampaignRun, CampaignSpec
from banksim.model import CREDIT_KINDS, NOT_SCORED, BankReply, BankStatus, Outcome, Planned, Transaction
from banksim.run.plan import Parts

# -- The bank behind a data set: it approves everything that the account covers ---------------------
#
# No detector looks on, so nothing is ever blocked: a campaign goes on until its plan or the
# victim's money ends.  That is the one rule, on purpose: what a detector would have stopped
# depends on the detector, and a data set is there to train one.
#
# Balances are those that honest customers plan with, so whoever was robbed spends less.


APPROVED = Outcome(BankReply(BankStatus.POSTED), NOT_SCORED, lag_ms=0.0, service_ms=0.0)
REFUSED = Outcome(BankReply(BankStatus.REFUSED, "insufficient funds"), NOT_SCORED, lag_ms=0.0, service_ms=0.0)


class RuleBank:
    """Decides on transactions in the order of their moments.  ``refused`` counts."""

    def __init__(self, balances: PlannedBalances) -> None:
        self._balances = balances
        self.refused = 0

    def settle(self, transaction: Transaction) -> tuple[Outcome, int]:
        """The outcome of a transaction that was booked by its planner, and the balance before, in cents."""
        after = self._balances.available(transaction.account)
        if transaction.kind in CREDIT_KINDS:
            return APPROVED, after - transaction.amount_cents
        if after >= 0:
            return APPROVED, after + transaction.amount_cents
        self._balances.unbook(transaction)
        self.refused += 1
        return REFUSED, self._balances.available(transaction.account)

    def book(self, transaction: Transaction) -> tuple[Outcome, int]:
        """Book and settle a transaction that nobody has booked yet."""
        self._balances.book(transaction)
        return self.settle(transaction)


#: One row: what happened, what the bank said, and the account's balance before, in cents.
Entry = tuple[Planned, Outcome, int]


@dataclass(slots=True)
class Step:
    """A campaign's transaction that waits for its moment."""

    run: CampaignRun
    planned: Planned


Dated = CampaignSpec | Step | Joining | Planned


class Stream:
    """Iterate once.

    ``skipped`` arrivals found no customer who could act; ``impossible`` steps of campaigns were
    to use an account that does not exist (yet).  Neither makes a row.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._bank = RuleBank(parts.activity.balances)
        self._agenda: list[tuple[float, int, Dated]] = []
        self._sequence = 0
        self._acting: set[int] = set()
        #: Campaigns that ended because their typology raised, and what it said.
        self.faults: dict[str, str] = {}
        self.skipped = 0
        self.impossible = 0
        self.joined = 0
        self.rejected = 0
        for spec in parts.desk.planned:
            self._add(spec.start_s, spec)
        self._next_joining()

    @property
    def refused(self) -> int:
        """Transactions the bank refused."""
        return self._bank.refused

    def __iter__(self) -> Iterator[Entry]:
        arrivals, agenda, settle = self._parts.arrivals, self._agenda, self._bank.settle
        plan = self._parts.activity.plan
        is_open = None if self._parts.onboarding is None else self.is_customer
        arrival_s = arrivals.peek()
        while arrival_s is not None:
            while agenda and agenda[0][0] < arrival_s:
                yield from self._dated()
            arrivals.take()
            planned = plan(arrival_s, is_open)
            if planned is None:
                self.skipped += 1
            else:
                outcome, before = settle(planned.transaction)
                yield planned, outcome, before
            arrival_s = arrivals.peek()
        while agenda:
            yield from self._dated()

    def is_customer(self, index: int) -> bool:
        """Whether somebody has an account by now, and uses it."""
        onboarding = self._parts.onboarding
        return onboarding is None or index < onboarding.existing or index in self._acting

    def _has_accounts(self, planned: Planned) -> bool:
        """Whether payer and payee are customers yet; a campaign may find nobody who is."""
        tx = planned.transaction
        other = tx.counterparty
        return self.is_customer(tx.account.customer_index) and (
            other is None or self.is_customer(other.customer_index)
        )

    def _dated(self) -> Iterator[Entry]:
        """Whatever is next in the agenda; at most one row."""
        _, _, entry = heapq.heappop(self._agenda)
        match entry:
            case Step(run, planned):
                if self._has_accounts(planned):
                    outcome, before = self._bank.book(planned.transaction)
                    yield planned, outcome, before
                else:
                    outcome = REFUSED
                    self.impossible += 1
                self._go_on(run, run.advance(outcome))
            case CampaignSpec():
                run = self._parts.desk.open(entry, self.is_customer)
                self._go_on(run, run.first())
            case Joining():
                self._join(entry)
            case Planned():  # a first deposit: from now on the customer acts
                self._acting.add(entry.transaction.account.customer_index)
                outcome, before = self._bank.book(entry.transaction)
                yield entry, outcome, before

    def _go_on(self, run: CampaignRun, planned: Planned | None) -> None:
        if planned is not None:
            self._add(planned.sim_s, Step(run, planned))
            return
        if run.fault:
            self.faults[run.spec.campaign_id] = run.fault
        for spec in self._parts.desk.finished(run, run.ended_s):
            if spec.start_s < self._parts.clock.duration_s:
                self._add(spec.start_s, spec)

    def _join(self, joining: Joining) -> None:
        self._next_joining()
        if not joining.approved:
            self.rejected += 1
            return
        self.joined += 1
        if joining.first_deposit is not None:
            self._add(joining.first_deposit.sim_s, joining.first_deposit)

    def _next_joining(self) -> None:
        if self._parts.onboarding is not None:
            joining = next(self._parts.onboarding, None)
            if joining is not None:
                self._add(joining.sim_s, joining)

    def _add(self, sim_s: float, entry: Dated) -> None:
        self._sequence += 1
        heapq.heappush(self._agenda, (sim_s, self._sequence, entry))
