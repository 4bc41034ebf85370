"""The bank behind a data set: it approves everything that the account covers.

No detector looks on, so nothing is ever blocked: a campaign goes on until its plan or the
victim's money ends.  That is the one rule, on purpose: what a detector would have stopped
depends on the detector, and a data set is there to train one.

Balances are those that honest customers plan with, so whoever was robbed spends less.
"""

from __future__ import annotations

from banksim.activity.balances import PlannedBalances
from banksim.domain import CREDIT_KINDS, NOT_SCORED, BankReply, BankStatus, Outcome, Transaction

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
