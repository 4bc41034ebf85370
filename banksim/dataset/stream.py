"""The labelled stream of a whole scenario, in the order of simulated time, without a target.

    simulation.step() ──► bank: does the balance cover it? ──► entry
          ▲                        │
          └──── answered ◄─────────┘

The same simulation drives live runs; here the outcome is known at once, so nothing waits and
nothing is sent.  Arrivals are drawn at the scenario's speed, which decides how many there are: λ is
per wall second, so a simulated hour at 100x holds a hundredth of the transactions.
"""

from __future__ import annotations

from collections.abc import Iterator

from banksim.activity.actors import PlannedBalances
from banksim.model import CREDIT_KINDS, NOT_SCORED, BankReply, BankStatus, Outcome, Planned, Transaction
from banksim.run.plan import Parts
from banksim.schedule.simulation import Begun, Due, Joining, Simulation

# -- The bank behind a data set: it approves everything that the account covers ---------------------
#
# There is no detector, so nothing is ever blocked: a campaign goes on until its plan or the
# victim's money ends.  That is the one rule, on purpose: what a detector would have stopped
# depends on the detector, and a data set is there to train one.


APPROVED = Outcome(BankReply(BankStatus.POSTED), NOT_SCORED, lag_ms=0.0, service_ms=0.0)
REFUSED = Outcome(BankReply(BankStatus.REFUSED, "insufficient funds"), NOT_SCORED, lag_ms=0.0, service_ms=0.0)


class RuleBank:
    """Decides on transactions in the order of their moments.  ``refused`` counts."""

    def __init__(self, balances: PlannedBalances) -> None:
        """``balances`` are the bank's own, in cents; they begin with the opening balances."""
        self._balances = balances
        self.refused = 0

    def settle(self, transaction: Transaction) -> tuple[Outcome, int]:
        """The outcome of a transaction, and the account's balance before it, in cents."""
        before = self._balances.available(transaction.account)
        if transaction.kind not in CREDIT_KINDS and transaction.amount_cents > before:
            self.refused += 1
            return REFUSED, before
        self._balances.book(transaction)
        return APPROVED, before


#: One row: what happened, what the bank said, and the account's balance before, in cents.
Entry = tuple[Planned, Outcome, int]


class Stream:
    """Iterate once.

    ``skipped`` arrivals found no customer who could act; ``impossible`` steps of campaigns were
    to use an account that does not exist (yet).  Neither makes a row.
    """

    def __init__(self, parts: Parts) -> None:
        self._simulation = Simulation(parts)
        size = parts.world.population.size
        existing = size if parts.onboarding is None else parts.onboarding.existing
        self._bank = RuleBank(PlannedBalances(parts.world, existing))
        self.skipped = 0
        self.impossible = 0
        self.joined = 0
        self.rejected = 0

    @property
    def refused(self) -> int:
        """Transactions the bank refused."""
        return self._bank.refused

    @property
    def faults(self) -> dict[str, str]:
        """Campaigns that ended because their typology raised, and what it raised."""
        return self._simulation.faults

    def __iter__(self) -> Iterator[Entry]:
        simulation, settle = self._simulation, self._bank.settle
        while simulation.peek() is not None:
            event = simulation.step()
            if isinstance(event, Begun):
                continue
            if not isinstance(event, Due):
                self._join(event)
            elif event.planned is None:
                self.skipped += 1
            elif event.missing:
                self.impossible += 1
                simulation.answered(event.planned, REFUSED)
            else:
                outcome, before = settle(event.planned.transaction)
                simulation.answered(event.planned, outcome)
                yield event.planned, outcome, before

    def _join(self, joining: Joining) -> None:
        if joining.approved:
            self.joined += 1
            self._simulation.joined(joining)
        else:
            self.rejected += 1
