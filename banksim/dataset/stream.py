"""The labelled stream of a whole scenario, in the order of simulated time, without a target.

    simulation.take_arrivals() ──► rows, a block at a time ──┐
    simulation.take_dated(): campaigns, joinings ────────────┼──► bank: is it covered? ──► batch
        ▲                                                    │
        └──── answered() ◄── outcome of a campaign's step ◄──┘

The same simulation drives live runs; here the outcome is known at once, so nothing waits and
nothing is sent.  Arrivals are drawn at the scenario's speed, which decides how many there are: λ is
per wall second, so a simulated hour at 100x holds a hundredth of the transactions.

A step of a campaign falls between rows that are planned already.  Mostly only their balances before
change.  Rows that it makes different (a victim who was robbed spends less) are undone and settled
again.  So the stream is the same whatever the size of the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from banksim.activity.block import DECLINES, FUNDS, Block
from banksim.activity.rows import RowPlanner, undo_of
from banksim.model import CREDIT_KINDS, NOT_SCORED, BankReply, BankStatus, Outcome, Planned, Transaction
from banksim.run.plan import Parts
from banksim.schedule.simulation import Begun, Due, Joining, Simulation
from banksim.world.random import Bools, Floats, Ints

#: Arrivals drawn together, and rows settled together: fewer are undone when a campaign's step changes them.
#: The fewer customers, the more of their rows depend on each other (measured with 2,000 and 100,000).
BLOCK_ROWS, SETTLED_ROWS, SETTLED_ROWS_OF_FEW, FEW_CUSTOMERS = 16_384, 4096, 2048, 20_000

# -- The bank behind a data set: it approves everything that the account covers ---------------------
#
# There is no detector, so nothing is ever blocked: a campaign goes on until its plan or the
# victim's money ends.  That is the one rule, on purpose: what a detector would have stopped
# depends on the detector, and a data set is there to train one.
#
# Balances are those that genuine customers plan with, so a victim who was robbed spends less.


APPROVED = Outcome(BankReply(BankStatus.POSTED), NOT_SCORED, lag_ms=0.0, service_ms=0.0)
#: By the code of ``Block.decline``.
OUTCOMES = (
    APPROVED,
    *(Outcome(BankReply(BankStatus.REFUSED, word), NOT_SCORED, 0.0, 0.0) for word in DECLINES[1:]),
)
REFUSED = OUTCOMES[FUNDS]


class RuleBank:
    """Decides on transactions that come between the rows of a block."""

    def __init__(self, planner: RowPlanner) -> None:
        self._planner = planner
        self._state = planner.state

    def book(self, transaction: Transaction, block: Block, at: int, end: int) -> tuple[Outcome, int, int]:
        """Book a transaction just before row ``at`` of the block settled last (valid up to ``end``).

        Returns the outcome, the balance before in cents, and the new end: rows from there on
        would differ, so they are undone and their drafts must be settled again.
        """
        payer, payee = transaction.account, transaction.counterparty
        account, cents = self._state.position(payer), transaction.amount_cents
        is_credit = transaction.kind in CREDIT_KINDS
        before = int(self._state.balances[account]) - _effect(block, account, slice(at, end))
        if not is_credit and cents > before:
            return REFUSED, before, end
        changes = {account: cents if is_credit else -cents}
        if payee is not None and not is_credit:
            changes[self._state.position(payee)] = cents
        new_end = min(self._first_changed(block, at, end, *change) for change in changes.items())
        if new_end < end:
            self._planner.unsettle(block, new_end, end)
        rows = slice(at, new_end)
        for changed, by_cents in changes.items():
            self._state.balances[changed] += by_cents
            block.balance_before_cents[rows][undo_of(block).account[rows] == changed] += by_cents
        return APPROVED, before, new_end

    def _first_changed(self, block: Block, at: int, end: int, account: int, cents: int) -> int:
        """The first row from ``at`` on that ``cents`` more in the account would change, or ``end``."""
        undo, slots = undo_of(block), self._state.slots
        rows = at + np.flatnonzero(block.customer[at:end] == account // slots)
        if not len(rows):
            return end
        is_changed = undo.is_tight[rows]
        if account % slots == 0:  # whether a sum can be afforded hangs on the main account
            left = block.balance_before_cents[rows] + cents
            is_changed |= ~undo.is_credit[rows] & (block.amount_cents[rows] > left)
        changed = rows[is_changed]
        return int(changed[0]) if len(changed) else end


def _effect(block: Block, account: int, rows: slice) -> int:
    """By how many cents some rows changed an account."""
    if rows.start >= rows.stop:
        return 0
    undo = undo_of(block)
    moved = undo.moved[rows]
    own = undo.account[rows] == account
    signed = np.where(undo.is_credit[rows], moved, -moved)[own]
    return int(moved[undo.other[rows] == account].sum()) + int(signed.sum())


#: One row: what happened, what the bank said, and the account's balance before, in cents.
Entry = tuple[Planned, Outcome, int]


@dataclass(slots=True)
class Batch:
    """Some rows of the stream: a block, and ``dated`` entries, each before the row at its position."""

    block: Block
    dated: list[tuple[int, Entry]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.block) + len(self.dated)

    def first(self, count: int) -> Batch:
        """The first ``count`` entries."""
        if count >= len(self):
            return self
        kept = [(at, entry) for number, (at, entry) in enumerate(self.dated) if at + number < count]
        return Batch(self.block.part(0, count - len(kept)), kept)

    def rest(self, count: int) -> Batch:
        """All but the first ``count`` entries."""
        first = self.first(count)
        start = len(first.block)
        kept = [(at - start, entry) for at, entry in self.dated[len(first.dated) :]]
        return Batch(self.block.part(start, len(self.block)), kept)

    def before(self, sim_s: float) -> int:
        """How many entries come before a simulated moment."""
        dated = sum(planned.sim_s < sim_s for _, (planned, _, _) in self.dated)
        return int(np.searchsorted(self.block.sim_s, sim_s)) + dated

    def entries(self) -> Iterator[Entry]:
        """All of it as objects, in order."""
        dated = iter([*self.dated, (len(self.block) + 1, None)])
        at, entry = next(dated)
        for position in range(len(self.block) + 1):
            while at == position and entry is not None:
                yield entry
                at, entry = next(dated)
            if position < len(self.block):
                outcome = OUTCOMES[self.block.decline[position]]
                yield self.block.planned(position), outcome, int(self.block.balance_before_cents[position])


class Stream:
    """Iterate once, by `batches` or entry by entry.

    ``skipped`` arrivals found no customer who could act; ``impossible`` steps of campaigns were
    to use an account that does not exist (yet).  Neither makes a row.
    """

    def __init__(self, parts: Parts, block_rows: int = BLOCK_ROWS, settled_rows: int = 0) -> None:
        """``block_rows`` arrivals are drawn together, ``settled_rows`` (0: what is best) settled together."""
        self._simulation = Simulation(parts)
        self._planner = parts.activity.rows
        is_small = parts.world.population.size < FEW_CUSTOMERS
        self._block_rows = block_rows
        self._settled_rows = settled_rows or (SETTLED_ROWS_OF_FEW if is_small else SETTLED_ROWS)
        self._bank = RuleBank(self._planner)
        #: Transactions the bank refused.
        self.refused = 0
        self.impossible = 0
        self.joined = 0
        self.rejected = 0
        # From when on each customer acts, simulated seconds; only those who join do not from the start.
        self._acts_from_s = np.full(parts.world.population.size, -np.inf)
        if parts.onboarding is not None:
            self._acts_from_s[parts.onboarding.existing :] = np.inf
            self._planner.eligible.has_account = self._act_at

    @property
    def skipped(self) -> int:
        """Arrivals that found no customer."""
        return self._planner.unplanned

    @property
    def faults(self) -> dict[str, str]:
        """Campaigns that ended because their typology raised, and what it raised."""
        return self._simulation.faults

    def __iter__(self) -> Iterator[Entry]:
        for batch in self.batches():
            yield from batch.entries()

    def batches(self) -> Iterator[Batch]:
        """The stream by the block."""
        row = 0
        while len(moments := self._simulation.take_arrivals(self._block_rows)):
            self._look_ahead(float(moments[-1]))
            drafts = self._planner.draft(row, moments)
            row += len(moments)
            start = 0
            while start < len(drafts):
                end = min(start + self._settled_rows, len(drafts))
                block = self._planner.settle(drafts, start, end)
                batch = self._merged(block, float(block.sim_s[-1]))
                start += len(batch.block)
                yield batch
        nothing = self._planner.plan(row, np.zeros(0))
        while (dated_s := self._simulation.peek_dated()) is not None:
            batch = self._merged(nothing, dated_s)
            if len(batch):
                yield batch

    def _merged(self, block: Block, until_s: float) -> Batch:
        """The block with the dated events between its rows; it ends early where those change rows.

        An arrival and a dated event at the same moment: the arrival comes first.
        """
        dated: list[tuple[int, Entry]] = []
        end = len(block)
        while (dated_s := self._simulation.peek_dated()) is not None and dated_s <= until_s:
            at = int(np.searchsorted(block.sim_s, dated_s, side="right"))
            if len(block) and at >= end:
                break
            entry, end = self._dated(block, at, end)
            if entry is not None:
                dated.append((at, entry))
        self.refused += int(np.count_nonzero(block.refused[:end]))
        self.refused += sum(outcome is REFUSED for _, (_, outcome, _) in dated)
        return Batch(block if end == len(block) else block.part(0, end), dated)

    def _dated(self, block: Block, at: int, end: int) -> tuple[Entry | None, int]:
        """The next dated event, before the row ``at``: its entry, if it makes one, and the block's end."""
        event = self._simulation.take_dated(note=False)
        if isinstance(event, Begun):
            return None, end
        if not isinstance(event, Due):
            self._join(event)
            return None, end
        planned = event.planned
        if event.missing:
            self.impossible += 1
            self._simulation.answered(planned, REFUSED)
            return None, end
        outcome, before, end = self._bank.book(planned.transaction, block, at, end)
        self._simulation.answered(planned, outcome)
        return (planned, outcome, before), end

    def _join(self, joining: Joining) -> None:
        if joining.approved:
            self.joined += 1
            self._simulation.joined(joining)
        else:
            self.rejected += 1

    def _look_ahead(self, until_s: float) -> None:
        """Have rows up to ``until_s`` know who acts when: customers do from their first deposit on."""
        for joining in self._simulation.joinings_until(until_s):
            if joining.first_deposit is not None:
                self._acts_from_s[joining.customer_index] = joining.first_deposit.sim_s

    def _act_at(self, customers: Ints, sim_s: Floats) -> Bools:
        act: Bools = self._acts_from_s[customers] < sim_s
        return act
