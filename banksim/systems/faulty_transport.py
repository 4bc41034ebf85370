"""A stand-in inside this process, with faults: what a network would have shown, without one.

In front of an `InProcessTransport`; which call meets what is the board's business
(sandbox/faults.py).  A score or a reading whose connection was lost is tried again as over
HTTP, a movement never.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

import gevent

from banksim.sandbox.faults import ERRORS, GARBAGE, HANGS, Effect, FaultBoard
from banksim.systems.http_calls import Answer, decoded
from banksim.systems.retries import RetryBudget, backoff_s
from banksim.systems.transport import Relay, Reply, Transport

RESET = "the connection was closed before an answer"
REFUSED = "connection refused"


class FaultyTransport(Relay):
    """The same calls as ``transport``, with the faults of ``board``.  ``down`` refuses every connection."""

    def __init__(
        self,
        transport: Transport,
        board: FaultBoard,
        *,
        rng: random.Random,
        timeout_s: float,
        max_retries: int,
    ) -> None:
        super().__init__(transport)
        self._board = board
        self._rng = rng
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._budget = RetryBudget()
        self.down = False

    def call(
        self,
        method: str,
        path: str,
        name: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        repeatable: bool = False,
    ) -> Reply:
        started_s = time.perf_counter()
        may_repeat = repeatable or method == "GET"
        attempts = 0
        while True:
            attempts += 1
            left_s = self._timeout_s - (time.perf_counter() - started_s)
            reply = self._attempt(left_s, method, path, name, body, query)
            lost = reply.status == 0 and not reply.error.startswith("no answer within")
            if not lost:
                self._budget.succeeded()
                break
            self._budget.failed()
            if not (may_repeat and attempts <= self._max_retries and self._budget.allows_retry):
                break
            gevent.sleep(backoff_s(attempts, self._rng))
        latency_ms = (time.perf_counter() - started_s) * 1000.0
        return reply._replace(latency_ms=latency_ms, attempts=attempts)

    def _attempt(
        self,
        left_s: float,
        method: str,
        path: str,
        name: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
    ) -> Reply:
        if self.down:
            return Reply(0, None, 0.0, REFUSED, sent=False)
        effect = self._board.draw()
        if effect is None:
            return self._transport.call(method, path, name, body, query)
        if effect.delay_s:
            gevent.sleep(min(effect.delay_s, max(0.0, left_s)))
        too_late = effect.delay_s >= left_s
        if effect.done or not effect.kind:  # a late answer is to work that was done
            reply = self._transport.call(method, path, name, body, query)
            if not effect.kind and not too_late:
                return reply
        if too_late:
            return self._timed_out()
        return self._outcome(effect, left_s - effect.delay_s)

    def _outcome(self, effect: Effect, left_s: float) -> Reply:
        if effect.kind == ERRORS:
            return Reply(effect.status, {"detail": "a fault of the scenario"}, 0.0)
        if effect.kind == GARBAGE:
            data, error = decoded(Answer(200, effect.garbage[1], len(effect.garbage[1])))
            return Reply(200, data, 0.0, error)
        if effect.kind == HANGS and not effect.lifted.wait(left_s):
            return self._timed_out()
        return Reply(0, None, 0.0, RESET)

    def _timed_out(self) -> Reply:
        return Reply(0, None, 0.0, f"no answer within {self._timeout_s:g} s")
