"""Carry out what is due: post it, score it, report it.

An `Executor` does so for one arrival, in the greenlet of the user who took it; a `RowExecutor` for
many rows at once, without a greenlet for each.  Whatever happens in between, each ends in exactly one
count: completed, failed, unknown or dropped.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Protocol

import numpy as np

from banksim.activity.block import COLUMNS, Block
from banksim.measure.block import GENUINE, CallBlock, Notes, ResultBlock
from banksim.model import (
    NOT_SCORED,
    NOT_SENT,
    AccountRef,
    At,
    BankReply,
    BankStatus,
    Decision,
    Ended,
    LocalLimit,
    Outcome,
    Planned,
    ScoreReply,
    Transaction,
)
from banksim.run.connect import MAX_CONNECTIONS
from banksim.run.dispatcher import QUEUE_FULL, Arrival
from banksim.run.invariant import MovementBooks
from banksim.run.plan import Parts
from banksim.run.sink import Feed, Sink
from banksim.run.timekeeper import Timekeeper
from banksim.scenario import Scenario
from banksim.targets import AccountDirectory, Targets
from banksim.targets.bastion import SCORE_PATH
from banksim.targets.carrier import BANK_STATUSES, Carrier, Results, http_under, results_of
from banksim.targets.http.lanes import Trip
from banksim.targets.wire_blocks import MOVEMENTS, WireBlocks, movement_codes, two_legged
from banksim.world import Population
from banksim.world.random import Bools, Ints

#: An arrival that could not start for so long is dropped: by then it says nothing about the target any more.
DROP_AFTER_S = 10.0


class Publisher(Protocol):
    """Publishes what the bank has booked, before anything else is done about it."""

    @property
    def wanted(self) -> bool:
        """Whether it has to be told of anything."""

    def transaction(self, planned: Planned, reply: BankReply) -> None:
        """The bank has answered.  Returns at once."""


class Executor:
    """Sends what users take from their queues."""

    def __init__(
        self, targets: Targets, flow: str, sink: Sink, timekeeper: Timekeeper, publisher: Publisher
    ) -> None:
        """``flow`` is the scenario's: "post_then_score" or "score_then_post"."""
        self._bank = targets.bank
        self._detector = targets.detector
        self._score_first = flow == "score_then_post"
        self._sink = sink
        self._timekeeper = timekeeper
        self._publisher = publisher
        self.in_flight = 0

    def perform(self, arrival: Arrival) -> None:
        """Carry out an arrival; returns when it is answered, failed or dropped."""
        started_s = time.monotonic()
        lag_s = max(0.0, started_s - arrival.due_wall_s)
        if lag_s > DROP_AFTER_S:
            reason = f"could not start within {DROP_AFTER_S:.0f} s"
            self._sink.dropped(self._timekeeper.now(), arrival.planned, reason)
            return
        self._sink.started(self._timekeeper.now())
        self.in_flight += 1
        try:
            bank, score = self._send(arrival.planned)
        except BaseException as error:
            # Also GreenletExit: the user was killed while the request was in flight.
            bank, score = BankReply(BankStatus.UNKNOWN, f"{type(error).__name__}: {error}"), NOT_SCORED
            raise
        finally:
            self.in_flight -= 1
            at, service_ms = self._timekeeper.now(), (time.monotonic() - started_s) * 1000.0
            limit = self._first_limit(bank, score)
            if limit is not None:  # its first call was not sent, for a reason of this machine's own
                self._sink.started(at, -1)
                self._sink.dropped(at, arrival.planned, str(limit))
            else:
                outcome = Outcome(bank, score, lag_s * 1000.0, service_ms)
                self._sink.ended(at, (Ended(arrival.planned, outcome),))

    def _first_limit(self, bank: BankReply, score: ScoreReply) -> LocalLimit | None:
        """What this machine ran out of before the first call."""
        bank_first = self._bank is not None and not (self._score_first and self._detector is not None)
        return bank.limit if bank_first else score.limit

    def decline(self, arrival: Arrival, reason: str) -> None:
        """Count an arrival that is not carried out as dropped."""
        self._sink.dropped(self._timekeeper.now(), arrival.planned, reason)

    def _send(self, planned: Planned) -> tuple[BankReply, ScoreReply]:
        tx = planned.transaction
        if not self._score_first:
            return self._post(planned), self._score(tx)
        score = self._score(tx)
        if score.decision is Decision.BLOCK:
            return BankReply(BankStatus.SKIPPED, "declined before posting"), score
        return self._post(planned), score

    def _post(self, planned: Planned) -> BankReply:
        reply = self._bank.post(planned.transaction) if self._bank is not None else NOT_SENT
        self._publisher.transaction(planned, reply)
        return reply

    def _score(self, tx: Transaction) -> ScoreReply:
        return self._detector.score(tx) if self._detector is not None else NOT_SCORED


