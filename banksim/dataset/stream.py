"""The labelled stream of a whole scenario, in the order of simulated time, without a target.

    arrivals ──► rows, a block at a time ──┐
    agenda: campaigns, joinings ───────────┼──► bank says yes or no ──► batch
        ▲                                  │
        └── next step, followers ◄── outcome of this step

The same parts drive live runs; here the outcome is known at once, so nothing waits and
nothing is sent.  Arrivals are drawn at the scenario's speed, which decides how many there are: λ is
per wall second, so a simulated hour at 100x holds a hundredth of the transactions.

A step of a campaign falls between rows that are planned already.  Where it leaves them what they are, only
their balances before change; where it does not (a victim who has been robbed spends less), they are
undone and settled again.  So the stream is the same whatever the size of the blocks.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from banksim.activity import Joining
from banksim.activity.block import Block
from banksim.activity.rows import RowPlanner, undo_of
from banksim.fraud import CampaignRun, CampaignSpec
from banksim.model import CREDIT_KINDS, NOT_SCORED, BankReply, BankStatus, Outcome, Planned, Transaction
from banksim.run.plan import Parts
from banksim.world.draws import Bools, Floats, Ints

#: Arrivals drawn together, and rows settled together: fewer are undone when a campaign's step changes them.
BLOCK_ROWS, SETTLED_ROWS = 16_384, 4096

# -- The bank behind a data set: it approves everything that the account covers ---------------------
#
# No detector looks on, so nothing is ever blocked: a campaign goes on until its plan or the
# victim's money ends.  That is the one rule, on purpose: what a detector would have stopped
# depends on the detector, and a data set is there to train one.
#
# Balances are those that honest customers plan with, so whoever was robbed spends less.


APPROVED = Outcome(BankReply(BankStatus.POSTED), NOT_SCORED, lag_ms=0.0, service_ms=0.0)
REFUSED = Outcome(BankReply(BankStatus.REFUSED, "insufficient funds"), NOT_SCORED, lag_ms=0.0, service_ms=0.0)


class RuleBank:
    """Decides on transactions that come between the rows of a block."""

    def __init__(self, planner: RowPlanner) -> None:
        self._planner = planner
        self._state = planner.state

    def book(self, transaction: Transaction, block: Block, at: int, end: int) -> tuple[Outcome, int, int]:
        """Book a transaction just before row ``at`` of the block settled last (valid up to ``end``).

        Returns the outcome, the balance before in cents, and the new end: rows from there on
        would have become something else, so they are undone and their drafts must be settled again.
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

    def entries(self) -> Iterator[Entry]:
        """All of it as objects, in order."""
        dated = iter([*self.dated, (len(self.block) + 1, None)])
        at, entry = next(dated)
        for position in range(len(self.block) + 1):
            while at == position and entry is not None:
                yield entry
                at, entry = next(dated)
            if position < len(self.block):
                outcome = REFUSED if self.block.refused[position] else APPROVED
                yield self.block.planned(position), outcome, int(self.block.balance_before_cents[position])


@dataclass(slots=True)
class Step:
    """A campaign's transaction that waits for its moment."""

    run: CampaignRun
    planned: Planned


Dated = CampaignSpec | Step | Joining | Planned


