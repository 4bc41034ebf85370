"""How a client reaches a system: over HTTP, or inside this process.

Both ways answer with a `Reply` and never raise for what the other side did: a hung
server, half an answer and a refused connection are things a load test exists to meet.

`Reply.sent` is the one fact a money movement hangs on.  False means that the whole
request cannot have reached the server, so nothing was booked.  True means that it may
have: without a readable answer the movement's fate is then unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class Reply(NamedTuple):
    """One answer, or the lack of one.

    ``status`` is the HTTP status, 0 when none came.  ``data`` is the decoded JSON, the
    text of a body that is not JSON (shortened), or None.  ``error`` is empty when a whole
    answer was read; a status with an error is an answer that broke off or cannot be read.
    ``latency_ms`` is wall time from the first byte's attempt to the end, retries included.
    (A tuple because it is made twice per transaction, and a frozen dataclass takes three times as long.)
    """

    status: int
    data: Any
    latency_ms: float
    error: str = ""
    sent: bool = True
    request_bytes: int = 0
    response_bytes: int = 0
    attempts: int = 1


class Transport(Protocol):
    """What both clients need of a way to their system."""

    @property
    def address(self) -> str:
        """Where the system is, for messages to people."""

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
        """Send one request.  ``repeatable`` says that doing it twice does no harm; a GET always is."""

    def authorize(self, token: str) -> None:
        """Send ``Authorization: Bearer <token>`` from now on."""

    def close(self) -> None:
        """Let go of every connection."""


class Relay:
    """Stands in front of another transport; whoever subclasses it says what becomes of calls."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def address(self) -> str:
        return self._transport.address

    def authorize(self, token: str) -> None:
        self._transport.authorize(token)

    def close(self) -> None:
        self._transport.close()
