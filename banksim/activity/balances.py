"""What every account should hold, by our own plan.

Only the difference from the opening balance is kept, for accounts that moved; there are
never more entries than accounts.  Fraud, refusals and lost answers are not looked at:
this keeps honest customers from spending what they do not have, it is not a ledger.
"""

from __future__ import annotations

from banksim.domain import CREDIT_KINDS, AccountRef, Transaction
from banksim.world import World

_MAX_SLOTS = 8


class PlannedBalances:
    """Planned balances in cents.  Customers from ``funded`` on start with nothing."""

    def __init__(self, world: World, funded: int | None = None) -> None:
        self._population = world.population
        self._funded = world.population.size if funded is None else funded
        self._moved: dict[int, int] = {}

    def available(self, account: AccountRef) -> int:
        """The planned balance; below zero when more was planned than there was."""
        opening = 0
        if account.customer_index < self._funded:
            specs = self._population.customer(account.customer_index).accounts
            opening = specs[account.slot].opening_balance_cents
        return opening + self._moved.get(account.customer_index * _MAX_SLOTS + account.slot, 0)

    def book(self, transaction: Transaction) -> None:
        """Move what the transaction moves."""
        self._move(transaction, transaction.amount_cents)

    def unbook(self, transaction: Transaction) -> None:
        """Take back a transaction that was booked and then refused."""
        self._move(transaction, -transaction.amount_cents)

    def _move(self, transaction: Transaction, cents: int) -> None:
        if transaction.kind in CREDIT_KINDS:
            self._add(transaction.account, cents)
            return
        self._add(transaction.account, -cents)
        if transaction.counterparty is not None:
            self._add(transaction.counterparty, cents)

    def _add(self, account: AccountRef, cents: int) -> None:
        key = account.customer_index * _MAX_SLOTS + account.slot
        self._moved[key] = self._moved.get(key, 0) + cents
