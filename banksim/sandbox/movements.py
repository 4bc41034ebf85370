"""Deposit, withdrawal, transfer, and an account's history.

Order of checks, as measured on the real bank: amount above zero, compliance (the payer's customer;
for a deposit the payee's), payer's account exists, funds, payee's account exists.  A refused attempt
leaves a ``failed`` row in the history of the account it named, even of one that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from banksim.sandbox import bank_values as values
from banksim.sandbox.compliance import ComplianceAlerts
from banksim.sandbox.failed_attempts import FailedAttempt, FailedAttempts
from banksim.sandbox.fields import Fields, Refusal, Reply, query_integer
from banksim.sandbox.ledger import (
    CASH_PREFIX,
    CurrencyMismatch,
    InsufficientFunds,
    Ledger,
    LedgerError,
    Leg,
    Posting,
    UnknownAccount,
)
from banksim.sandbox.registry import Registry

HISTORY_PAGE = 50
HISTORY_PAGE_MAX = 200


@dataclass(frozen=True, slots=True)
class _Movement:
    """A movement whose fields are checked: the owner of ``judged_account`` is who compliance looks at."""

    kind: str
    judged_account: str
    amount_cents: int
    currency: str
    description: str
    channel: str
    reference: str | None
    idempotency_key: str | None


class Movements:
    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        failed: FailedAttempts,
        alerts: ComplianceAlerts,
        new_id: Callable[[], str],
        now_s: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self.failed = failed
        self._alerts = alerts
        self._new_id = new_id
        self._now_s = now_s
        self._cash: dict[str, str] = {}  # at most one per currency

    def deposit(self, _query: Mapping[str, str], body: Any) -> Reply:
        fields = Fields(body)
        account_id = fields.text("account_id")
        movement = self._read(fields, "deposit", account_id)
        # The customer's account first, so that an unknown one is what the answer names.
        legs = (
            Leg(account_id, movement.amount_cents),
            Leg(self._cash_of(movement.currency), -movement.amount_cents),
        )
        return self._book(movement, legs, "Deposit processed successfully")

    def withdraw(self, _query: Mapping[str, str], body: Any) -> Reply:
        fields = Fields(body)
        account_id = fields.text("account_id")
        movement = self._read(fields, "withdrawal", account_id)
        legs = (
            Leg(account_id, -movement.amount_cents),
            Leg(self._cash_of(movement.currency), movement.amount_cents),
        )
        return self._book(movement, legs, "Withdrawal processed successfully")

    def transfer(self, _query: Mapping[str, str], body: Any) -> Reply:
        fields = Fields(body)
        payer, payee = fields.text("from_account_id"), fields.text("to_account_id")
        movement = self._read(fields, "transfer_internal", payer)
        legs = (Leg(payer, -movement.amount_cents), Leg(payee, movement.amount_cents))
        return self._book(movement, legs, "Transfer processed successfully")

    def history(self, account_id: str, query: Mapping[str, str], _body: Any) -> Reply:
        """Booked and failed rows together, newest first."""
        skip = query_integer(query, "skip", 0, 0)
        limit = query_integer(query, "limit", HISTORY_PAGE, 1, HISTORY_PAGE_MAX)
        failed = self.failed.of(account_id)
        booked_total = self._ledger.posting_count(account_id)
        # Every failed row may be newer than every booked one, or older: this many booked rows suffice.
        booked = self._ledger.history(account_id, min(skip, booked_total) + limit)
        entries: list[Posting | FailedAttempt] = [*booked, *reversed(failed)]
        entries.sort(key=lambda entry: entry.created_at_s, reverse=True)
        return 200, {
            "items": [_row(entry) for entry in entries[skip : skip + limit]],
            "total": booked_total + len(failed),
            "skip": skip,
            "limit": limit,
        }

    def forget_cash(self) -> None:
        """A transaction was rolled back, perhaps the one that opened a cash account."""
        self._cash.clear()

    def _cash_of(self, currency: str) -> str:
        if currency not in self._cash:
            self._cash[currency] = self._ledger.cash_account(currency)
        return self._cash[currency]

    def _read(self, fields: Fields, kind: str, judged_account: str) -> _Movement:
        """The fields all three movements share.  Raises Refusal."""
        amount, currency = values.read_money(fields)
        description = fields.text("description")
        channel = fields.optional_text("channel")
        reference = fields.optional_text("reference")
        key = fields.optional_text("idempotency_key")
        fields.check()
        cents = values.money_cents(amount, currency)
        channel = values.choice(
            "online" if channel is None else channel, values.CHANNELS, "TransactionChannel"
        )
        if cents <= 0:
            raise Refusal(400, "Transaction amount must be positive")
        return _Movement(kind, judged_account, cents, currency, description, channel, reference, key)

    def _book(self, movement: _Movement, legs: Sequence[Leg], message: str) -> Reply:
        posting = Posting(
            self._new_id(),
            movement.kind,
            movement.amount_cents,
            movement.currency,
            movement.description,
            movement.channel,
            movement.reference,
            self._now_s(),
        )
        key = movement.idempotency_key
        try:
            booked = None if key is None else self._ledger.find_key(posting, legs, key)
            if booked is None:
                self._comply(movement)
                _refuse_internal_accounts(legs, movement.kind)
                booked = self._ledger.post(posting, legs, key)
        except LedgerError as error:
            self._remember_failure(posting, movement.judged_account)
            raise Refusal(400, _refusal_text(error, movement, legs)) from None
        except Refusal:
            self._remember_failure(posting, movement.judged_account)
            raise
        return 200, {"transaction_id": booked.transaction_id, "state": "completed", "message": message}

    def _comply(self, movement: _Movement) -> None:
        if movement.channel == values.SYSTEM_CHANNEL:
            return
        exists, tier = self._registry.owner_tier(movement.judged_account)
        if exists:
            self._alerts.look(
                lambda: self._owner(movement.judged_account), tier, movement.amount_cents, movement.currency
            )
        if exists and values.over_tier_limit(tier, movement.amount_cents, movement.currency):
            raise Refusal(400, "Blocked by compliance rules")

    def _owner(self, account_id: str) -> str:
        papers = self._registry.account(account_id)
        return papers.customer_id if papers is not None else ""

    def _remember_failure(self, posting: Posting, account_id: str) -> None:
        self.failed.add(
            account_id,
            FailedAttempt(
                posting.transaction_id,
                posting.kind,
                posting.amount_cents,
                posting.currency,
                posting.description,
                posting.created_at_s,
            ),
        )


def _refuse_internal_accounts(legs: Sequence[Leg], kind: str) -> None:
    """The cash account has no floor, so nobody may name it: to a client it does not exist."""
    own_legs = legs if kind == "transfer_internal" else legs[:1]
    for leg in own_legs:
        if leg.account_id.startswith(CASH_PREFIX):
            raise UnknownAccount(leg.account_id)


def _refusal_text(error: LedgerError, movement: _Movement, legs: Sequence[Leg]) -> str:
    """The bank's own words for a posting the ledger refused."""
    if isinstance(error, InsufficientFunds):
        available = values.money_text(error.available_cents, movement.currency)
        requested = values.money_text(error.requested_cents, movement.currency)
        return f"Insufficient funds: available {available}, requested {requested}"
    if isinstance(error, UnknownAccount):
        side = "From" if _is_debited(error.account_id, legs) else "To"
        return f"{side} account {error.account_id} not found"
    if isinstance(error, CurrencyMismatch):
        if _is_debited(error.account_id, legs) or movement.kind == "deposit":
            return f"Cannot compare {error.account_currency} and {error.currency}"
        return (
            "Cannot transfer between accounts with different currencies:"
            f" {error.currency} -> {error.account_currency}. Use currency conversion instead."
        )
    return str(error)


def _is_debited(account_id: str, legs: Sequence[Leg]) -> bool:
    return any(leg.account_id == account_id and leg.amount_cents < 0 for leg in legs)


def _row(entry: Posting | FailedAttempt) -> dict[str, Any]:
    completed = isinstance(entry, Posting)
    moment = values.iso_utc(entry.created_at_s)
    return {
        "id": entry.transaction_id,
        "transaction_type": entry.kind,
        "amount": values.money_json(entry.amount_cents, entry.currency),
        "description": entry.description,
        "state": "completed" if completed else "failed",
        "created_at": moment,
        "processed_at": moment if completed else None,
    }
