"""The bank's balances against the expected ones; `banksim.measure.books` says what agrees."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum

import numpy as np

from banksim.measure.books import ExpectedBalances, Fault
from banksim.measure.figures import BalanceRow, BalanceTotal, FaultSum, Reconciliation

#: Open movements of one account of which every choice is tried; with more, within their amounts.
MOST_TRIED = 16
#: In the place of an account id, where only the sum over all is wrong.
ALL_ACCOUNTS = "all accounts"


class Agreement(StrEnum):
    """What comparing the balances came to."""

    BALANCED = "balanced"
    PARTLY = "partly checked"  # what was read agrees, and not all was
    DIFFERENCES = "differences"
    NOT_CHECKED = "not checked"


# -- Which of the unanswered movements were booked, as far as the balances say so --------------------


class _Choice:
    """Tries every choice of an account's open movements, and carries what is certain to their other sides."""

    def __init__(self, books: ExpectedBalances, actual: Mapping[str, int]) -> None:
        self._books, self._actual = books, actual
        self._booked: dict[int, bool] = {}
        self._expected: dict[str, tuple[int, int]] = {}
        self._of: dict[str, list[tuple[int, int]]] = {}
        for number, movement in enumerate(books.unanswered):
            for account_id, cents in movement:
                self._of.setdefault(account_id, []).append((number, cents))
        # An account with movements that were not kept whole is judged by the bounds alone.
        self._of = {
            account_id: legs for account_id, legs in self._of.items() if self._is_whole(account_id, legs)
        }
        waiting = deque(sorted(self._of, key=lambda account_id: len(self._of[account_id])))
        while waiting:
            for number in self._try(waiting.popleft()):
                waiting += [name for name, _ in books.unanswered[number] if name in self._of]

    def expected(self, account_id: str) -> tuple[int, int]:
        """What the account may hold, lowest and highest; both are the nearest choice where there is none."""
        return self._expected.get(account_id) or self._books.range_of(account_id)

    def is_half(self, account_id: str, difference_cents: int) -> bool:
        """Whether a difference is one side of an unanswered transfer."""
        return any(
            abs(cents) == abs(difference_cents) and len(self._books.unanswered[number]) > 1
            for number, cents in self._of.get(account_id, ())
        )

    def total(self) -> tuple[int, int]:
        """What all accounts that were read may hold together; transfers between them change nothing."""
        low = high = 0
        for account_id in self._actual:
            sure = self._books.sure_of(account_id)
            bounds = (sure, sure) if account_id in self._of else self._books.range_of(account_id)
            low, high = low + bounds[0], high + bounds[1]
        for number, movement in enumerate(self._books.unanswered):
            change = sum(cents for name, cents in movement if name in self._of and name in self._actual)
            match self._booked.get(number):
                case True:
                    low, high = low + change, high + change
                case None:
                    low, high = low + min(0, change), high + max(0, change)
        return low, high

    def _is_whole(self, account_id: str, legs: list[tuple[int, int]]) -> bool:
        low, high = self._books.range_of(account_id)
        return high - low == sum(abs(cents) for _, cents in legs)

    def _try(self, account_id: str) -> list[int]:
        """Look at an account; returns the movements of which it is certain now whether they were booked."""
        actual, legs = self._actual.get(account_id), self._of[account_id]
        if actual is None:
            return []
        sure = self._books.sure_of(account_id) + sum(c for number, c in legs if self._booked.get(number))
        undecided = [(number, c) for number, c in legs if number not in self._booked]
        if len(undecided) > MOST_TRIED:
            out, into = (sum(c for _, c in undecided if (c < 0) == negative) for negative in (True, False))
            self._expected[account_id] = sure + out, sure + into
            return []
        sums = np.array([sure], np.int64)
        for _, cents in undecided:
            sums = np.concatenate([sums, sums + cents])
        found = np.flatnonzero(sums == actual)
        if not len(found):
            nearest = int(sums[np.argmin(np.abs(sums - actual))])
            self._expected[account_id] = nearest, nearest
            return []
        self._expected[account_id] = actual, actual
        certain = []
        for bit, (number, _) in enumerate(undecided):
            taken = (found >> bit) & 1
            if taken.all() or not taken.any():
                self._booked[number] = bool(taken[0])
                certain.append(number)
        return certain


