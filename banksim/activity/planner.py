"""Genuine transactions for a live run: rows planned ahead of their arrivals, taken when they are due.

    arrivals ahead ─► `RowPlanner.plan` ─► block ─► the rows that are due

Whatever changes before a row is taken (speed, rate, whose customers these are) takes the rest of the block
back, so planning ahead changes nothing but the time it takes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from banksim.activity.block import Block
from banksim.activity.payments import Payment
from banksim.activity.rows import ActivityScenario, RowPlanner
from banksim.model import Transaction
from banksim.schedule.simulation import Rows
from banksim.world import World
from banksim.world.draws import Bools, Floats, Ints

OpenCheck = Callable[[int], bool]
#: Rows planned together: fewest after an arrival without a customer, most when all goes well.
FEWEST_AHEAD, MOST_AHEAD = 16, 512


class Moments(Protocol):
    """Where the moments come from: `schedule.Arrivals`."""

    def peek(self) -> float | None: ...
    def upcoming(self, count: int) -> Floats: ...
    def advance(self, count: int) -> None: ...


class Activity:
    """Plans genuine transactions for one process."""

    def __init__(
        self,
        world: World,
        scenario: ActivityScenario | None,
        shard: int,
        payments: Sequence[Payment],
        arrivals: Moments,
    ) -> None:
        """Rows are planned at ``arrivals``; the other arguments are those of `RowPlanner`."""
        self.rows = RowPlanner(world, scenario, shard, payments)
        self._arrivals = arrivals
        self._block: Block | None = None
        # The block's arrivals, the row of the first and the next of them; the rows found for them, the next.
        self._moments: list[float] = []
        self._first_row, self._next = 0, 0
        self._found: list[int] = []
        self._position = 0
        self._ahead = FEWEST_AHEAD
        #: Arrivals for which no customer was found.
        self.unplanned = 0

    def peek(self) -> float | None:
        """The moment of the next arrival (simulated seconds), None when there is none."""
        if self._next < len(self._moments):
            return self._moments[self._next]
        self.take_back()
        return self._arrivals.peek()

    def take(
        self, until_s: float, most: int, is_open: OpenCheck | None = None, is_mine: OpenCheck | None = None
    ) -> Rows[Block]:
        """The rows of the next arrivals until ``until_s``, at most ``most``; the first in any case.

        ``is_open`` says whether a customer has an account yet (payers and payees),
        ``is_mine`` whether this process may act for a payer.  An arrival has no row when none of
        `row_drafts.MAX_DRAWS` random customers would do.
        """
        block = self._block
        if block is None or self._next == len(self._moments):
            block = self._plan_ahead(is_open, is_mine)
        first = self._next
        self._next = bisect_right(self._moments, until_s, first + 1, min(first + most, len(self._moments)))
        start = self._position
        self._position = bisect_left(self._found, self._first_row + self._next, start)
        missing = (self._next - first) - (self._position - start)
        self.unplanned += missing
        return Rows(block, start, self._position, missing)

    def take_back(self) -> None:
        """Undo what was planned and not taken; the arrivals that were taken are."""
        taken, block = self._next, self._block
        if block is not None:
            if taken < len(self._moments):
                self.rows.take_back(block, self._first_row + taken)
            elif len(block) < taken:
                self._ahead = FEWEST_AHEAD
            else:
                self._ahead = min(2 * self._ahead, MOST_AHEAD)
            self._arrivals.advance(taken)
        self._first_row += taken
        self._block, self._moments, self._next = None, [], 0

    def note(self, transaction: Transaction) -> None:
        """Book a transaction planned elsewhere, such as a first deposit."""
        self.rows.state.book(transaction)

    def _plan_ahead(self, is_open: OpenCheck | None, is_mine: OpenCheck | None) -> Block:
        self.take_back()
        self.rows.eligible.has_account = None if is_open is None else _for_many(is_open)
        self.rows.eligible.is_mine = None if is_mine is None else _for_many(is_mine)
        moments = self._arrivals.upcoming(self._ahead)
        self._block = block = self.rows.plan(self._first_row, moments)
        self._moments, self._found, self._position = moments.tolist(), block.row.tolist(), 0
        return block


def _for_many(check: OpenCheck) -> Callable[..., Bools]:
    """``check`` for columns of customers."""

    def check_all(customers: Ints, *_: Floats) -> Bools:
        return np.fromiter(map(check, customers.tolist()), bool, len(customers))

    return check_all
