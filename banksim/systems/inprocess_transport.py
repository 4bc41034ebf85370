"""A bank or detector inside this process: no sockets, the same `Reply`.

The other side is any object with ``handle(method, path, query, body) -> (status, data)``.
It computes without waiting, so nothing would ever hand the processor to other greenlets:
every `CALLS_PER_YIELD` calls this transport does, outside of the measured time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

import gevent

from banksim.systems.transport import Reply

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
        """From now on another one answers: the system was started anew."""
        self._handler = handler

    def authorize(self, token: str) -> None:
        """Nothing to do: nobody listens in."""

    def close(self) -> None:
        """Nothing to do: no connection."""

    def call(
        self,
        method: str,
        path: str,
        name: str,  # noqa: ARG002  the protocol's
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        repeatable: bool = False,  # noqa: ARG002  nothing here is ever lost on the way
    ) -> Reply:
        self._give_way()
        started_s = time.perf_counter()
        try:
            status, data = self._handler.handle(method, path, query or {}, body)
        except Exception as error:
            # A fault of the stand-in is a server error, as it would be behind HTTP.
            _log.exception("The in-process handler failed on %s %s", method, path)
            status, data = 500, f"{type(error).__name__}: {error}"
        return Reply(status, data, (time.perf_counter() - started_s) * 1000.0)

    def _give_way(self) -> None:
        self._until_yield -= 1
        if self._until_yield <= 0:
            self._until_yield = self._calls_per_yield
            gevent.sleep(0)
