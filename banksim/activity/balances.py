"""What every account should hold, by our own plan.

Only accounts that moved are kept; there are never more entries than accounts.  Fraud and
refusals count when whoever carries transactions out books them here.  This keeps honest
customers from spending what they do not have; it is not a ledger.
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
        self._cents: dict[int, int] = {}

    def available(self, account: AccountRef) -> int:
        """The planned balance; below zero when more was planned than there was."""
        found = self._cents.get(account.customer_index * _MAX_SLOTS + account.slot)
        return self._opening(account) if found is None else found

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
        found = self._cents.get(key)
        self._cents[key] = cents + (self._opening(account) if found is None else found)

    def _opening(self, account: AccountRef) -> int:
        if account.customer_index >= self._funded:
            return 0
        specs = self._population.customer(account.customer_index).accounts
        return specs[account.slot].opening_balance_cents

    def __len__(self) -> int:
        return len(self._cents)
