"""One deadline per call, for the price of two dictionary operations.

Every call through a transport has the same time limit, so calls expire in the order in
which they began: a dictionary keeps that order, and one timer of the hub looks at its
oldest entry.  A `gevent.Timeout` per call would make, start and stop a timer each time,
which costs several times as much as everything here.

    begin ──► {greenlet: due, …}  ◄── finish        timer ──► expired: `DeadlinePassed` in the greenlet

A greenlet has at most one call under way at a time.
"""

from __future__ import annotations

import time
from typing import Any

import gevent


class DeadlinePassed(BaseException):
    """Raised in a greenlet whose call took too long; no Exception, so that nothing in between eats it."""


class Deadlines:
    """The calls of one transport that are under way.  ``timeout_s`` is wall seconds from `begin`."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._due_s: dict[Any, float] = {}  # as bounded as the callers
        self._timer: Any = None

    def begin(self, now_s: float) -> None:
        """The calling greenlet's call begins.  ``now_s`` is `time.perf_counter`'s."""
        self._due_s[gevent.getcurrent()] = now_s + self._timeout_s
        if self._timer is None:
            self._wait(self._timeout_s)

    def finish(self) -> None:
        """The calling greenlet's call is over, however it ended."""
        self._due_s.pop(gevent.getcurrent(), None)

    def _wait(self, seconds: float) -> None:
        self._timer = gevent.get_hub().loop.timer(seconds)
        self._timer.start(self._look)

    def _look(self) -> None:
        """Called by the hub.  Expires what is due, and looks again when the next one will be."""
        try:
            while self._due_s:
                greenlet, due_s = next(iter(self._due_s.items()))
                if due_s > time.perf_counter():
                    break
                del self._due_s[greenlet]
                greenlet.throw(DeadlinePassed())
        finally:
            self._timer.close()
            self._timer = None
            if self._due_s:
                oldest_s = next(iter(self._due_s.values()))
                self._wait(max(0.0, oldest_s - time.perf_counter()))
