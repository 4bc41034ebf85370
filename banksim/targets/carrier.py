"""Carries rows of a plan to the bank and the detector, thousands a second, without a greenlet for each.

    put ─► lanes to the bank ─► lanes to the detector ─► finished ──(every 20 ms)──► `flush`
                 │                       │
                 └── anything unusual ───┴──► greenlets that run the full clients ──► (and on)

With ``score_first`` the other way round, and what the detector blocks is not posted.  A target
that is not reached over plain HTTP (inside this process, over TLS, scored in batches) is asked
by the full clients, so every run may use this.

Bounds: ``max_trips`` rows are on their way or waiting (`put` refuses more), ``concurrency``
connections a target and as many greenlets for the full clients.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gevent
import numpy as np
import orjson
from gevent import GreenletExit
from numpy.typing import NDArray

from banksim.model import (
    BankReply,
    BankStatus,
    Decision,
    Outcome,
    ScoreReply,
    Transaction,
)
from banksim.targets.bastion import BastionClient, is_usable, other_transaction, read_answer
from banksim.targets.calls import GuardedTransport, Transport
from banksim.targets.http.client import HttpBegun
from banksim.targets.http.connection import HttpTransport
from banksim.targets.http.lanes import Lanes, Trip
from banksim.targets.nexum import NexumClient
from banksim.targets.nexum_wire import is_completed

_log = logging.getLogger(__name__)

#: Wall seconds between two looks for finished trips; they are flushed at once while somebody follows.
TICK_S = 0.02
#: Otherwise so many are flushed together, or what there is after so many ticks: by the block is cheaper.
MANY, TICKS = 256, 5
#: Most rows that are in flight or waiting.
MAX_TRIPS = 20_000
#: What a posted movement answers; its latency is the trip's.
POSTED = BankReply(BankStatus.POSTED)
DECLINED = BankReply(BankStatus.SKIPPED, "declined before posting")
CUT_OFF = "the run ended before its answer"
#: Why what was due and not sent by the end of a run counts as dropped.
ENDED_FIRST = "the run ended first"

#: What the codes in `Results` stand for.
BANK_STATUSES: tuple[BankStatus, ...] = tuple(BankStatus)
DECISIONS: tuple[Decision, ...] = tuple(Decision)
_BANK_CODES = {status: code for code, status in enumerate(BANK_STATUSES)}
_DECISION_CODES = {decision: code for code, decision in enumerate(DECISIONS)}

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Work = tuple["_Half", Trip, HttpBegun | None]


def http_under(transport: Transport) -> HttpTransport | None:
    """The HTTP transport behind a circuit breaker; None where the system is not reached over HTTP."""
    inner = transport.inner if isinstance(transport, GuardedTransport) else transport
    return inner if isinstance(inner, HttpTransport) else None


class _Half(Lanes):
    """One target's half of every trip."""

    def __init__(self, carrier: Carrier, transport: Transport, concurrency: int) -> None:
        breaker = transport.breaker if isinstance(transport, GuardedTransport) else None
        self._carrier = carrier
        super().__init__(http_under(transport), breaker, concurrency, carrier.drop_after_s)

    def begin(self, trip: Trip, now_s: float) -> None:
        trip.start_s = trip.began_s = now_s
        self._carrier.begun += 1

    def hand_over(self, trip: Trip, begun: HttpBegun | None) -> None:
        self._carrier.hand_over(self, trip, begun)

    def drop(self, trip: Trip) -> None:
        self._carrier.drop(trip, self._carrier.too_late)

    def run_client(self, trip: Trip, begun: HttpBegun | None) -> None:
        """Have the full client make or finish the call."""
        raise NotImplementedError

    def cut_off(self, trip: Trip, sent: bool) -> None:
        """The run ended before the answer came."""
        raise NotImplementedError


