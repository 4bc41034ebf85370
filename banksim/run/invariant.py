"""The running invariant: while money moves, every account holds what its movements allow.

As in Jepsen's bank test money only moves between known hands, so at any moment a balance,
and the sum over any set of accounts, must be what was acknowledged, give or take what is
in flight or was never answered.  A bank that loses, doubles or invents
money is thereby found while the run goes on, minutes or hours before the last comparison.

A stand-in returns a page of balances in one answer; a live bank is asked for a few accounts a
round, those that moved last first.  An account outside of its range is read again, for as long as the
scenario allows, before it counts: a bank may answer readings from a copy that lags behind.

Readings are kept out of the load's figures.  Not handled: several processes, none of which
knows what the others have in flight.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Protocol

import gevent

from banksim.measure.books import BalanceChecks, ExpectedBalances, Fault
from banksim.measure.figures import BalanceRow, BalanceTotal
from banksim.report.console import exact
from banksim.run.timekeeper import Timekeeper
from banksim.scenario.models import Invariant
from banksim.targets import NexumClient, Request, Transport

logger = logging.getLogger(__name__)

# -- Records client movements in the expected balances, and tracks those in flight ------------------
#
# The books say what the bank acknowledged.  To judge a balance that is read *while* movements
# go on, one must also know which of them may or may not be in it: those in flight when the
# reading began, and those that began during it.  A `Window` is open for one reading:
#
#             reading ├──────────────┤
#       ──acknowledged┤                      in the balance for certain
#           ├─────────┼────┤                 may be in it
#                     ├─────────────┼───┤    may be in it
#       ──unknown──────────────              may be in it, for ever
#
#     certain before − unknown out − in flight out ≤ balance ≤ certain before + unknown in + in flight in


class Window:
    """What moves during one reading."""

    __slots__ = ("_books", "_changed", "_maybe_in", "_maybe_out")

    def __init__(
        self, books: ExpectedBalances, under_way_in: dict[str, int], under_way_out: dict[str, int]
    ) -> None:
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


class RowsUnderWay(Protocol):
    """Movements that are entered by the block."""

    def legs(self) -> Iterable[tuple[str, int]]:
        """Account ids and signed cents of those that were or will be sent and are not entered."""


class NoRows:
    def legs(self) -> Iterable[tuple[str, int]]:
        return ()


class MovementBooks:
    """Is notified of every movement on an account, before and after it."""

    def __init__(self, books: ExpectedBalances) -> None:
        self.books = books
        self._in: dict[str, int] = {}  # as bounded as the calls in flight
        self._out: dict[str, int] = {}
        self._windows: list[Window] = []
        self.rows: RowsUnderWay = NoRows()
        #: Accounts that moved since this was last emptied, the latest last; None where this is not asked for.
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

    @property
    def is_read(self) -> bool:
        """Whether a reading goes on, so that each movement has to be told of."""
        return bool(self._windows)

    def announce(self, legs: Iterable[tuple[str, int]]) -> None:
        """Rows are about to be sent: account ids and signed cents of their sides."""
        for account_id, amount_cents in legs:
            for window in self._windows:
                window.begins(account_id, amount_cents)

    def before_entry(self, account_id: str) -> None:
        """The books of an account are about to change."""
        for window in self._windows:
            window.before_entry(account_id)

    def place_of(self, account_id: str) -> int | None:
        """The account's place in the books; None when there is no room for it."""
        self.books.open(account_id, 0)  # every account starts empty; its opening deposit is a movement
        return self.books.place_of(account_id)

    def note_moved(self, account_ids: Iterable[str]) -> None:
        """These accounts moved, the latest last."""
        if self.moved is not None:
            for account_id in account_ids:
                self.moved.pop(account_id, None)
                self.moved[account_id] = None

    def on_movement(self, account_id: str, amount_cents: int, certain: bool) -> None:
        """Signed cents, positive into the account; not certain when the answer never came."""
        self.before_entry(account_id)
        if account_id not in self.books.opening:
            self.books.open(account_id, 0)
        if amount_cents >= 0:
            self.books.credited(account_id, amount_cents, certain)
        else:
            self.books.debited(account_id, -amount_cents, certain)
        self.note_moved((account_id,))

    def not_answered(self, legs: Sequence[tuple[str, int]]) -> None:
        """The answer to a movement never came: its sides, of which the bank booked both or neither."""
        for account_id, _ in legs:
            for window in self._windows:
                window.before_entry(account_id)
            if account_id not in self.books.opening:
                self.books.open(account_id, 0)
            if self.moved is not None:
                self.moved.pop(account_id, None)
                self.moved[account_id] = None
        self.books.not_answered(tuple(legs))

    @contextmanager
    def reading(self) -> Iterator[Window]:
        """Open from before the request until the answer has been judged."""
        window = Window(self.books, self._in, self._out)
        for account_id, amount_cents in self.rows.legs():
            window.begins(account_id, amount_cents)
        self._windows.append(window)
        try:
            yield window
        finally:
            self._windows.remove(window)


BALANCES = "/ledger/balances"
PAGE = 1_000
#: Pages read from a stand-in in one round; the next round goes on where this one ended.
PAGES_PER_ROUND = 5
#: Wall seconds between two looks at an account that did not agree; there are at least two.
SECOND_LOOK_S = 0.5
#: Second looks in one round; a bank that is wrong everywhere is known after these.
MAX_SECOND_LOOKS = 20