# -- Rows: many at once, without a greenlet for each ------------------------------------------------
#
#     dispatcher ── put ──► carrier ──(in blocks)  ──► started, called, ended as blocks
#          ▲                   │
#     block of rows            └── dropped, one by one
#
# The requests of rows are made when the first of them is put, and let go of with the block's last one.  Its
# columns stay as long as one of its rows is under way.  What the full clients did for a row they have
# reported and booked themselves; the rest is done here, by the block.

POSTS = tuple(("POST", f"/transactions/{name}") for name in MOVEMENTS)
SCORES = (("POST", SCORE_PATH),)
DEPOSIT, TRANSFER = MOVEMENTS.index("deposit"), MOVEMENTS.index("transfer")
POSTED, UNKNOWN = BANK_STATUSES.index(BankStatus.POSTED), BANK_STATUSES.index(BankStatus.UNKNOWN)
#: Rows whose requests are made at once.
MADE_TOGETHER = 128
#: Of the accounts that a flush moved the last so many are kept for checks of balances.
MOVED_KEPT = 256


class Carried:
    """A block on its way; ``open`` of its rows were put and have not ended."""

    __slots__ = ("_heads", "_wire", "block", "moments", "open", "posts", "rows", "scores")

    def __init__(self, block: Block, wire: WireBlocks) -> None:
        self._wire = wire
        self.block = block.part(0, len(block))  # without what only the planner needs
        self.rows: list[int] = block.row.tolist()
        self.moments: list[float] = block.sim_s.tolist()
        self.posts: list[bytes] = []
        self.scores: list[bytes] = []
        self.open = 0
        self._heads = wire.heads

    def make_until(self, first: int, position: int) -> None:
        """Have the requests of the rows up to this one ready, a few at a time: nothing else waits long.

        Under a new token those from ``first`` on, which were not put yet, are made again.
        """
        heads = self._wire.heads
        if heads != self._heads:
            self._heads = heads
            del self.posts[first:], self.scores[first:]
        while len(self.posts) <= position:
            first = len(self.posts)
            part = self.block.part(first, min(first + MADE_TOGETHER, len(self.block)))
            self.posts += self._wire.posts(part)
            self.scores += self._wire.scores(part)

    def was_put(self) -> None:
        """No more rows of it will come."""
        self.rows, self.moments, self.posts, self.scores = [], [], [], []


