"""Deposit, withdrawal, transfer, and an account's history.

Order of checks, as measured on the real bank: amount above zero, compliance (the payer's customer;
for a deposit the payee's), payer's account exists, funds, payee's account exists.  A refused attempt
leaves a ``failed`` row in the history of the account it named, even of one that does not exist.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any

from banksim.sandbox.bank import records
from banksim.sandbox.bank.ledger import (
    CASH_PREFIX,
    CurrencyMismatch,
    InsufficientFunds,
    Ledger,
    LedgerError,
    Leg,
    Posting,
    UnknownAccount,
    cash_account,
)
from banksim.sandbox.bank.records import AccountMovement, HistoryPage, Registry, Transfer
from banksim.sandbox.http import Query, Refusal, Reply, read

# -- Refused movements, which an account's history lists together with the booked ones --------------
#
# Bounded twice: the newest per account, and the accounts most recently refused.  ``dropped`` counts the
# ones that are pushed out.  They are never written to the ledger: no money moved.


PER_ACCOUNT = 50
ACCOUNTS = 20_000


class FailedAttempts:
    def __init__(self, per_account: int = PER_ACCOUNT, accounts: int = ACCOUNTS) -> None:
        self._per_account = per_account
        self._max_accounts = accounts
        self._by_account: OrderedDict[str, deque[Posting]] = OrderedDict()
        self.dropped = 0

    def add(self, account_id: str, attempt: Posting) -> None:
        attempts = self._by_account.get(account_id)
        if attempts is None:
            if len(self._by_account) >= self._max_accounts:
                _, pushed_out = self._by_account.popitem(last=False)
                self.dropped += len(pushed_out)
            attempts = self._by_account[account_id] = deque(maxlen=self._per_account)
        else:
            self._by_account.move_to_end(account_id)
        if len(attempts) == self._per_account:
            self.dropped += 1
        attempts.append(attempt)

    def of(self, account_id: str) -> tuple[Posting, ...]:
        """Oldest first."""
        return tuple(self._by_account.get(account_id, ()))


class Movements:
    def __init__(
        self, ledger: Ledger, registry: Registry, new_id: Callable[[], str], now_s: Callable[[], float]
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self.failed = FailedAttempts()
        self._new_id = new_id
        self._now_s = now_s

    def deposit(self, _query: Query, body: Any) -> Reply:
        given = read(AccountMovement, body)
        cents = _amount_cents(given)
        # The customer's account first, so that the refusal names an unknown one.
        legs = (Leg(given.account_id, cents), Leg(cash_account(given.amount.currency), -cents))
        return self._book(given, "deposit", legs, "Deposit processed successfully")

    def withdraw(self, _query: Query, body: Any) -> Reply:
        given = read(AccountMovement, body)
        cents = _amount_cents(given)
        legs = (Leg(given.account_id, -cents), Leg(cash_account(given.amount.currency), cents))
        return self._book(given, "withdrawal", legs, "Withdrawal processed successfully")

    def transfer(self, _query: Query, body: Any) -> Reply:
        given = read(Transfer, body)
        cents = _amount_cents(given)
        legs = (Leg(given.from_account_id, -cents), Leg(given.to_account_id, cents))
        return self._book(given, "transfer_internal", legs, "Transfer processed successfully")

    def history(self, account_id: str, query: Query, _body: Any) -> Reply:
        """Booked and failed rows together, newest first."""
        page = read(HistoryPage, query, "query")
        failed = self.failed.of(account_id)
        booked_total = self._ledger.posting_count(account_id)
        # Every failed row may be newer than every booked one, or older: this many booked rows suffice.
        booked = self._ledger.history(account_id, min(page.skip, booked_total) + page.limit)
        entries = [(entry, "completed") for entry in booked]
        entries += ((entry, "failed") for entry in reversed(failed))
        entries.sort(key=lambda entry: entry[0].created_at_s, reverse=True)
        return 200, {
            "items": [_row(*entry) for entry in entries[page.skip : page.skip + page.limit]],
            "total": booked_total + len(failed),
            "skip": page.skip,
            "limit": page.limit,
        }

    def _book(self, given: AccountMovement | Transfer, kind: str, legs: Sequence[Leg], message: str) -> Reply:
        """Book a movement whose first leg's account compliance judges by its owner's tier."""
        currency = given.amount.currency
        posting = Posting(
            self._new_id(),
            kind,
            abs(legs[0].amount_cents),
            currency,
            given.description,
            "online" if given.channel is None else given.channel,
            given.reference,
            self._now_s(),
        )
        key = given.idempotency_key
        try:
            booked = None if key is None else self._ledger.find_key(posting, legs, key)
            if booked is None:
                self._comply(posting, legs[0].account_id)
                _refuse_internal_accounts(legs, kind)
                booked = self._ledger.post(posting, legs, key)
        except LedgerError as error:
            self.failed.add(legs[0].account_id, posting)
            raise Refusal(400, _refusal_text(error, posting, legs)) from None
        except Refusal:
            self.failed.add(legs[0].account_id, posting)
            raise
        return 200, {"transaction_id": booked.transaction_id, "state": "completed", "message": message}

    def _comply(self, posting: Posting, account_id: str) -> None:
        if posting.channel == records.SYSTEM_CHANNEL:
            return
        exists, tier = self._registry.owner_tier(account_id)
        if exists and records.over_tier_limit(tier, posting.amount_cents, posting.currency):
            raise Refusal(400, "Blocked by compliance rules")


def _amount_cents(given: AccountMovement | Transfer) -> int:
    """The amount, positive.  Raises Refusal for it or an unknown channel."""
    cents = records.money_cents(given.amount)
    if given.channel is not None:
        records.choice(given.channel, records.CHANNELS, "TransactionChannel")
    if cents <= 0:
        raise Refusal(400, "Transaction amount must be positive")
    return cents


def _refuse_internal_accounts(legs: Sequence[Leg], kind: str) -> None:
    """The cash account has no floor, so no client may name it: to a client it does not exist."""
    own_legs = legs if kind == "transfer_internal" else legs[:1]
    for leg in own_legs:
        if leg.account_id.startswith(CASH_PREFIX):
            raise UnknownAccount(leg.account_id)


def _refusal_text(error: LedgerError, movement: Posting, legs: Sequence[Leg]) -> str:
    """The bank's own words for a posting the ledger refused."""
    if isinstance(error, InsufficientFunds):
        available = records.money_text(error.available_cents, movement.currency)
        requested = records.money_text(error.requested_cents, movement.currency)
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


def _row(entry: Posting, state: str) -> dict[str, object]:
    moment = records.iso_utc(entry.created_at_s)
    return {
        "id": entry.transaction_id,
        "transaction_type": entry.kind,
        "amount": records.money_json(entry.amount_cents, entry.currency),
        "description": entry.description,
        "state": state,
        "created_at": moment,
        "processed_at": moment if state == "completed" else None,
    }
