"""A bank or detector inside this process: no sockets, the same `Reply`.

The other side is any object with ``handle(method, path, query, body) -> (status, data)``.
It computes without waiting, so nothing would ever hand the processor to other greenlets:
every `CALLS_PER_YIELD` calls this transport does, outside of the measured time.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from typing import Any, Protocol

import gevent

from banksim.sandbox.http import ERRORS, GARBAGE, HANGS, Effect, FaultBoard
from banksim.targets.calls import NO_ANSWER, Relay, Reply, Request, Transport
from banksim.targets.http.client import Answer, RetryBudget, backoff_s, decoded

# -- A stand-in inside this process, with faults: what a network would have shown, without one ------
#
# In front of an `InProcessTransport`; which call meets what is the board's business
# (sandbox/http.py).  A score or a reading whose connection was lost is tried again as over
# HTTP, a movement never.


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

    def send(self, request: Request) -> Reply:
        started_s = time.perf_counter()
        may_repeat = request.repeatable or request.method == "GET"
        attempts = 0
        while True:
            attempts += 1
            left_s = self._timeout_s - (time.perf_counter() - started_s)
            reply = self._attempt(left_s, request)
            lost = reply.status == 0 and not reply.error.startswith(NO_ANSWER)
            if not lost:
                self._budget.succeeded()
                break
            self._budget.failed()
            if not (may_repeat and attempts <= self._max_retries and self._budget.allows_retry):
                break
            gevent.sleep(backoff_s(attempts, self._rng))
        latency_ms = (time.perf_counter() - started_s) * 1000.0
        return reply._replace(latency_ms=latency_ms, attempts=attempts)

    def _attempt(self, left_s: float, request: Request) -> Reply:
        if self.down:
            return Reply(0, None, 0.0, REFUSED, sent=False)
        effect = self._board.draw()
        if effect is None:
            return self._transport.send(request)
        if effect.delay_s:
            gevent.sleep(min(effect.delay_s, max(0.0, left_s)))
        too_late = effect.delay_s >= left_s
        if effect.done or not effect.kind:  # a late answer is to work that was done
            reply = self._transport.send(request)
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
        return Reply(0, None, 0.0, f"{NO_ANSWER} {self._timeout_s:g} s")


CALLS_PER_YIELD = 32
_log = logging.getLogger(__name__)


class Handler(Protocol):
    """What the stand-ins offer: a pure step from request to response."""

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any) -> tuple[int, Any]: ...


class InProcessTransport:
    """Hands each call to ``handler`` and takes the time."""

    def __init__(
        self, handler: Handler, address: str = "in-process", calls_per_yield: int = CALLS_PER_YIELD
    ) -> None:
        self._handler = handler
        self._address = address
        self._calls_per_yield = calls_per_yield
        self._until_yield = calls_per_yield

    @property
    def address(self) -> str:
        return self._address

    def replace(self, handler: Handler) -> None:
        """From now on another handler answers: the system was restarted."""
        self._handler = handler

    def authorize(self, token: str) -> None:
        """Nothing to do: there is no wire to protect."""

    def close(self) -> None:
        """Nothing to do: no connection."""

    def send(self, request: Request) -> Reply:
        self._give_way()
        started_s = time.perf_counter()
        try:
            status, data = self._handler.handle(
                request.method, request.path, request.query or {}, _decoded_body(request.body)
            )
        except Exception as error:
            # A fault of the stand-in is a server error, as it would be behind HTTP.
            _log.exception("The in-process handler failed on %s %s", request.method, request.path)
            status, data = 500, f"{type(error).__name__}: {error}"
        return Reply(status, data, (time.perf_counter() - started_s) * 1000.0)

    def _give_way(self) -> None:
        self._until_yield -= 1
        if self._until_yield <= 0:
            self._until_yield = self._calls_per_yield
            gevent.sleep(0)


def _decoded_body(body: Any) -> Any:
    """As a server reads it."""
    return decoded(Answer(200, body, len(body)))[0] if isinstance(body, bytes) else body