class RowExecutor:
    """Sends rows of blocks, and reports what became of them in blocks."""

    def __init__(
        self,
        targets: Targets,
        plan: Parts,
        scenario: Scenario,
        sink: Sink,
        timekeeper: Timekeeper,
        publisher: Publisher,
        entered: MovementBooks,
        feed: Feed,
    ) -> None:
        bank, detector = targets.bank, targets.detector
        self._sink = sink
        self._timekeeper = timekeeper
        self._publisher = publisher
        self._books = RowBooks(entered, targets.directory, plan.world.population)
        self._entered, self._directory = entered, targets.directory
        self._legend = plan.activity.rows.legend
        self._wire = WireBlocks(
            self._legend,
            targets.directory,
            http_under(bank.transport) if bank is not None else None,
            http_under(detector.transport) if detector is not None else None,
        )
        self._putting: Block | None = None
        # Blocks of which rows are under way, and the first row of each; the rows that are.
        self._kept: list[Carried] = []
        self._first_rows: list[int] = []
        self._under_way: set[int] = set()
        self._begun = 0
        self.carrier = Carrier(
            bank,
            detector,
            lambda row: self._planned(row).transaction,
            self._flush,
            score_first=scenario.flow == "score_then_post",
            concurrency=min(MAX_CONNECTIONS, scenario.max_users),
            timeout_s=scenario.connections.timeout_seconds,
            drop_after_s=DROP_AFTER_S,
            booked=self._booked if publisher.wanted else None,
            followed=lambda: feed.followed,
        )
        entered.rows = self

    def put(self, at: At, block: Block, positions: Sequence[int]) -> None:
        """Send these rows of a block, which are due; what there is no room for is dropped."""
        if not positions:
            return
        if block is not self._putting:
            self._keep(block)
        carried = self._kept[-1]
        carried.make_until(positions[0], positions[-1])
        wall_at, put, under_way = self._timekeeper.clock.wall_at, self.carrier.put, self._under_way
        rows, moments, posts, scores = carried.rows, carried.moments, carried.posts, carried.scores
        if self._entered.is_read:
            self._entered.announce(self._books.legs(block, np.array(positions)))
        for position in positions:
            row = rows[position]
            under_way.add(row)
            carried.open += 1
            if not put(row, wall_at(moments[position]), posts[position], scores[position]):
                under_way.discard(row)
                carried.open -= 1
                self._sink.dropped(at, block.planned(position), QUEUE_FULL)

    def legs(self) -> Iterator[tuple[str, int]]:
        """Account ids and signed cents of what is under way."""
        for carried, at in self._places(sorted(self._under_way)):
            yield from self._books.legs(carried.block, at)

    # -- blocks -----------------------------------------------------------------------------------

    def _keep(self, block: Block) -> None:
        if self._kept:
            self._kept[-1].was_put()
        self._forget()
        if self._kept and not self._kept[-1].open:
            del self._kept[-1], self._first_rows[-1]
        self._putting = block
        self._kept.append(Carried(block, self._wire))
        self._first_rows.append(int(block.row[0]))

    def _forget(self) -> None:
        """Let go of the oldest blocks, all of whose rows have ended; not of the last one."""
        done = 0
        while done < len(self._kept) - 1 and not self._kept[done].open:
            done += 1
        del self._kept[:done], self._first_rows[:done]

    def _places(self, rows: list[int]) -> Iterator[tuple[Carried, Ints]]:
        """Where rows, in order, are: a block and positions in it."""
        start = 0
        while start < len(rows):
            which = bisect_right(self._first_rows, rows[start]) - 1
            is_last = which + 1 == len(self._first_rows)
            end = len(rows) if is_last else bisect_left(rows, self._first_rows[which + 1], start)
            carried = self._kept[which]
            yield carried, np.searchsorted(carried.block.row, rows[start:end])
            start = end

    def _planned(self, row: int) -> Planned:
        carried, at = next(self._places([row]))
        return carried.block.planned(int(at[0]))

    # -- what the carrier tells ---------------------------------------------------------------------

    def _booked(self, trip: Trip) -> None:
        self._publisher.transaction(self._planned(trip.row), trip.bank)

    def _flush(self, trips: list[Trip]) -> None:
        at, begun = self._timekeeper.now(), self.carrier.begun
        if begun != self._begun:
            self._sink.started(at, begun - self._begun)
            self._begun = begun
        trips.sort(key=attrgetter("row"))
        for trip in trips:
            if trip.dropped:
                self._sink.dropped(at, self._planned(trip.row), trip.dropped)
        places = list(self._places([trip.row for trip in trips]))
        self._under_way.difference_update([trip.row for trip in trips])
        ended = [trip for trip in trips if not trip.dropped]
        if ended:
            whole = places if len(ended) == len(trips) else list(self._places([trip.row for trip in ended]))
            self._report(at, ended, joined([carried.block.at(where) for carried, where in whole]))
        for carried, where in places:
            carried.open -= len(where)
        self._forget()

    def _report(self, at: At, trips: list[Trip], block: Block) -> None:
        found = results_of(trips)
        movements = movement_codes(two_legged(block, self._directory)).astype(np.int64)
        posted = ~found.bank_counted & (found.bank == POSTED)
        self._books.enter(block, posted, ~found.bank_counted & (found.bank == UNKNOWN))
        scored = ~found.score_counted & ~np.isnan(found.score)
        bank_ms = (found.bank_end_s - found.bank_start_s) * 1000.0
        score_ms = (found.score_end_s - found.score_start_s) * 1000.0
        if posted.any():
            status = np.full(len(block), 200)
            sizes = found.bank_sent_bytes[posted], found.bank_received_bytes[posted]
            self._sink.called(
                at, CallBlock("nexum", POSTS, movements[posted], bank_ms[posted], status[posted], *sizes)
            )
        if scored.any():
            which, status = np.zeros(len(block), np.int64), found.score_status
            sizes = found.score_sent_bytes[scored], found.score_received_bytes[scored]
            self._sink.called(
                at, CallBlock("bastion", SCORES, which[scored], score_ms[scored], status[scored], *sizes)
            )
        self._sink.ended(at, self._result_block(trips, block, found))

    def _result_block(self, trips: list[Trip], block: Block, found: Results) -> ResultBlock:
        return ResultBlock(
            planned=lambda row: block.planned(int(np.searchsorted(block.row, row))),
            personas=self._legend.personas,
            row=block.row,
            sim_s=block.sim_s,
            label=np.full(len(block), GENUINE),
            persona=block.persona.astype(np.int64),
            channel=block.channel.astype(np.int64),
            amount_cents=block.amount_cents,
            due_s=found.due_s,
            start_s=found.start_s,
            end_s=np.maximum(found.end_s, found.start_s),
            status=found.bank.astype(np.int64),
            bank_ms=(found.bank_end_s - found.bank_start_s) * 1000.0,
            decision=found.decision.astype(np.int64),
            score=found.score,
            score_ms=np.array([trip.score.latency_ms for trip in trips]),
            notes=Notes(
                {trip.row: trip.bank.detail for trip in trips if trip.bank.detail},
                {trip.row: trip.score.reasons for trip in trips if trip.score.reasons},
                {trip.row: trip.score.error for trip in trips if trip.score.error},
            ),
            customer=block.customer,
            spent_cents=np.where(movement_codes(block) == DEPOSIT, 0, block.amount_cents),
        )


