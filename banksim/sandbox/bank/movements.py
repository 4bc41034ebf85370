"""Deposit, withdrawal, transfer, and an account's history.

Order of checks, as measured on the real bank: amount above zero, compliance (the payer's customer;
for a deposit the payee's), payer's account exists, funds, payee's account exists.  A refused attempt
leaves a ``failed`` row in the history of the account it named, even of one that does not exist.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from banksim.model.money import minor_digits
from banksim.sandbox.bank import values
from banksim.sandbox.bank.ledger import (
    CASH_PREFIX,
    CurrencyMismatch,
    InsufficientFunds,
    Ledger,
    LedgerError,
    Leg,
    Posting,
    UnknownAccount,
)
from banksim.sandbox.bank.records import Registry
from banksim.sandbox.bank.values import Fields, Refusal, Reply, query_integer

# -- Refused movements, which the bank shows in an account's history beside the booked ones ---------
#
# Bounded twice: the newest per account, and the accounts most recently refused.  What is pushed out
# is counted in ``dropped``.  They are never written to the ledger: no money moved.


PER_ACCOUNT = 50
ACCOUNTS = 20_000


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    transaction_id: str
    kind: str
    amount_cents: int
    currency: str
    description: str
    created_at_s: float


class FailedAttempts:
    def __init__(self, per_account: int = PER_ACCOUNT, accounts: int = ACCOUNTS) -> None:
        self._per_account = per_account
        self._max_accounts = accounts
        self._by_account: OrderedDict[str, deque[FailedAttempt]] = OrderedDict()
        self.dropped = 0

    def add(self, account_id: str, attempt: FailedAttempt) -> None:
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

    def of(self, account_id: str) -> tuple[FailedAttempt, ...]:
        """Oldest first."""
        return tuple(self._by_account.get(account_id, ()))


# -- Compliance alerts: what the bank notes about a movement, whether it lets it through or not -----
#
# Rules, texts and risk scores are those measured on the real bank.  Kept in memory, the newest
# `MAX_ALERTS`; what is pushed out is counted.
#
# Not handled: `high_velocity`, which rests on the real bank's count of violations (and on the
# gap in it that this bank does not have); changing an alert's status, for which no route exists.


MAX_ALERTS = 10_000
_ROUND_RISK = {"tier_0": 60, "tier_1": 40}


class ComplianceAlerts:
    def __init__(
        self, new_id: Callable[[], str], now_s: Callable[[], float], maximum: int = MAX_ALERTS
    ) -> None:
        self._new_id = new_id
        self._now_s = now_s
        self._alerts: deque[dict[str, Any]] = deque(maxlen=maximum)
        self.dropped = 0

    def look(self, customer_id: Callable[[], str], tier: str | None, cents: int, currency: str) -> None:
        """Note what is remarkable about an amount; ``customer_id`` is only asked for when something is."""
        unit = 10 ** minor_digits(currency)
        shown = values.money_text(cents, currency)
        if cents >= 5_000 * unit and cents % (500 * unit) == 0:
            risk = _ROUND_RISK.get(tier or "", 30)
            self._add(customer_id(), "round_dollar_amounts", f"Round dollar amount: {shown}", risk)
        if currency == "USD" and 9_500_00 <= cents <= 9_990_00:
            self._add(customer_id(), "structured_transaction", f"Possible structuring: {shown}", 70)
        if cents > 5_000 * unit and tier in ("tier_0", "tier_1"):
            self._add(customer_id(), "unusual_transaction_size", f"Unusual transaction size: {shown}", 50)

    def listed(self, status: str | None = None, min_risk: int = 0) -> list[dict[str, Any]]:
        """Highest risk first."""
        found = [
            alert
            for alert in self._alerts
            if (status is None or alert["status"] == status) and alert["risk_score"] >= min_risk
        ]
        return sorted(found, key=lambda alert: -int(alert["risk_score"]))

    def _add(self, customer_id: str, kind: str, description: str, risk: int) -> None:
        self.dropped += len(self._alerts) == self._alerts.maxlen
        self._alerts.append(
            {
                "id": self._new_id(),
                "customer_id": customer_id,
                "activity_type": kind,
                "description": description,
                "risk_score": risk,
                "status": "open",
                "created_at": values.iso_utc(self._now_s()),
            }
        )


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