class _BankHalf(_Half):
    def __init__(self, carrier: Carrier, client: NexumClient, concurrency: int) -> None:
        self._client = client
        super().__init__(carrier, client.transport, concurrency)

    def bytes_of(self, trip: Trip) -> bytes:
        return trip.post_bytes

    def judge(self, trip: Trip, status: int, body: bytes, received: int, now_s: float) -> bool:
        if status != 200:
            return False
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            return False
        if not is_completed(status, data):
            return False
        trip.bank = POSTED
        trip.bank_start_s, trip.bank_end_s, trip.bank_received = trip.began_s, now_s, received
        self._carrier.after_bank(trip, now_s)
        return True

    def run_client(self, trip: Trip, begun: HttpBegun | None) -> None:
        trip.bank_by_client = True
        trip.bank_start_s = trip.began_s
        try:
            trip.bank = self._client.post(self._carrier.transaction(trip.row), begun)
        except BaseException as error:
            trip.bank = BankReply(BankStatus.UNKNOWN, f"{type(error).__name__}: {error}")
            raise
        finally:
            trip.bank_end_s = time.monotonic()
        if trip.bank.limit is not None and self is self._carrier.first:
            self._carrier.drop(trip, trip.bank.limit)
        else:
            self._carrier.after_bank(trip, trip.bank_end_s)

    def cut_off(self, trip: Trip, sent: bool) -> None:
        trip.bank = BankReply(BankStatus.UNKNOWN if sent else BankStatus.FAILED, CUT_OFF)
        trip.bank_start_s, trip.bank_end_s = trip.began_s, time.monotonic()


class _DetectorHalf(_Half):
    def __init__(self, carrier: Carrier, client: BastionClient, concurrency: int) -> None:
        self._client = client
        super().__init__(carrier, client.transport, concurrency)
        self.direct = self.direct and not client.batches

    def bytes_of(self, trip: Trip) -> bytes:
        return trip.score_bytes

    def judge(self, trip: Trip, status: int, body: bytes, received: int, now_s: float) -> bool:
        if status not in (200, 201):
            return False
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            return False
        score = read_answer(data, (now_s - trip.began_s) * 1000.0)
        if not is_usable(score) or other_transaction(data, trip.score_bytes):
            return False
        trip.score = score
        trip.score_start_s, trip.score_end_s, trip.score_received = trip.began_s, now_s, received
        trip.score_status = status
        self._carrier.after_score(trip, now_s)
        return True

    def run_client(self, trip: Trip, begun: HttpBegun | None) -> None:
        trip.score_by_client = True
        trip.score_start_s = trip.began_s
        try:
            trip.score = self._client.score(self._carrier.transaction(trip.row), begun)
        except BaseException as error:
            trip.score = ScoreReply(None, Decision.NONE, error=f"{type(error).__name__}: {error}")
            raise
        finally:
            trip.score_end_s = time.monotonic()
        if trip.score.limit is not None and self is self._carrier.first:
            self._carrier.drop(trip, trip.score.limit)
        else:
            self._carrier.after_score(trip, trip.score_end_s)

    def cut_off(self, trip: Trip, sent: bool) -> None:  # noqa: ARG002  a score moves no money
        trip.score = ScoreReply(None, Decision.NONE, error=CUT_OFF)
        trip.score_start_s, trip.score_end_s = trip.began_s, time.monotonic()


