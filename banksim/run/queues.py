"""Queues where due arrivals wait for a user of their persona to take them.

One queue per kind of user.  The dispatcher puts, users take; a user's wait ends when something
is due for it.  Users run short when an arrival finds every user of its persona busy and has to
wait: `shortage_ms` says how long, so that users can be added.  An arrival that is late although
a user was free says something else: this process is short of CPU, and more users would only make
that worse.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from gevent.queue import SimpleQueue

from banksim.model import Planned

#: The queue of fraud actors, next to one per persona.
FRAUD_SEAT = "fraud"
#: The queue of personas that have no user class of their own.
ANY_PERSONA = "*"

#: Why what found no room counts as dropped.
QUEUE_FULL = "queue full"

#: Arrivals one queue may hold; more are dropped and counted.
MAX_WAITING = 20_000


class Performer(Protocol):
    """Carries out arrivals."""

    def perform(self, arrival: Arrival) -> None:
        """Returns when the arrival has ended, one way or another."""

    def decline(self, arrival: Arrival, reason: str) -> None:
        """It is not carried out: a drop."""


class Arrival(NamedTuple):
    """A planned transaction and the wall moment (monotonic seconds) at which it should start."""

    due_wall_s: float
    planned: Planned
    performer: Performer

    def carry_out(self) -> None:
        """Send the transaction; returns when it has ended."""
        self.performer.perform(self)


class UserQueues:
    """The queues between dispatcher and users.  ``taken`` counts the arrivals that users took."""

    def __init__(self, names: Iterable[str], idle: Iterable[str] = ()) -> None:
        """``names`` are the personas that have users, plus ANY_PERSONA and FRAUD_SEAT if they do.

        Those of ``idle`` ones do nothing of their own: what is due for them needs no user.
        """
        self._idle = frozenset(idle)
        self._queues: dict[str, SimpleQueue] = {name: SimpleQueue() for name in names}
        self._free = dict.fromkeys(self._queues, 0)
        self._worst_wait_s = 0.0
        self.taken = 0

    def needs_user(self, name: str) -> bool:
        """Whether what is due for users of ``name`` has to wait for one."""
        return (name if name in self._queues else ANY_PERSONA) not in self._idle

    def put(self, name: str, arrival: Arrival) -> str:
        """Queue an arrival for users of ``name``; returns why not, or "" when it was queued."""
        queue = self._queues.get(name) or self._queues.get(ANY_PERSONA)
        if queue is None:
            return f"no user class plays {name}"
        if queue.qsize() >= MAX_WAITING:
            return QUEUE_FULL
        queue.put(arrival)
        return ""

    def take(self, name: str) -> Arrival:
        """Wait until an arrival is due for users of ``name``.  Raises KeyError for an unknown name."""
        queue = self._queues[name]
        all_were_busy = queue.qsize() > self._free[name]
        self._free[name] += 1
        try:
            arrival: Arrival = queue.get()
        finally:
            self._free[name] -= 1
        self.taken += 1
        if all_were_busy:
            self._worst_wait_s = max(self._worst_wait_s, time.monotonic() - arrival.due_wall_s)
        return arrival

    def take_late(self, due_before_s: float) -> list[Arrival]:
        """Take out what was due before this moment (monotonic seconds), which no user took."""
        late = []
        for queue in self._queues.values():
            while queue.qsize() and queue.peek().due_wall_s < due_before_s:
                late.append(queue.get())
        return late

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
