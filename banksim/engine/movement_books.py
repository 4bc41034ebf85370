"""Enters what the clients do into the books, and knows what is under way.

The books say what the bank acknowledged.  To judge a balance that is read *while* movements
go on, one must also know which of them may or may not be in it: those under way when the
reading began, and those that began during it.  A `Window` is open for one reading:

            reading ├──────────────┤
      ──acknowledged┤                      in the balance for certain
          ├─────────┼────┤                 may be in it
                    ├─────────────┼───┤    may be in it
      ──unknown──────────────              may be in it, for ever

    certain before − unknown out − under way out ≤ balance ≤ certain before + unknown in + under way in
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from banksim.measure.reconciliation import Books


class Window:
    """What moves during one reading."""

    __slots__ = ("_books", "_changed", "_maybe_in", "_maybe_out")

    def __init__(self, books: Books, under_way_in: dict[str, int], under_way_out: dict[str, int]) -> None:
        self._books = books
        self._maybe_in = dict(under_way_in)
        self._maybe_out = dict(under_way_out)
        self._changed: dict[str, tuple[int, int]] = {}

    def begins(self, account_id: str, amount_cents: int) -> None:
        part = self._maybe_in if amount_cents >= 0 else self._maybe_out
        part[account_id] = part.get(account_id, 0) + abs(amount_cents)

    def before_entry(self, account_id: str) -> None:
        """The books of this account are about to change: keep what they said when the reading began."""
        if account_id not in self._changed:
            self._changed[account_id] = self._books.range_of(account_id)

    def range_of(self, account_id: str) -> tuple[int, int]:
        """Lowest and highest balance that this reading may have found, in cents."""
        low, high = self._changed.get(account_id) or self._books.range_of(account_id)
        return low - self._maybe_out.get(account_id, 0), high + self._maybe_in.get(account_id, 0)


class MovementBooks:
    """Hears of every movement on an account, before and after it."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self._in: dict[str, int] = {}  # as bounded as the calls under way
        self._out: dict[str, int] = {}
        self._windows: list[Window] = []
        #: Accounts that moved since this was last emptied, the latest last; None when nobody asks.
        self.moved: dict[str, None] | None = None

    def begins(self, legs: Sequence[tuple[str, int]]) -> None:
        """A movement is about to be sent: account ids and signed cents of its sides."""
        for account_id, amount_cents in legs:
            part = self._in if amount_cents >= 0 else self._out
            part[account_id] = part.get(account_id, 0) + abs(amount_cents)
            for window in self._windows:
                window.begins(account_id, amount_cents)

    def ends(self, legs: Sequence[tuple[str, int]]) -> None:
        """It ended, and its end has been entered."""
        for account_id, amount_cents in legs:
            part = self._in if amount_cents >= 0 else self._out
            left = part[account_id] - abs(amount_cents)
            if left:
                part[account_id] = left
            else:
                del part[account_id]

    def on_movement(self, account_id: str, amount_cents: int, certain: bool) -> None:
        """Signed cents, positive into the account; not certain when the answer never came."""
        for window in self._windows:
            window.before_entry(account_id)
        if account_id not in self.books.opening:
            self.books.open(account_id, 0)  # every account starts empty; its opening deposit is a movement
        if amount_cents >= 0:
            self.books.credited(account_id, amount_cents, certain)
        else:
            self.books.debited(account_id, -amount_cents, certain)
        if self.moved is not None:
            self.moved.pop(account_id, None)
            self.moved[account_id] = None

    @contextmanager
    def reading(self) -> Iterator[Window]:
        """Open from before the request until the answer has been judged."""
        window = Window(self.books, self._in, self._out)
        self._windows.append(window)
        try:
            yield window
        finally:
            self._windows.remove(window)