class Carrier:
    """Give it rows by `put`; it gives every one of them back through ``flush``, once.

    ``transaction`` makes the transaction of a row that is on its way, for the full clients.
    ``flush`` gets finished trips in the order in which they ended, and may not wait; it is also called,
    with none, when others have begun.  ``booked`` is called when the bank has answered for a trip, or
    there is no bank to ask, before anything else is done about it.  ``followed``: is somebody watching who
    must not wait for a block to fill?
    """

    def __init__(
        self,
        bank: NexumClient | None,
        detector: BastionClient | None,
        transaction: Callable[[int], Transaction],
        flush: Callable[[list[Trip]], None],
        *,
        score_first: bool = False,
        concurrency: int = 200,
        timeout_s: float = 30.0,
        drop_after_s: float = 10.0,
        max_trips: int = MAX_TRIPS,
        booked: Callable[[Trip], None] | None = None,
        followed: Callable[[], bool] = lambda: False,
    ) -> None:
        self.transaction = transaction
        self.drop_after_s = drop_after_s
        self.too_late = f"could not start within {drop_after_s:.0f} s"
        #: Rows that were put and not given back; and all that have begun, without those dropped after all.
        self.in_flight = self.begun = 0
        self._begun_given = 0
        self._booked = booked
        self._flush = flush
        self._client = bank
        self._score_first = score_first
        self._concurrency = max(1, concurrency)
        self._timeout_s = timeout_s
        self._max_trips = max_trips
        self._finished: list[Trip] = []
        self._slow: deque[Work] = deque()  # at most one per trip
        self._workers: set[gevent.Greenlet] = set()
        self._bank = None if bank is None else _BankHalf(self, bank, self._concurrency)
        self._detector = None if detector is None else _DetectorHalf(self, detector, self._concurrency)
        self._halves: list[_Half] = [half for half in (self._bank, self._detector) if half is not None]
        self.first = self._halves[-1 if score_first else 0] if self._halves else None
        self._followed = followed
        self._ticking = gevent.spawn(self._tick)

    @property
    def room(self) -> int:
        """How many more rows `put` takes now."""
        return self._max_trips - self.in_flight

    @property
    def waiting(self) -> int:
        """Rows for which no connection is free."""
        return sum(half.waiting for half in self._halves) + len(self._slow)

    def put(self, row: int, due_s: float, post_bytes: bytes, score_bytes: bytes) -> bool:
        """Send a row, due at ``due_s`` of `time.monotonic`.  False when there is no room for it."""
        if self.in_flight >= self._max_trips:
            return False
        self.in_flight += 1
        trip = Trip(row, due_s, post_bytes, score_bytes)
        now_s = time.monotonic()
        if now_s - due_s > self.drop_after_s:
            self.drop(trip, self.too_late)
            return True
        if self._bank is None and not self._score_first and self._booked is not None:
            self._booked(trip)
        if self.first is not None:
            self.first.submit(trip, now_s)
        else:
            trip.start_s = now_s
            self.begun += 1
            self.finish(trip)
        return True

    def drain(self, within_s: float) -> None:
        """Wait until every row has ended, at most so long."""
        until_s = time.monotonic() + within_s
        while self.in_flight and time.monotonic() < until_s:
            self._give()
            gevent.sleep(TICK_S)

    def drop_waiting(self, reason: str) -> None:
        """Drop what has not begun."""
        unsent = [trip for half in self._halves for trip in half.take_unsent()]
        unsent += [trip for _, trip, _ in self._slow if trip.start_s == 0.0]
        self._slow = deque(work for work in self._slow if work[1].start_s)
        for trip in unsent:
            self.drop(trip, reason)

    def close(self) -> None:
        """End what is still on its way (what may have been sent is unknown), flush, and disconnect."""
        self.drop_waiting(ENDED_FIRST)
        gevent.killall(list(self._workers), block=True)
        for half in self._halves:
            for trip, sent in half.close():
                half.cut_off(trip, sent)
                self.finish(trip)
        while self._slow:
            half, trip, begun = self._slow.popleft()
            half.cut_off(trip, begun is not None and begun.sent)
            self.finish(trip)
        self._ticking.kill()
        self._give()

    # The way of a trip

    def after_bank(self, trip: Trip, now_s: float) -> None:
        if self._booked is not None:
            self._booked(trip)
        if self._detector is None or self._score_first:
            self.finish(trip)
        else:
            trip.began_s = now_s
            self._detector.submit(trip, now_s)

    def after_score(self, trip: Trip, now_s: float) -> None:
        if not self._score_first:
            self.finish(trip)
        elif trip.score.decision is Decision.BLOCK:
            trip.bank = DECLINED
            self.finish(trip)
        elif self._bank is None:
            if self._booked is not None:
                self._booked(trip)
            self.finish(trip)
        else:
            trip.began_s = now_s
            self._bank.submit(trip, now_s)

    def drop(self, trip: Trip, reason: str) -> None:
        """Its first call was not sent, for a reason of this process's own."""
        trip.dropped = str(reason)
        if trip.start_s and not trip.done:
            self.begun -= 1
        self.finish(trip)

    def finish(self, trip: Trip) -> None:
        if not trip.done:
            trip.done = True
            self._finished.append(trip)

    # The full clients

    def hand_over(self, half: _Half, trip: Trip, begun: HttpBegun | None) -> None:
        self._slow.append((half, trip, begun))
        if len(self._workers) < self._concurrency:
            self._workers.add(gevent.spawn(self._work))

    def _work(self) -> None:
        try:
            while self._slow:
                self._run_client(*self._slow.popleft())
        finally:
            self._workers.discard(gevent.getcurrent())

    def _run_client(self, half: _Half, trip: Trip, begun: HttpBegun | None) -> None:
        if trip.start_s == 0.0:
            now_s = time.monotonic()
            if now_s - trip.due_s > self.drop_after_s:
                half.drop(trip)
                return
            half.begin(trip, now_s)
        try:
            half.run_client(trip, begun)
        except GreenletExit:
            self.finish(trip)
            raise
        except Exception:  # its trip says what; the others go on
            _log.exception("A call to %s failed on this side", type(half).__name__)
            self.finish(trip)

    # Once in a while

    def _tick(self) -> None:
        ticks = 0
        while True:
            gevent.sleep(TICK_S)
            ticks += 1
            if len(self._finished) >= MANY or ticks % TICKS == 0 or self._followed():
                self._give()
            if ticks % TICKS == 0:
                now_s = time.monotonic()
                for half in self._halves:
                    half.expire(now_s, self._timeout_s)
                if self._client is not None and self._client.login_ends_soon:
                    gevent.spawn(self._client.log_in)

    def _give(self) -> None:
        if self._finished or self.begun != self._begun_given:
            finished, self._finished = self._finished, []
            self.in_flight -= len(finished)
            self._begun_given = self.begun
            try:
                self._flush(finished)
            except Exception:
                _log.exception("%d finished transactions could not be counted", len(finished))


