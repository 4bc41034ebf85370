"""Connections as state machines: many calls at once without a greenlet for each.

    submit ──► free connection? ─ send ─► (watcher: readable) ─► judged ──► the caller's `settle`
                  │                                    │
                  │ none: open one, or wait            │ anything unusual
                  ▼                                    ▼
              `waiting` (bounded by the caller)    `hand_over`: the full client finishes it in a greenlet

A lane does what almost every call needs: bytes that are ready go out, and a whole answer comes
back, in one block or in several.  Under a head seen before it is taken apart at once; else it goes
through the same parser as in the full client.  Everything else (an odd answer, a lost connection,
a write that did not go out whole, a deadline) goes to the full client as an attempt that has
begun, so what is retried, what is never sent twice and how errors read is decided in one place.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent

from banksim.model import NOT_SCORED, NOT_SENT
from banksim.targets.calls import CircuitBreaker
from banksim.targets.http.client import (
    Answer,
    AnswerTooLarge,
    BrokenAnswer,
    HttpBegun,
    NoAnswer,
    Progress,
)
from banksim.targets.http.connection import (
    MAX_IDLE_S,
    READ_BLOCK_BYTES,
    HttpTransport,
    PlainConnection,
    affordable_connections,
    describe,
    lifetime_s,
    local_limit,
)
from banksim.targets.http.parser import HEAD_END, AnswerReader, Heads

#: An idle connection that is closed this soon after an answer: the server does not say when it closes.
SOON_S = 1.0
#: Answers under a known head that are longer than this, and do not come whole, go through the parser.
MAX_KEPT_BYTES = 64 * 1024


class LaneConnection(PlainConnection):
    """A connection whose watcher stays on.  ``trip`` is what waits for its answer."""

    def __init__(self, sock: Any, reader: AnswerReader) -> None:
        super().__init__(sock, reader)
        self.send_now: Callable[[bytes | memoryview], int] = sock.send
        self.receive_now: Callable[[int], bytes] = sock.recv
        self.trip: Trip | None = None
        self.rested_s = 0.0
        self.kept = b""  # the beginning of an answer under a known head
        self.parsing = False  # the beginning of an answer is in the reader

    def watch(self, callback: Callable[[LaneConnection], None]) -> None:
        self._readable.start(callback, self)

    def unwatch(self) -> None:
        self._readable.stop()

    @property
    def has_input(self) -> bool:
        return bool(self._poller.poll(0))


class LaneBegun(HttpBegun):
    """A call whose connection comes along: ``rest`` is still to be sent, ``error`` broke its answer off."""

    def __init__(
        self,
        began_s: float,
        connection: LaneConnection,
        release: Callable[[LaneConnection, bool], None],
        rest: memoryview | None = None,
        error: Exception | None = None,
    ) -> None:
        super().__init__(began_s, sent=rest is None)
        self._connection = connection
        self._release = release
        self._rest = rest
        self._error = error

    def read(self, progress: Progress) -> Answer:
        connection = self._connection
        try:
            if self._rest is not None:
                connection.write(self._rest, progress, connection.send_rest)
            progress.status = connection.reader.status
            if self._error is not None:
                return connection.broken(self._error)
            return connection.answer(progress)
        finally:
            self._release(connection, connection.reader.reusable)


def on_perf_counter(monotonic_s: float) -> float:
    """The same moment on the clock that the full client measures with."""
    return time.perf_counter() - (time.monotonic() - monotonic_s)


class Trip:
    """One row on its way to both targets, and what they answered.  Seconds are of `time.monotonic`.

    ``post_bytes`` and ``score_bytes`` are whole requests, empty where only the full client can make
    one.  ``start_s`` is when its first call began, 0.0 as long as it waits; ``began_s`` the same of
    the call that is being made.  A target's own moments are 0.0 where it was not asked.  A half
    that is ``by_client`` has been reported to the observer and to the books by the full client;
    any other still has to be.  ``dropped`` is why its first call was not sent: it came too late, or
    this machine ran out of something.
    """

    __slots__ = (
        "bank",
        "bank_by_client",
        "bank_end_s",
        "bank_received",
        "bank_start_s",
        "began_s",
        "done",
        "dropped",
        "due_s",
        "post_bytes",
        "row",
        "score",
        "score_by_client",
        "score_bytes",
        "score_end_s",
        "score_received",
        "score_start_s",
        "score_status",
        "start_s",
    )

    def __init__(self, row: int, due_s: float, post_bytes: bytes, score_bytes: bytes) -> None:
        self.row = row
        self.due_s = due_s
        self.post_bytes = post_bytes
        self.score_bytes = score_bytes
        self.bank = NOT_SENT
        self.score = NOT_SCORED
        self.start_s = self.began_s = 0.0
        self.bank_start_s = self.bank_end_s = self.score_start_s = self.score_end_s = 0.0
        self.bank_received = self.score_received = self.score_status = 0
        self.bank_by_client = self.score_by_client = False
        self.dropped = ""
        self.done = False

    @property
    def end_s(self) -> float:
        """The last answer."""
        return max(self.bank_end_s, self.score_end_s)


class Lanes(ABC):
    """The connections to one target, at most ``size``.  The caller bounds how many trips there are.

    Without a ``transport`` every call is handed over; so it is over TLS, and while the circuit is
    not closed.
    """

    def __init__(
        self, transport: HttpTransport | None, breaker: CircuitBreaker | None, size: int, drop_after_s: float
    ) -> None:
        self.direct = transport is not None and not transport.tls
        self._transport = transport
        self._breaker = breaker
        self._size = min(size, affordable_connections())
        self._drop_after_s = drop_after_s
        self._heads: Heads = transport.connector.heads if transport is not None else {}
        self._free: list[LaneConnection] = []
        self._all: set[LaneConnection] = set()
        self._waiting: deque[Trip] = deque()
        self._opening: set[Trip] = set()
        self._made = 0
        self._closed = False
        #: A server that closes without a word was met: look before each use.
        self._cautious = False

    # What a target adds

    @abstractmethod
    def bytes_of(self, trip: Trip) -> bytes:
        """The request of a trip, empty where only the full client can make it."""

    @abstractmethod
    def judge(self, trip: Trip, status: int, body: bytes, received: int, now_s: float) -> bool:
        """Take a whole answer, and the next step.  False when the full client is to judge it."""

    @abstractmethod
    def hand_over(self, trip: Trip, begun: HttpBegun | None) -> None:
        """Have the full client finish this call.  May not wait."""

    @abstractmethod
    def drop(self, trip: Trip) -> None:
        """It waited for too long, and nothing was sent."""

    # Sending

    def begin(self, trip: Trip, now_s: float) -> None:
        """Its first call begins."""
        trip.start_s = trip.began_s = now_s

    @property
    def connections(self) -> int:
        """Open, or being opened."""
        return len(self._all) + len(self._opening)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def submit(self, trip: Trip, now_s: float) -> None:
        """Send a trip's call now, or as soon as a connection is free."""
        closed = self._breaker is None or self._breaker.closed
        if not (self.direct and closed and self.bytes_of(trip)):
            self.hand_over(trip, None)
            return
        free = self._free
        while free:
            connection = free.pop()
            if self._usable(connection, now_s):
                self._send(connection, trip, now_s)
                return
            self._discard(connection)
        if self.connections >= self._size:
            self._waiting.append(trip)
            return
        if trip.start_s == 0.0:
            self.begin(trip, now_s)
        self._opening.add(trip)
        gevent.spawn(self._open, trip)

    def _usable(self, connection: LaneConnection, now_s: float) -> bool:
        return (
            now_s - connection.rested_s < MAX_IDLE_S
            and now_s < connection.ends_s
            and not (self._cautious and connection.has_input)
        )

    def _send(self, connection: LaneConnection, trip: Trip, now_s: float) -> None:
        if trip.start_s == 0.0:
            self.begin(trip, now_s)
        data = self.bytes_of(trip)
        connection.trip = trip
        try:
            accepted = connection.send_now(data)
        except BlockingIOError:
            accepted = 0
        except OSError as error:
            self._discard(connection)
            failure = NoAnswer(describe(error), stale=connection.served)
            self.hand_over(trip, HttpBegun(on_perf_counter(trip.began_s), sent=False, failure=failure))
            return
        if accepted < len(data):
            connection.nothing_left = accepted == 0
            self.hand_over(trip, self._lend(connection, rest=memoryview(data)[accepted:]))

    def _open(self, trip: Trip) -> None:
        """In a greenlet: connect, then send.  What fails here was surely not sent."""
        transport = self._transport
        if transport is None:
            return
        try:
            connection = transport.connector.connect_plain(LaneConnection)
        except OSError as error:
            if trip in self._opening:
                self._opening.discard(trip)
                failure = NoAnswer(describe(error), limit=local_limit(error))
                self.hand_over(trip, HttpBegun(on_perf_counter(trip.began_s), sent=False, failure=failure))
            self._next_waiting()
            return
        if trip not in self._opening:  # closed meanwhile
            connection.close()
            return
        self._opening.discard(trip)
        now_s = time.monotonic()
        self._made += 1
        connection.ends_s = now_s + lifetime_s(self._made, transport.max_age_s)
        self._all.add(connection)
        connection.watch(self._ready)
        self._send(connection, trip, now_s)

    # Receiving, called by the hub

    def _ready(self, connection: LaneConnection) -> None:
        try:
            block = connection.receive_now(READ_BLOCK_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(connection, error)
            return
        trip = connection.trip
        if trip is None:  # a close, or bytes out of turn
            self._cautious = self._cautious or time.monotonic() - connection.rested_s < SOON_S
            self._free.remove(connection)
            self._discard(connection)
            return
        now_s = time.monotonic()
        if connection.parsing or not block:
            self._parse(connection, trip, block, now_s)
            return
        if connection.kept:
            block = connection.kept + block
        head, _, body = block.partition(HEAD_END)
        known = self._heads.get(head)
        if known is not None and known.body_bytes == len(body):
            connection.kept = b""
            self._rest(connection, now_s)
            self._take(trip, known.status, body, len(block), now_s)
        elif known is not None and len(body) < known.body_bytes <= MAX_KEPT_BYTES:
            connection.kept = block
        else:
            connection.kept = b""
            self._parse(connection, trip, block, now_s)

    def _take(
        self, trip: Trip, status: int, body: bytes, received: int, now_s: float, note: str = ""
    ) -> None:
        if not self.judge(trip, status, body, received, now_s):
            answer = Answer(status, body, received, note=note)
            self.hand_over(trip, HttpBegun(on_perf_counter(trip.began_s), answer=answer))
        else:
            self._succeeded()

    def _parse(self, connection: LaneConnection, trip: Trip, block: bytes, now_s: float) -> None:
        """A block that is not a whole answer under a known head."""
        reader = connection.reader
        try:
            self._into_reader(connection)
            connection.feed(block)
        except (OSError, BrokenAnswer, AnswerTooLarge) as error:
            self._cautious = self._cautious or (not reader.received_bytes and connection.served)
            self.hand_over(trip, self._lend(connection, error=error))
            return
        if not reader.complete:
            return
        connection.parsing = False
        status, body, received, note = reader.status, reader.body, reader.received_bytes, reader.note
        if reader.reusable:
            self._rest(connection, now_s)
        else:
            self._discard(connection)
        self._take(trip, status, body, received, now_s, note)

    @staticmethod
    def _into_reader(connection: LaneConnection) -> None:
        """From here on the parser reads this answer, with what was kept of it."""
        if not connection.parsing:
            connection.parsing = True
            connection.reader.expect()
            if connection.kept:
                kept, connection.kept = connection.kept, b""
                connection.feed(kept)

    def _lost(self, connection: LaneConnection, error: OSError) -> None:
        if connection.trip is None:
            self._free.remove(connection)
            self._discard(connection)
            return
        self._into_reader(connection)
        self.hand_over(connection.trip, self._lend(connection, error=error))

    # Connections

    def _rest(self, connection: LaneConnection, now_s: float) -> None:
        """The connection is free: for the next trip that waits, or for later."""
        connection.trip = None
        connection.served = True
        connection.rested_s = now_s
        while self._waiting:
            # The watcher has had no turn since the answer to notice a close that came with it.
            if not self._usable(connection, now_s) or connection.has_input:
                self._discard(connection)
                return
            trip = self._waiting.popleft()
            if self._is_late(trip, now_s):
                self.drop(trip)
            else:
                self._send(connection, trip, now_s)
                return
        self._free.append(connection)

    def _is_late(self, trip: Trip, now_s: float) -> bool:
        return trip.start_s == 0.0 and now_s - trip.due_s > self._drop_after_s

    def _discard(self, connection: LaneConnection) -> None:
        self._all.discard(connection)
        connection.trip = None
        connection.close()
        self._next_waiting()

    def _next_waiting(self) -> None:
        """There is room for a connection: open it for a trip that waits."""
        while self._waiting and not self._closed and self.connections < self._size:
            self.submit(self._waiting.popleft(), time.monotonic())

    def _lend(
        self, connection: LaneConnection, rest: memoryview | None = None, error: Exception | None = None
    ) -> HttpBegun:
        """The call of a connection, to be finished by a greenlet, which gives the connection back."""
        trip = connection.trip
        connection.unwatch()
        connection.trip = None
        connection.parsing = False
        began_s = on_perf_counter(trip.began_s if trip is not None else time.monotonic())
        if rest is not None:
            connection.reader.expect()
        return LaneBegun(began_s, connection, self._returned, rest, error)

    def _returned(self, connection: LaneConnection, reusable: bool) -> None:
        if reusable and not self._closed:
            connection.watch(self._ready)
            self._rest(connection, time.monotonic())
        else:
            self._discard(connection)

    def _succeeded(self) -> None:
        """Failures in a row, also of the full client's own calls, are over, and a retry is earned back."""
        if self._transport is not None:
            self._transport.earn_retry()
        if self._breaker is not None and self._breaker.failures:
            self._breaker.succeeded()

    # Once in a while

    def expire(self, now_s: float, timeout_s: float) -> None:
        """Give up what has taken longer than ``timeout_s``, and drop what waits too long to be sent."""
        began_s = now_s - timeout_s
        for connection in [c for c in self._all if c.trip is not None and c.trip.began_s < began_s]:
            trip = connection.trip
            if trip is not None:
                self._into_reader(connection)
                status = connection.reader.status
                self._discard(connection)
                self.hand_over(trip, HttpBegun(on_perf_counter(trip.began_s), expired=True, status=status))
        waiting = self._waiting
        while waiting and self._is_late(waiting[0], now_s):
            self.drop(waiting.popleft())
        while waiting and 0.0 < waiting[0].began_s < began_s:
            trip = waiting.popleft()
            self.hand_over(trip, HttpBegun(on_perf_counter(trip.began_s), sent=False, expired=True))

    def take_unsent(self) -> list[Trip]:
        """Take out what waits for a connection and has not begun."""
        unsent = [trip for trip in self._waiting if trip.start_s == 0.0]
        self._waiting = deque(trip for trip in self._waiting if trip.start_s)
        return unsent

    def close(self) -> list[tuple[Trip, bool]]:
        """Close every connection.  Returns the trips that were cut off, and whether each was sent."""
        self._closed = True
        cut = [(c.trip, True) for c in self._all if c.trip is not None]
        cut += [(trip, False) for trip in (*self._waiting, *self._opening)]
        self._waiting.clear()
        self._opening.clear()
        self._free.clear()
        for connection in list(self._all):
            self._discard(connection)
        return cut
