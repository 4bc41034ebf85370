"""Does the bank's money agree with what it acknowledged?

`Books` keeps, per account of the bank, the opening balance, the sum of acknowledged
movements and the sum of movements whose answer never came.  An account balances when

    opening + certain - unknown out  ≤  actual  ≤  opening + certain + unknown in

so an unknown movement is tolerated within its amount and never guessed.  Everything is
integer cents and adds up, also over workers: a transfer may credit an account that another
worker opened.

What a difference probably is, is told from the amounts that were acknowledged on the account:

    too little by x   a debit of x was acknowledged → booked twice;  a credit of x → lost
    too much by x     a credit of x → booked twice;                  a debit of x → lost
    anything else     unexplained (several faults at once, or money from nowhere)

Not handled: fees and interest that a bank books by itself show up as differences.
Bounds: ``max_accounts``; movements on further accounts are counted, and those accounts not judged.
``max_amounts`` distinct amounts are remembered for naming differences, never for judging them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from banksim.measure.figures import BalanceRow, BalanceTotal, FaultSum, Invariant, Reconciliation

# -- What reading balances back during a run came to: counts, and the accounts that did not agree ---
#
# An account is a violation once, when it was outside of what its movements allow twice in a
# row.  One that agreed at the second look was read late by the bank, which is counted and no
# loss.


#: Violations that are kept; all are counted.
MAX_ROWS = 100


class BalanceChecks:
    """Of one run in one process."""

    def __init__(self) -> None:
        self.rounds = 0
        self.readings = 0
        self.unread = 0
        self.late = 0
        self.violations = 0
        self.rows: list[BalanceRow] = []
        self.total: BalanceTotal | None = None

    def violation(self, row: BalanceRow) -> None:
        self.violations += 1
        if len(self.rows) < MAX_ROWS:
            self.rows.append(row)

    def figures(self) -> Invariant | None:
        """None when no balance was read.  ``total`` is of the accounts of the last round."""
        if not self.readings and not self.unread:
            return None
        return Invariant(
            rounds=self.rounds,
            readings=self.readings,
            unread=self.unread,
            late=self.late,
            violations=self.violations,
            total=self.total,
            rows=self.rows,
        )


_PARTS = ("opening", "certain", "unknown_in", "unknown_out")


class Agreement(StrEnum):
    """What comparing the balances came to."""

    BALANCED = "balanced"
    DIFFERENCES = "differences"
    NOT_CHECKED = "not checked"


class Fault(StrEnum):
    """What a difference on one account probably is."""

    DOUBLED = "doubled"
    LOST = "lost"
    GONE = "account gone"
    UNEXPLAINED = "unexplained"


class Books:
    """Expected balances by the bank's account id, in integer cents."""

    __slots__ = (*_PARTS, "_amounts", "_max_accounts", "_room", "overflow")

    def __init__(self, max_accounts: int = 1_000_000, max_amounts: int = 300_000) -> None:
        self._max_accounts = max_accounts
        self._amounts: dict[str, set[int]] = {}
        self._room = max_amounts
        self.opening: dict[str, int] = {}
        self.certain: dict[str, int] = {}
        self.unknown_in: dict[str, int] = {}
        self.unknown_out: dict[str, int] = {}
        self.overflow = 0

    def open(self, account_id: str, balance_cents: int) -> None:
        """An account was opened with this balance; only opened accounts are judged."""
        if len(self.opening) >= self._max_accounts and account_id not in self.opening:
            self.overflow += 1
            return
        self.opening[account_id] = self.opening.get(account_id, 0) + balance_cents

    def credited(self, account_id: str, amount_cents: int, certain: bool) -> None:
        """Money came in; ``certain`` when the bank acknowledged it, False when no answer came."""
        self._add(self.certain if certain else self.unknown_in, account_id, amount_cents)
        if certain:
            self._remember(account_id, amount_cents)

    def debited(self, account_id: str, amount_cents: int, certain: bool) -> None:
        """Money went out, with the same meaning of ``certain``."""
        if certain:
            self._add(self.certain, account_id, -amount_cents)
            self._remember(account_id, -amount_cents)
        else:
            self._add(self.unknown_out, account_id, amount_cents)

    def _add(self, part: dict[str, int], account_id: str, amount_cents: int) -> None:
        if account_id in part:
            part[account_id] += amount_cents
        elif len(part) < self._max_accounts:
            part[account_id] = amount_cents
        else:
            self.overflow += 1

    def _remember(self, account_id: str, signed_cents: int) -> None:
        amounts = self._amounts.get(account_id)
        if amounts is None:
            if self._room <= 0:
                return
            amounts = self._amounts[account_id] = set()
        if self._room > 0 and signed_cents not in amounts:
            amounts.add(signed_cents)
            self._room -= 1

    def fault_of(self, account_id: str, difference_cents: int) -> Fault:
        """What a difference probably is, by the amounts acknowledged on the account."""
        amounts = self._amounts.get(account_id, ())
        if difference_cents in amounts:
            return Fault.DOUBLED
        return Fault.LOST if -difference_cents in amounts else Fault.UNEXPLAINED

    def range_of(self, account_id: str) -> tuple[int, int]:
        """Lowest and highest balance that agrees with the books."""
        sure = self.opening.get(account_id, 0) + self.certain.get(account_id, 0)
        return sure - self.unknown_out.get(account_id, 0), sure + self.unknown_in.get(account_id, 0)

    def merge_state(self, state: Mapping[str, Any]) -> None:
        for name in _PARTS:
            part: dict[str, int] = getattr(self, name)
            for account_id, cents in state[name].items():
                self._add(part, account_id, cents)
        self.overflow += state["overflow"]
        for account_id, amounts in state.get("amounts", {}).items():
            for signed_cents in amounts:
                self._remember(account_id, signed_cents)

    def to_state(self) -> dict[str, Any]:
        return {name: dict(getattr(self, name)) for name in _PARTS} | {
            "overflow": self.overflow,
            "amounts": {account_id: sorted(amounts) for account_id, amounts in self._amounts.items()},
        }


