"""Does the bank's money agree with what it acknowledged?

`Books` keeps, per account of the bank, the opening balance, the sum of acknowledged
movements and the sum of movements whose answer never came.  An account balances when

    opening + certain - unknown out  ≤  actual  ≤  opening + certain + unknown in

so an unknown movement is tolerated within its amount and never guessed.  Everything is
integer cents and adds up, also over workers: a transfer may credit an account that another
worker opened.

Not handled: fees and interest that a bank books by itself show up as differences.
Bound: ``max_accounts``; movements on further accounts are counted, and those accounts not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PARTS = ("opening", "certain", "unknown_in", "unknown_out")


class Books:
    """Expected balances by the bank's account id, in integer cents."""

    __slots__ = (*_PARTS, "_max_accounts", "overflow")

    def __init__(self, max_accounts: int = 1_000_000) -> None:
        self._max_accounts = max_accounts
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

    def debited(self, account_id: str, amount_cents: int, certain: bool) -> None:
        """Money went out, with the same meaning of ``certain``."""
        if certain:
            self._add(self.certain, account_id, -amount_cents)
        else:
            self._add(self.unknown_out, account_id, amount_cents)

    def _add(self, part: dict[str, int], account_id: str, amount_cents: int) -> None:
        if account_id in part:
            part[account_id] += amount_cents
        elif len(part) < self._max_accounts:
            part[account_id] = amount_cents
        else:
            self.overflow += 1

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

    def to_state(self) -> dict[str, Any]:
        return {name: dict(getattr(self, name)) for name in _PARTS} | {"overflow": self.overflow}


def compare(books: Books, actual: Mapping[str, int], max_differences: int = 100) -> dict[str, Any]:
    """Judge the bank's balances (cents by account id) against the books.

    Returns {balanced, accounts, unread, tolerated, differing, difference_cents, differences,
    overflow}: ``unread`` accounts are missing in ``actual`` (nothing is said about them),
    ``tolerated`` ones agree only within their unknown movements, ``differences`` lists the
    largest as {account, expected_low_cents, expected_high_cents, actual_cents, difference_cents}.
    ``balanced`` is None when not one account could be read.
    """
    unread = tolerated = 0
    differences: list[dict[str, Any]] = []
    for account_id in books.opening:
        cents = actual.get(account_id)
        if cents is None:
            unread += 1
            continue
        low, high = books.range_of(account_id)
        if low <= cents <= high:
            tolerated += low != high
            continue
        differences.append(
            {
                "account": account_id,
                "expected_low_cents": low,
                "expected_high_cents": high,
                "actual_cents": cents,
                "difference_cents": cents - (high if cents > high else low),
            }
        )
    differences.sort(key=lambda row: (-abs(row["difference_cents"]), row["account"]))
    judged = len(books.opening) - unread
    return {
        "balanced": not differences if judged else None,
        "accounts": judged,
        "unread": unread,
        "tolerated": tolerated,
        "differing": len(differences),
        "difference_cents": sum(row["difference_cents"] for row in differences),
        "differences": differences[:max_differences],
        "overflow": books.overflow,
    }