def joined(blocks: Sequence[Block]) -> Block:
    """The rows of some blocks of one legend, one after the other."""
    if len(blocks) == 1:
        return blocks[0]
    columns = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in COLUMNS}
    return Block(blocks[0].legend, **columns)


NOT_ASKED, NO_PLACE = -1, -2


class RowBooks:
    """Enters what was booked, or may have been, for rows that no full client has entered."""

    def __init__(self, entered: MovementBooks, directory: AccountDirectory, population: Population) -> None:
        self._entered = entered
        self._directory = directory
        self._slots = population.accounts_per_customer + (directory.hot_accounts > 0)
        # The place of each account among the expected balances.
        self._places = np.full(population.size * self._slots, NOT_ASKED, np.int64)

    def legs(self, block: Block, at: Ints | Bools) -> list[tuple[str, int]]:
        """Account ids and signed cents of some rows' movements, as far as the accounts are open."""
        accounts, cents = self._moved(block, at)
        legs = zip(accounts.tolist(), cents.tolist(), strict=True)
        return [(account_id, amount) for key, amount in legs if (account_id := self._id_of(key))]

    def enter(self, block: Block, posted: Bools, unknown: Bools) -> None:
        """The bank acknowledged the rows in ``posted``; it may have booked those in ``unknown``."""
        for row in np.flatnonzero(unknown):  # one by one: both sides of a movement belong together
            self._entered.not_answered(self.legs(block, np.array([row])))
        accounts, cents = self._moved(block, posted)
        if not len(accounts):
            return
        if self._entered.is_read:
            for account_id, _ in self.legs(block, posted):
                self._entered.before_entry(account_id)
        places = self._places[accounts]
        for where in np.flatnonzero(places == NOT_ASKED).tolist():
            places[where] = self._place_of(int(accounts[where]))
        room = places != NO_PLACE
        self._entered.books.overflow += len(places) - int(np.count_nonzero(room))
        self._entered.books.acknowledged(places[room], cents[room])
        if self._entered.moved is not None:
            self._entered.note_moved(map(self._id_of, accounts[-MOVED_KEPT:].tolist()))

    def _moved(self, block: Block, at: Ints | Bools) -> tuple[Ints, Ints]:
        """The accounts, as customer × slots + slot, and the signed cents of each side of the movements."""
        block = two_legged(block, self._directory)
        movement, amount = movement_codes(block)[at], block.amount_cents[at]
        account = block.customer[at] * self._slots + block.account_slot[at]
        paid = np.flatnonzero(movement == TRANSFER)
        other = block.counterparty[at][paid] * self._slots + block.counterparty_slot[at][paid]
        signed = np.where(movement == DEPOSIT, amount, -amount)
        return np.concatenate([account, other]), np.concatenate([signed, amount[paid]])

    def _id_of(self, account: int) -> str:
        return self._directory.account_id(AccountRef(*divmod(account, self._slots))) or ""

    def _place_of(self, account: int) -> int:
        place = self._entered.place_of(self._id_of(account))
        self._places[account] = found = NO_PLACE if place is None else place
        return found