def compare(
    books: ExpectedBalances,
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
    unread = tolerated = total_actual = 0
    differences: list[BalanceRow] = []
    known = {account_id: 0 if account_id in gone else actual.get(account_id) for account_id in books.opening}
    read = {account_id: cents for account_id, cents in known.items() if cents is not None}
    choice = _Choice(books, read)
    for account_id, cents in known.items():
        if cents is None:
            unread += 1
            continue
        low, high = choice.expected(account_id)
        total_actual += cents
        is_gone = account_id in gone
        if low <= cents <= high and not is_gone:
            tolerated += books.is_doubtful(account_id)
            continue
        differences.append(_difference(books, account_id, cents, (low, high), is_gone, choice))
    total_low, total_high = choice.total()
    if read and not differences and not total_low <= total_actual <= total_high:
        off_cents = total_actual - (total_high if total_actual > total_high else total_low)
        row = (ALL_ACCOUNTS, total_low, total_high, total_actual, off_cents, str(Fault.UNEXPLAINED))
        differences.append(BalanceRow(*row))
    differences.sort(key=_largest_first)
    judged = len(books.opening) - unread
    reason = ""
    if not judged:
        reason = f"not one of {unread:,} accounts could be read" if unread else "no account was touched"
    return Reconciliation(
        verdict=str(_verdict(judged, differences, unread + books.overflow)),
        reason=reason,
        balanced=_balanced(judged, differences, unread + books.overflow),
        accounts=judged,
        unread=unread,
        tolerated=tolerated,
        differing=len(differences),
        difference_cents=sum(row.difference_cents for row in differences),
        gross_cents=sum(abs(row.difference_cents) for row in differences),
        by_fault=_by_fault((row.fault, 1, row.difference_cents) for row in differences),
        total=BalanceTotal(total_low, total_high, total_actual),
        differences=differences[:max_differences],
        overflow=books.overflow,
    )


def not_checked(books: ExpectedBalances, reason: str) -> Reconciliation:
    """Balances that were not compared, and why."""
    return replace(compare(books, {}), reason=reason)


def combined(verdicts: Iterable[Reconciliation], max_differences: int = 100) -> Reconciliation:
    """Several banks' comparisons as one: every worker of a dry run has a bank of its own."""
    parts = list(verdicts)
    accounts = sum(part.accounts for part in parts)
    missing = sum(part.unread + part.overflow for part in parts)
    differences = sorted((row for part in parts for row in part.differences), key=_largest_first)
    faults = ((name, sums) for part in parts for name, sums in part.by_fault.items())
    return Reconciliation(
        verdict=str(_verdict(accounts, differences, missing)),
        reason=next((part.reason for part in parts if part.reason), ""),
        balanced=_balanced(accounts, differences, missing),
        accounts=accounts,
        unread=sum(part.unread for part in parts),
        tolerated=sum(part.tolerated for part in parts),
        differing=sum(part.differing for part in parts),
        difference_cents=sum(part.difference_cents for part in parts),
        gross_cents=sum(part.gross_cents for part in parts),
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


def _verdict(judged: int, differences: list[BalanceRow], missing: int) -> Agreement:
    if not judged:
        return Agreement.NOT_CHECKED
    if differences:
        return Agreement.DIFFERENCES
    return Agreement.PARTLY if missing else Agreement.BALANCED


def _balanced(judged: int, differences: list[BalanceRow], missing: int) -> bool | None:
    """None where that cannot be said: ``missing`` accounts or movements were not looked at."""
    return False if differences else None if missing or not judged else True


def _difference(
    books: ExpectedBalances,
    account_id: str,
    cents: int,
    expected: tuple[int, int],
    is_gone: bool,
    choice: _Choice,
) -> BalanceRow:
    low, high = expected
    difference_cents = cents - (high if cents > high else low)
    fault = Fault.GONE if is_gone else books.fault_of(account_id, difference_cents)
    if fault is Fault.UNEXPLAINED and choice.is_half(account_id, difference_cents):
        fault = Fault.HALF
    return BalanceRow(
        account=account_id,
        expected_low_cents=low,
        expected_high_cents=high,
        actual_cents=cents,
        difference_cents=0 if is_gone and low <= 0 else difference_cents,
        fault=str(fault),
    )


def _by_fault(entries: Iterable[tuple[str, int, int]]) -> dict[str, FaultSum]:
    sums: dict[str, FaultSum] = {}
    for fault, accounts, cents in entries:
        known = sums.get(fault, FaultSum(0, 0))
        sums[fault] = FaultSum(known.accounts + accounts, known.cents + cents)
    return sums
