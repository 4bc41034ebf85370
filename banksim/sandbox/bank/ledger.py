"""A double-entry ledger on SQL.

What: every movement is one posting of two or more legs that sum to zero, written in one database
transaction together with the balances it changes.  Money that enters or leaves the bank has the
internal cash account of its currency (``gl:cash:USD``) as its other side, so the sum over all
accounts is always zero, per currency.

Signs: a positive leg credits an account (a customer's balance grows), a negative leg debits it.
Cash is the bank's asset, so its balance is the negative of what customers hold.

Why balances are stored in addition to the legs: reading one must not cost a sum over its history.
`Ledger.trial_balance` proves that both agree.  An account's floor (0, or minus the credit limit) is
also a CHECK in the schema: no code path can overdraw it.

Idempotency: a posting may carry a key.  The same key with the same content answers with the first
posting and books nothing; with different content it is an error.

History: it is the record, so in a file or on a server it is never trimmed (250 bytes a posting).
In memory only the last ``max_postings`` are kept: a balance stays the sum of its account's legs,
since older ones are carried forward into one leg per account, of a posting 0 that is never listed.

Not handled: currency conversion, reversals, interest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from banksim.sandbox.bank.database import Database

# -- Postings, accounts, and the reasons for a refusal --------------------------------------------


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


class Posting(NamedTuple):
    """One journal entry, as in the columns of ``postings``.  ``created_at_s``: wall time, unix seconds."""

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


#: Bound: postings kept when the books are in memory; and how many are carried forward at once.
MAX_POSTINGS_IN_MEMORY = 100_000
CARRIED_AT_ONCE = 200
#: Largest single amount, so that no sum of realistic size leaves 64 bits.
MAX_AMOUNT_CENTS = 10**15
CASH_PREFIX = "gl:cash:"

#: The function of `postgres.py` that books two legs in one round trip.
_POST_TWO_LEGS = "SELECT post_two_legs(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_FIND_ACCOUNT = "SELECT id, currency, balance_cents, floor_cents FROM ledger_accounts WHERE account_id = ?"
#: One statement both checks and moves; no row means that one of the conditions did not hold.
_CREDIT = (
    "UPDATE ledger_accounts SET balance_cents = balance_cents + ?"
    " WHERE account_id = ? AND currency = ? RETURNING id"
)
_DEBIT = (
    "UPDATE ledger_accounts SET balance_cents = balance_cents - ?"
    " WHERE account_id = ? AND currency = ?"
    " AND (floor_cents IS NULL OR balance_cents - ? >= floor_cents) RETURNING id"
)
_INSERT_POSTING = (
    "INSERT INTO postings (transaction_id, kind, amount_cents, currency, description, channel, reference,"
    " created_at_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"
)
_INSERT_LEGS = "INSERT INTO legs (account, posting, leg, amount_cents) VALUES "
_CARRY_FORWARD = (
    "INSERT INTO legs (account, posting, leg, amount_cents)"
    " SELECT account, 0, 0, SUM(amount_cents) FROM legs WHERE posting > 0 AND posting <= ? GROUP BY account"
    " ON CONFLICT (account, posting, leg) DO UPDATE SET amount_cents = amount_cents + excluded.amount_cents"
)
_POSTING_COLUMNS = (
    "p.transaction_id, p.kind, p.amount_cents, p.currency,"
    " p.description, p.channel, p.reference, p.created_at_s"
)


class Ledger:
    """See above.  Not thread-safe: its owner serialises calls."""

    def __init__(self, database: Database, max_postings: int | None = None) -> None:
        """``max_postings`` bounds the history; None keeps all of it."""
        self._db = database
        self._max_postings = max_postings
        self._carried = 0
        if max_postings is not None:
            for table in ("legs", "idempotency_keys"):
                database.rows(f"CREATE INDEX IF NOT EXISTS {table}_by_posting ON {table} (posting)")

    def open_account(self, account_id: str, currency: str, *, floor_cents: int = 0) -> None:
        """Open an account with balance 0; ``floor_cents`` is its lowest allowed balance.

        The first account of a currency also opens the internal cash account of that currency.
        """
        self._db.rows(
            "INSERT INTO ledger_accounts (account_id, currency, floor_cents) VALUES (?, ?, NULL)"
            " ON CONFLICT (account_id) DO NOTHING",
            (cash_account(currency), currency),
        )
        self._db.rows(
            "INSERT INTO ledger_accounts (account_id, currency, floor_cents) VALUES (?, ?, ?)",
            (account_id, currency, floor_cents),
        )

    def account(self, account_id: str) -> LedgerAccount | None:
        row = self._db.one(_FIND_ACCOUNT, (account_id,))
        return LedgerAccount(account_id, row[1], row[2], row[3]) if row else None

    def balance_cents(self, account_id: str) -> int:
        """Raises UnknownAccount."""
        account = self.account(account_id)
        if account is None:
            raise UnknownAccount(account_id)
        return account.balance_cents

    def post(self, posting: Posting, legs: Sequence[Leg], idempotency_key: str | None = None) -> Posting:
        """Book ``posting`` with its ``legs``, checked in order; returns it, or the first one of its key.

        Raises a LedgerError, having written nothing.
        """
        _check_legs(legs)
        if self._db.posts_at_once and len(legs) == 2 and idempotency_key is None:
            return self._post_at_once(posting, legs)
        with self._db.transaction():
            if idempotency_key is not None:
                first = self.find_key(posting, legs, idempotency_key)
                if first is not None:
                    return first
            accounts = self._apply(posting.currency, legs)
            row = self._db.rows(_INSERT_POSTING, posting)[0][0]
            self._db.rows(
                _INSERT_LEGS + ", ".join(["(?, ?, ?, ?)"] * len(legs)),
                [
                    value
                    for number, (account, leg) in enumerate(zip(accounts, legs, strict=True))
                    for value in (account, row, number, leg.amount_cents)
                ],
            )
            if idempotency_key is not None:
                self._db.rows(
                    "INSERT INTO idempotency_keys VALUES (?, ?, ?)",
                    (idempotency_key, row, _fingerprint(posting, legs)),
                )
        if self._max_postings is not None and row - self._carried >= self._max_postings + CARRIED_AT_ONCE:
            self._carry_forward(row - self._max_postings)
        return posting

    def _post_at_once(self, posting: Posting, legs: Sequence[Leg]) -> Posting:
        sides = [value for leg in legs for value in (leg.account_id, leg.amount_cents)]
        refused = self._count(_POST_TWO_LEGS, (*posting, *sides))
        if refused:
            raise self._why_not(posting.currency, legs[refused - 1])
        return posting

    def _carry_forward(self, last: int) -> None:
        """Replace the postings up to row ``last`` by their sums; takes a millisecond."""
        with self._db.transaction():
            self._db.rows(_CARRY_FORWARD, (last,))
            self._db.rows("DELETE FROM legs WHERE posting > 0 AND posting <= ?", (last,))
            self._db.rows("DELETE FROM idempotency_keys WHERE posting <= ?", (last,))
            self._db.rows("DELETE FROM postings WHERE id <= ?", (last,))
        self._carried = last

    def _apply(self, currency: str, legs: Sequence[Leg]) -> list[int]:
        """Change the balances; returns the accounts' row ids."""
        rows: list[int] = []
        for leg in legs:
            cents = leg.amount_cents
            if cents > 0:
                moved = self._db.one(_CREDIT, (cents, leg.account_id, currency))
            else:
                moved = self._db.one(_DEBIT, (-cents, leg.account_id, currency, -cents))
            if moved is None:
                raise self._why_not(currency, leg)
            rows.append(moved[0])
        return rows

    def _why_not(self, currency: str, leg: Leg) -> LedgerError:
        account = self.account(leg.account_id)
        if account is None:
            return UnknownAccount(leg.account_id)
        if account.currency != currency:
            return CurrencyMismatch(leg.account_id, account.currency, currency)
        return InsufficientFunds(leg.account_id, account.available_cents, -leg.amount_cents)

    def find_key(self, posting: Posting, legs: Sequence[Leg], key: str) -> Posting | None:
        """The posting booked under ``key``, or None.  Raises IdempotencyConflict for another movement."""
        row = self._db.one(
            f"SELECT k.fingerprint, {_POSTING_COLUMNS} FROM idempotency_keys k"
            " JOIN postings p ON p.id = k.posting WHERE k.key = ?",
            (key,),
        )
        if row is None:
            return None
        if row[0] != _fingerprint(posting, legs):
            raise IdempotencyConflict(key)
        return Posting(*row[1:])

    def history(self, account_id: str, limit: int) -> list[Posting]:
        """The last ``limit`` postings that touched the account, newest first."""
        rows = self._db.rows(
            f"SELECT DISTINCT p.id, {_POSTING_COLUMNS} FROM legs l JOIN postings p ON p.id = l.posting"
            " WHERE l.account = (SELECT id FROM ledger_accounts WHERE account_id = ?)"
            " ORDER BY p.id DESC LIMIT ?",
            (account_id, limit),
        )
        return [Posting(*row[1:]) for row in rows]

    def posting_count(self, account_id: str) -> int:
        """Number of postings in the history that touched the account."""
        return self._count(
            "SELECT COUNT(DISTINCT posting) FROM legs"
            " WHERE posting > 0 AND account = (SELECT id FROM ledger_accounts WHERE account_id = ?)",
            (account_id,),
        )

    def trial_balance(self) -> TrialBalance:
        """Prove the books: reads everything, about 0.2 s per million legs."""
        sums = self._db.rows("SELECT currency, SUM(balance_cents) FROM ledger_accounts GROUP BY currency")
        totals = {currency: int(cents) for currency, cents in sums}  # PostgreSQL sums to a Decimal
        mismatched = self._count(
            "SELECT COUNT(*) FROM ledger_accounts a LEFT JOIN"
            " (SELECT account, SUM(amount_cents) AS sum_cents FROM legs GROUP BY account) l"
            " ON l.account = a.id"
            " WHERE a.balance_cents <> COALESCE(l.sum_cents, 0)"
        )
        accounts = self._count("SELECT COUNT(*) FROM ledger_accounts")
        postings = self._count("SELECT COUNT(*) FROM postings") + self._carried
        return TrialBalance(totals, accounts, postings, mismatched)

    def balances(self, after: str = "", limit: int = 1000) -> list[tuple[str, int]]:
        """(account id, cents) of customers' accounts in id order, starting after ``after``."""
        rows = self._db.rows(
            "SELECT account_id, balance_cents FROM ledger_accounts"
            " WHERE account_id > ? AND floor_cents IS NOT NULL ORDER BY account_id LIMIT ?",
            (after, limit),
        )
        return [(account_id, cents) for account_id, cents in rows]

    def _count(self, sql: str, values: Sequence[Any] = ()) -> int:
        return int(self._db.rows(sql, values)[0][0])


def cash_account(currency: str) -> str:
    """Id of the bank's internal cash account of ``currency``."""
    return CASH_PREFIX + currency


def _check_legs(legs: Sequence[Leg]) -> None:
    if len(legs) < 2:
        raise UnbalancedPosting("a posting needs at least two legs")
    total = 0
    for leg in legs:
        if leg.amount_cents == 0 or abs(leg.amount_cents) > MAX_AMOUNT_CENTS:
            raise UnbalancedPosting(f"a leg of {leg.amount_cents} cents is not allowed")
        total += leg.amount_cents
    if total != 0:
        raise UnbalancedPosting(f"the legs sum to {total} cents, not to zero")


def _fingerprint(posting: Posting, legs: Sequence[Leg]) -> str:
    sides = ";".join(f"{leg.account_id}:{leg.amount_cents}" for leg in legs)
    return f"{posting.kind}|{posting.currency}|{sides}"
