"""Genuine transactions one at a time, for a live run: rows planned ahead, handed out when they are due.

    arrivals ahead ─► `RowPlanner.plan` ─► block ─► one `Planned` for each arrival

Whatever changes before a row is handed out (speed, rate, who may act) takes the rest of the block back, so
planning ahead changes nothing but the time it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from banksim.activity.block import Block
from banksim.activity.payments import Payment
from banksim.activity.rows import ActivityScenario, RowPlanner
from banksim.model import Planned, Transaction
from banksim.world import World
from banksim.world.draws import Bools, Floats, Ints

OpenCheck = Callable[[int], bool]
#: Rows planned together: fewest after an arrival without a customer, most when all goes well.
FEWEST_AHEAD, MOST_AHEAD = 16, 256


class Activity:
    """Plans genuine transactions for one process."""

    def __init__(
        self,
        world: World,
        scenario: ActivityScenario | None = None,
        shard: int = 0,
        payments: Sequence[Payment] = (),
        upcoming: Callable[[int], Floats] | None = None,
    ) -> None:
        """``upcoming`` tells the moments of so many arrivals that were not taken yet; without
        it every arrival is planned by itself.  The other arguments are those of `RowPlanner`.
        """
        self.rows = RowPlanner(world, scenario, shard, payments)
        self._upcoming = upcoming
        self._block: Block | None = None
        self._position = 0
        # The arrivals of the block, the row of the first of them, and the row that is due next.
        self._moments: Floats = np.zeros(0)
        self._first_row, self._next_row = 0, 0
        self._ahead = FEWEST_AHEAD
        #: Arrivals for which no customer was found.
        self.unplanned = 0

    def plan(
        self, sim_s: float, is_open: OpenCheck | None = None, is_mine: OpenCheck | None = None
    ) -> Planned | None:
        """The genuine transaction for an arrival at ``sim_s`` (simulated seconds, in order).

        ``is_open`` says whether a customer has an account yet (payers and payees),
        ``is_mine`` whether this process may act for a payer.  None when none of
        `row_drafts.MAX_DRAWS` random customers would do; those are counted in ``unplanned``.
        """
        among = self._next_row - self._first_row
        is_ready = among < len(self._moments) and self._moments[among] == sim_s
        if not is_ready or self._has_lost_its_customer(is_mine):
            self._plan_ahead(sim_s, is_open, is_mine)
        row, block, position = self._next_row, self._block, self._position
        self._next_row += 1
        if block is None or not self._is_at(row):
            self.unplanned += 1
            return None
        self._position += 1
        return block.planned(position)

    def note(self, transaction: Transaction) -> None:
        """Book a transaction planned elsewhere, such as a first deposit."""
        self.rows.state.book(transaction)

    def _is_at(self, row: int) -> bool:
        """Whether ``row`` is the next of the block; it is not there when it found no customer."""
        block, position = self._block, self._position
        return block is not None and position < len(block) and int(block.row[position]) == row

    def _has_lost_its_customer(self, is_mine: OpenCheck | None) -> bool:
        """Whether another process acts by now for the customer of the row that is due."""
        if is_mine is None or self._block is None or not self._is_at(self._next_row):
            return False
        return not is_mine(int(self._block.customer[self._position]))

    def _plan_ahead(self, sim_s: float, is_open: OpenCheck | None, is_mine: OpenCheck | None) -> None:
        """Take back what is left of the block, and plan the arrival at ``sim_s`` and those after it."""
        if self._block is not None:
            self.rows.take_back(self._block, self._next_row)
            is_whole = len(self._block) == len(self._moments)
            self._ahead = min(2 * self._ahead, MOST_AHEAD) if is_whole else FEWEST_AHEAD
        self.rows.eligible.has_account = None if is_open is None else _for_many(is_open)
        self.rows.eligible.is_mine = None if is_mine is None else _for_many(is_mine)
        ahead = np.zeros(0) if self._upcoming is None else self._upcoming(self._ahead)
        self._moments = np.concatenate([[sim_s], ahead[ahead > sim_s]])
        self._block = self.rows.plan(self._next_row, self._moments)
        self._first_row, self._position = self._next_row, 0


def _for_many(check: OpenCheck) -> Callable[..., Bools]:
    """``check`` for columns of customers."""

    def check_all(customers: Ints, *_: Floats) -> Bools:
        return np.fromiter(map(check, customers.tolist()), bool, len(customers))

    return check_all