def compare(
    books: Books,
    actual: Mapping[str, int],
    max_differences: int = 100,
    *,
    gone: Collection[str] = frozenset(),
) -> Reconciliation:
    """Judge the bank's balances (cents by account id) against the books.

    ``gone``: accounts that the bank says it does not have, which is a difference of all they held.

    ``unread`` accounts are missing in ``actual`` (nothing is said about them), ``tolerated`` ones agree
    only within their unknown movements, ``total`` compares the sum over all accounts that were read,
    ``differences`` lists the largest.  ``balanced`` is None when no account could be read.
    """
    unread = tolerated = total_low = total_high = total_actual = 0
    differences: list[BalanceRow] = []
    for account_id in books.opening:
        is_gone = account_id in gone
        cents = 0 if is_gone else actual.get(account_id)
        if cents is None:
            unread += 1
            continue
        low, high = books.range_of(account_id)
        total_low += low
        total_high += high
        total_actual += cents
        if low <= cents <= high and not is_gone:
            tolerated += low != high
            continue
        differences.append(_difference(books, account_id, cents, is_gone))
    differences.sort(key=_largest_first)
    judged = len(books.opening) - unread
    reason = ""
    if not judged:
        reason = f"not one of {unread:,} accounts could be read" if unread else "no account was touched"
    return Reconciliation(
        verdict=str(_verdict(judged, differences)),
        reason=reason,
        balanced=not differences if judged else None,
        accounts=judged,
        unread=unread,
        tolerated=tolerated,
        differing=len(differences),
        difference_cents=sum(row.difference_cents for row in differences),
        by_fault=_by_fault((row.fault, 1, row.difference_cents) for row in differences),
        total=BalanceTotal(total_low, total_high, total_actual),
        differences=differences[:max_differences],
        overflow=books.overflow,
    )


def not_checked(books: Books, reason: str) -> Reconciliation:
    """Balances that were not compared, and why."""
    return replace(compare(books, {}), reason=reason)


def combined(verdicts: Iterable[Reconciliation], max_differences: int = 100) -> Reconciliation:
    """Several banks' comparisons as one: every worker of a dry run has a bank of its own."""
    parts = list(verdicts)
    accounts = sum(part.accounts for part in parts)
    differences = sorted((row for part in parts for row in part.differences), key=_largest_first)
    faults = ((name, sums) for part in parts for name, sums in part.by_fault.items())
    return Reconciliation(
        verdict=str(_verdict(accounts, differences)),
        reason=next((part.reason for part in parts if part.reason), ""),
        balanced=not differences if accounts else None,
        accounts=accounts,
        unread=sum(part.unread for part in parts),
        tolerated=sum(part.tolerated for part in parts),
        differing=sum(part.differing for part in parts),
        difference_cents=sum(part.difference_cents for part in parts),
        by_fault=_by_fault((name, sums.accounts, sums.cents) for name, sums in faults),
        total=BalanceTotal(
            sum(part.total.expected_low_cents for part in parts),
            sum(part.total.expected_high_cents for part in parts),
            sum(part.total.actual_cents for part in parts),
        ),
        differences=differences[:max_differences],
        overflow=sum(part.overflow for part in parts),
    )


def _largest_first(row: BalanceRow) -> tuple[int, str]:
    return -abs(row.difference_cents), row.account


def _verdict(judged: int, differences: list[BalanceRow]) -> Agreement:
    if not judged:
        return Agreement.NOT_CHECKED
    return Agreement.DIFFERENCES if differences else Agreement.BALANCED


def _difference(books: Books, account_id: str, cents: int, is_gone: bool) -> BalanceRow:
    low, high = books.range_of(account_id)
    difference_cents = cents - (high if cents > high else low)
    return BalanceRow(
        account=account_id,
        expected_low_cents=low,
        expected_high_cents=high,
        actual_cents=cents,
        difference_cents=0 if is_gone and low <= 0 else difference_cents,
        fault=str(Fault.GONE if is_gone else books.fault_of(account_id, difference_cents)),
    )


def _by_fault(entries: Iterable[tuple[str, int, int]]) -> dict[str, FaultSum]:
    sums: dict[str, FaultSum] = {}
    for fault, accounts, cents in entries:
        known = sums.get(fault, FaultSum(0, 0))
        sums[fault] = FaultSum(known.accounts + accounts, known.cents + cents)
    return sums
