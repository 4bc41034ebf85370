"""What the ledger takes and gives, and why it refuses."""

from __future__ import annotations

from dataclasses import dataclass


class LedgerError(Exception):
    """A posting was refused; nothing of it was written."""


class UnbalancedPosting(LedgerError):
    """The legs are fewer than two, hold a zero or an excessive amount, or do not sum to zero."""


class UnknownAccount(LedgerError):
    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        super().__init__(f"account {account_id} not found")


class CurrencyMismatch(LedgerError):
    """``account_currency`` is what the account holds, ``currency`` what was posted."""

    def __init__(self, account_id: str, account_currency: str, currency: str) -> None:
        self.account_id = account_id
        self.account_currency = account_currency
        self.currency = currency
        super().__init__(f"account {account_id} holds {account_currency}, not {currency}")


class InsufficientFunds(LedgerError):
    def __init__(self, account_id: str, available_cents: int, requested_cents: int) -> None:
        self.account_id = account_id
        self.available_cents = available_cents
        self.requested_cents = requested_cents
        super().__init__(f"account {account_id}: {available_cents} available, {requested_cents} requested")


class IdempotencyConflict(LedgerError):
    def __init__(self, key: str) -> None:
        super().__init__(f"idempotency key {key} was used for a different movement")


@dataclass(frozen=True, slots=True)
class Leg:
    account_id: str
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Posting:
    """One journal entry.  ``created_at_s`` is wall time in unix seconds."""

    transaction_id: str
    kind: str
    amount_cents: int
    currency: str
    description: str
    channel: str
    reference: str | None
    created_at_s: float


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    account_id: str
    currency: str
    balance_cents: int
    floor_cents: int | None

    @property
    def available_cents(self) -> int:
        return self.balance_cents - (self.floor_cents or 0)


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """``totals_cents`` per currency must be zero; a mismatched account's balance differs from its legs."""

    totals_cents: dict[str, int]
    accounts: int
    postings: int
    mismatched_accounts: int

    @property
    def balanced(self) -> bool:
        return self.mismatched_accounts == 0 and not any(self.totals_cents.values())
