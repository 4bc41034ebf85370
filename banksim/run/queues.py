"""Seats: where due arrivals wait for a user of their persona to take them.

One bounded queue per kind of user.  The dispatcher puts, users take; a user's wait ends
when something is due for it.  Seats run short when an arrival finds every user of its
persona busy and has to wait: `shortage_ms` says how long, so that users can be added.
An arrival that is late although a user was free says something else: this process is
short of CPU, and more users would only make that worse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gevent.queue import SimpleQueue

from banksim.model import Planned

# -- One due piece of work on its way from the dispatcher to a seat ---------------------------------


#: The seat queue of fraud actors, beside one per persona.
FRAUD_SEAT = "fraud"

#: Why what was due and not sent by the end of a run counts as dropped.
ENDED_FIRST = "the run ended first"


class Arrival(NamedTuple):
    """A planned transaction and the wall moment (monotonic seconds) at which it should start."""

    due_wall_s: float
    planned: Planned


#: Seat of personas that have no user class of their own.
ANY_PERSONA = "*"

#: Arrivals one queue may hold; more are dropped and counted.
MAX_WAITING = 20_000


class Seats:
    """The queues between dispatcher and users."""

    def __init__(self, names: Iterable[str], now: Callable[[], float] = time.monotonic) -> None:
        """``names`` are the personas that have users, plus ANY_PERSONA and the fraud seat if they do."""
        self._queues: dict[str, SimpleQueue] = {name: SimpleQueue() for name in names}
        self._free = dict.fromkeys(self._queues, 0)
        self._now = now
        self._worst_wait_s = 0.0

    def put(self, name: str, arrival: Arrival) -> str:
        """Queue an arrival for seat ``name``; returns why not, or "" when it was queued."""
        queue = self._queues.get(name) or self._queues.get(ANY_PERSONA)
        if queue is None:
            return f"no user class plays {name}"
        if queue.qsize() >= MAX_WAITING:
            return "queue full"
        queue.put(arrival)
        return ""

    def take(self, name: str) -> Arrival:
        """Wait until an arrival is due for this seat.  Raises KeyError for an unknown seat."""
        queue = self._queues[name]
        all_were_busy = queue.qsize() > self._free[name]
        self._free[name] += 1
        try:
            arrival: Arrival = queue.get()
        finally:
            self._free[name] -= 1
        if all_were_busy:
            self._worst_wait_s = max(self._worst_wait_s, self._now() - arrival.due_wall_s)
        return arrival

    @property
    def waiting(self) -> int:
        """Arrivals that wait for a user now."""
        return sum(queue.qsize() for queue in self._queues.values())

    def drain(self) -> list[Arrival]:
        """Take everything that still waits, without waiting for more."""
        left = []
        for queue in self._queues.values():
            while queue.qsize():
                left.append(queue.get())
        return left

    def shortage_ms(self) -> float:
        """The longest an arrival waited for a busy user since the last call, in ms of wall time."""
        worst_s, self._worst_wait_s = self._worst_wait_s, 0.0
        return worst_s * 1000.0