@dataclass(frozen=True, slots=True)
class Results:
    """Finished trips as equally long columns, in the order in which they ended.

    Seconds are of `time.monotonic`, 0.0 where a target was not asked or a row was dropped.  ``bank`` and
    ``decision`` are places in `BANK_STATUSES` and `DECISIONS`, ``score`` is NaN where there is none.
    ``*_counted`` marks calls that the full client has reported to the observer and the books itself;
    of the others the bytes sent and received are known.
    """

    row: Ints
    due_s: Floats
    start_s: Floats
    end_s: Floats
    bank: NDArray[np.int8]
    bank_start_s: Floats
    bank_end_s: Floats
    bank_counted: NDArray[np.bool_]
    bank_sent_bytes: Ints
    bank_received_bytes: Ints
    score: Floats
    decision: NDArray[np.int8]
    score_start_s: Floats
    score_end_s: Floats
    score_status: Ints
    score_counted: NDArray[np.bool_]
    score_sent_bytes: Ints
    score_received_bytes: Ints
    dropped: NDArray[np.bool_]
    trips: Sequence[Trip]


def results_of(trips: Sequence[Trip]) -> Results:
    """The columns that are counted; texts stay with ``trips``."""
    bank_end = np.array([trip.bank_end_s for trip in trips], np.float64)
    score_end = np.array([trip.score_end_s for trip in trips], np.float64)
    scores = [trip.score for trip in trips]
    return Results(
        row=np.array([trip.row for trip in trips], np.int64),
        due_s=np.array([trip.due_s for trip in trips], np.float64),
        start_s=np.array([trip.start_s for trip in trips], np.float64),
        end_s=np.maximum(bank_end, score_end),
        bank=np.array(
            [0 if trip.bank is POSTED else _BANK_CODES[trip.bank.status] for trip in trips], np.int8
        ),
        bank_start_s=np.array([trip.bank_start_s for trip in trips], np.float64),
        bank_end_s=bank_end,
        bank_counted=np.array([trip.bank_by_client for trip in trips], np.bool_),
        bank_sent_bytes=np.array([len(trip.post_bytes) for trip in trips], np.int64),
        bank_received_bytes=np.array([trip.bank_received for trip in trips], np.int64),
        score=np.array([score.score for score in scores], np.float64),  # None becomes NaN
        decision=np.array([_DECISION_CODES[score.decision] for score in scores], np.int8),
        score_start_s=np.array([trip.score_start_s for trip in trips], np.float64),
        score_end_s=score_end,
        score_status=np.array([trip.score_status for trip in trips], np.int64),
        score_counted=np.array([trip.score_by_client for trip in trips], np.bool_),
        score_sent_bytes=np.array([len(trip.score_bytes) for trip in trips], np.int64),
        score_received_bytes=np.array([trip.score_received for trip in trips], np.int64),
        dropped=np.array([bool(trip.dropped) for trip in trips], np.bool_),
        trips=trips,
    )


def outcome_of(trip: Trip) -> Outcome:
    """The same as the model's objects; not for a trip that was dropped."""
    bank, start_s = trip.bank, trip.start_s
    if bank is POSTED:
        bank = BankReply(BankStatus.POSTED, "", (trip.bank_end_s - trip.bank_start_s) * 1000.0)
    end_s = max(start_s, trip.end_s)
    return Outcome(bank, trip.score, max(0.0, start_s - trip.due_s) * 1000.0, (end_s - start_s) * 1000.0)