class Stream:
    """Iterate once, by `batches` or entry by entry.

    ``skipped`` arrivals found no customer who could act; ``impossible`` steps of campaigns were
    to use an account that does not exist (yet).  Neither makes a row.
    """

    def __init__(self, parts: Parts, block_rows: int = BLOCK_ROWS, settled_rows: int = SETTLED_ROWS) -> None:
        self._parts = parts
        self._planner = parts.activity.rows
        self._block_rows, self._settled_rows = block_rows, settled_rows
        self._bank = RuleBank(self._planner)
        self._agenda: list[tuple[float, int, Dated]] = []
        self._sequence = 0
        self._acting: set[int] = set()
        #: Campaigns that ended because their typology raised, and what it said.
        self.faults: dict[str, str] = {}
        #: Transactions the bank refused.
        self.refused = 0
        self.impossible = 0
        self.joined = 0
        self.rejected = 0
        for spec in parts.desk.planned:
            self._add(spec.start_s, spec)
        self._joining: Joining | None = None
        if parts.onboarding is not None:
            self._joining = next(parts.onboarding, None)
            self._open_from_s = np.full(parts.world.population.size, np.inf)
            self._open_from_s[: parts.onboarding.existing] = -np.inf
            self._planner.eligible.has_account = self._has_account_at

    @property
    def skipped(self) -> int:
        return self._planner.unplanned

    def __iter__(self) -> Iterator[Entry]:
        for batch in self.batches():
            yield from batch.entries()

    def batches(self) -> Iterator[Batch]:
        """The stream by the block."""
        row = 0
        while len(moments := self._parts.arrivals.take_many(self._block_rows)):
            self._fetch_joinings(float(moments[-1]))
            drafts = self._planner.draft(row, moments)
            row += len(moments)
            start = 0
            while start < len(drafts):
                end = min(start + self._settled_rows, len(drafts))
                block = self._planner.settle(drafts, start, end)
                batch = self._merged(block, float(block.sim_s[-1]))
                start += len(batch.block)
                yield batch
        self._fetch_joinings(np.inf)
        nothing = self._planner.plan(row, np.zeros(0))
        while self._agenda:
            batch = self._merged(nothing, self._agenda[0][0])
            if len(batch):
                yield batch

    def _merged(self, block: Block, until_s: float) -> Batch:
        """The block with what falls between its rows by the agenda; cut where that changes rows."""
        dated: list[tuple[int, Entry]] = []
        end = len(block)
        while self._agenda and self._agenda[0][0] <= until_s:
            at = int(np.searchsorted(block.sim_s, self._agenda[0][0], side="right"))
            if len(block) and at >= end:
                break
            entry, end = self._dated(block, at, end)
            if entry is not None:
                dated.append((at, entry))
        self.refused += int(np.count_nonzero(block.refused[:end]))
        self.refused += sum(outcome is REFUSED for _, (_, outcome, _) in dated)
        return Batch(block if end == len(block) else block.part(0, end), dated)

    def _has_account_at(self, customers: Ints, sim_s: Floats) -> Bools:
        is_open: Bools = self._open_from_s[customers] <= sim_s
        return is_open

    def is_customer(self, index: int) -> bool:
        """Whether somebody has an account by now, and uses it."""
        onboarding = self._parts.onboarding
        return onboarding is None or index < onboarding.existing or index in self._acting

    def _has_accounts(self, planned: Planned) -> bool:
        """Whether payer and payee are customers yet; a campaign may find nobody who is."""
        tx = planned.transaction
        other = tx.counterparty
        return self.is_customer(tx.account.customer_index) and (
            other is None or self.is_customer(other.customer_index)
        )

    def _dated(self, block: Block, at: int, end: int) -> tuple[Entry | None, int]:
        """Whatever is next in the agenda, before the row ``at``: an entry or none, and the block's end."""
        _, _, entry = heapq.heappop(self._agenda)
        match entry:
            case Step(run, planned):
                outcome, row = REFUSED, None
                if self._has_accounts(planned):
                    outcome, before, end = self._bank.book(planned.transaction, block, at, end)
                    row = planned, outcome, before
                else:
                    self.impossible += 1
                self._go_on(run, run.advance(outcome))
                return row, end
            case CampaignSpec():
                run = self._parts.desk.open(entry, self.is_customer)
                self._go_on(run, run.first())
            case Joining():
                self._join(entry)
            case Planned():  # a first deposit: from now on the customer acts
                self._acting.add(entry.transaction.account.customer_index)
                outcome, before, end = self._bank.book(entry.transaction, block, at, end)
                return (entry, outcome, before), end
        return None, end

    def _go_on(self, run: CampaignRun, planned: Planned | None) -> None:
        if planned is not None:
            self._add(planned.sim_s, Step(run, planned))
            return
        if run.fault:
            self.faults[run.spec.campaign_id] = run.fault
        for spec in self._parts.desk.finished(run, run.ended_s):
            if spec.start_s < self._parts.clock.duration_s:
                self._add(spec.start_s, spec)

    def _join(self, joining: Joining) -> None:
        if not joining.approved:
            self.rejected += 1
            return
        self.joined += 1
        if joining.first_deposit is not None:
            self._add(joining.first_deposit.sim_s, joining.first_deposit)

    def _fetch_joinings(self, until_s: float) -> None:
        """Enter the joinings until a moment into the agenda, so that rows know who has an account."""
        while self._joining is not None and self._joining.sim_s <= until_s:
            self._add(self._joining.sim_s, self._joining)
            if self._joining.first_deposit is not None:
                self._open_from_s[self._joining.customer_index] = self._joining.first_deposit.sim_s
            self._joining = next(self._parts.onboarding, None) if self._parts.onboarding is not None else None

    def _add(self, sim_s: float, entry: Dated) -> None:
        self._sequence += 1
        heapq.heappush(self._agenda, (sim_s, self._sequence, entry))