class BalanceWatch:
    """Reads balances every now and then, until it is killed."""

    name = "balances"

    def __init__(
        self,
        settings: Invariant,
        books: MovementBooks,
        bank: NexumClient,
        ledger: Transport | None,
        checks: BalanceChecks,
        timekeeper: Timekeeper,
        currency: str,
    ) -> None:
        """``ledger``: a way to a stand-in's books."""
        self._settings = settings
        self._books = books
        self._bank = bank
        self._ledger = ledger
        self._checks = checks
        self._timekeeper = timekeeper
        self._currency = currency
        if ledger is None:
            books.moved = {}
        self._after = ""
        self._found: set[str] = set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Balances are read while this lasts."""
        reading = gevent.spawn(self.run)
        try:
            yield
        finally:
            reading.kill()

    def figures(self) -> None:
        """What it finds is counted with the run's other checks of balances."""

    def run(self) -> None:
        while True:
            gevent.sleep(self._settings.every_seconds)
            try:
                self.check()
            except Exception as error:  # a check that ends must not look as if all agreed
                self._checks.unread += 1
                if self._checks.unread in (1, 10, 100):
                    logger.exception("Balances could not be checked: %s", type(error).__name__)

    def check(self) -> None:
        """One round."""
        suspects = self._read_pages(self._ledger) if self._ledger is not None else self._read_moved()
        self._checks.rounds += 1
        suspects = suspects[:MAX_SECOND_LOOKS]
        looks = max(1, round(self._settings.settle_seconds / SECOND_LOOK_S))
        for look in range(looks):
            if suspects:
                gevent.sleep(SECOND_LOOK_S)
                suspects = [name for name in suspects if not self._agrees(name, look == looks - 1)]

    # -- reading ----------------------------------------------------------------------------

    def _read_pages(self, ledger: Transport) -> list[str]:
        """Accounts that do not agree at first sight."""
        suspects: list[str] = []
        total = {"accounts": 0, "expected_low_cents": 0, "expected_high_cents": 0, "actual_cents": 0}
        for _ in range(PAGES_PER_ROUND):
            with self._books.reading() as window:
                query = {"after": self._after, "limit": str(PAGE)}
                reply = ledger.send(Request("GET", BALANCES, BALANCES, query=query))
                if reply.status != 200 or reply.error:
                    self._checks.unread += 1
                    return suspects
                for account_id, cents in reply.data["balances"].items():
                    if account_id in self._books.books.opening:
                        suspects += self._judge(account_id, cents, window.range_of(account_id), total)
            self._after = reply.data["next"] or ""
            if not self._after:
                break
        self._checks.total = BalanceTotal(**total)
        return suspects

    def _read_moved(self) -> list[str]:
        moved = self._books.moved or {}
        wanted = list(islice(reversed(moved), self._settings.accounts))
        moved.clear()
        suspects: list[str] = []
        total = {"accounts": 0, "expected_low_cents": 0, "expected_high_cents": 0, "actual_cents": 0}
        for account_id in wanted:
            cents, allowed, _ = self._read(account_id)
            if cents is not None:
                suspects += self._judge(account_id, cents, allowed, total)
        self._checks.total = BalanceTotal(**total)
        return suspects

    def _read(self, account_id: str) -> tuple[int | None, tuple[int, int], bool]:
        """(cents or None, what is allowed, whether the bank says that there is no such account)."""
        with self._books.reading() as window:
            reply = self._bank.read_balance(account_id, told=False)
            allowed = window.range_of(account_id)
        if reply.gone:
            return 0, allowed, True
        if reply.cents is None:
            self._checks.unread += 1
        return reply.cents, allowed, False

    # -- judging ----------------------------------------------------------------------------

    def _judge(
        self, account_id: str, cents: int, allowed: tuple[int, int], total: dict[str, int]
    ) -> list[str]:
        low, high = allowed
        self._checks.readings += 1
        total["accounts"] += 1
        total["expected_low_cents"] += low
        total["expected_high_cents"] += high
        total["actual_cents"] += cents
        return [] if low <= cents <= high or account_id in self._found else [account_id]

    def _agrees(self, account_id: str, last: bool) -> bool:
        """Whether an account agrees now, or cannot be read; at the last look it is a violation else."""
        cents, (low, high), gone = self._read(account_id)
        if cents is None:
            return True
        if low <= cents <= high:
            self._checks.late += 1
            return True
        if not last:
            return False
        self._found.add(account_id)
        wall_s, sim_s = self._timekeeper.now()
        difference = cents - (high if cents > high else low)
        fault = Fault.GONE if gone else self._books.books.fault_of(account_id, difference)
        row = BalanceRow(account_id, low, high, cents, difference, str(fault), sim_s, wall_s)
        self._checks.violation(row)
        if self._checks.violations <= MAX_SECOND_LOOKS:
            logger.error(
                "Balances: account %s holds %s, %s off what the bank acknowledged (%s)",
                account_id,
                exact(cents, self._currency),
                exact(difference, self._currency),
                fault,
            )
        return False
