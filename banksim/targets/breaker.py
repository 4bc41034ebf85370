"""A circuit breaker for one target: stop asking a system that does not answer.

    closed ──(FAILURES_TO_OPEN in a row)──► open ──(a pause)──► half open: one probe
       ▲                                     ▲                       │
       └───────────── any answer ────────────┼───────────────────────┤
                                             └── no answer ──────────┘  and twice the pause

What counts as a failure is a call without any answer (refused, reset, timed out) or a
gateway's 502, 503, 504 in the target's place.  A 400, a 500 or an answer in the wrong form
is an answer: the system is there, and what it says is what the run is for.

Why: without it a hanging target holds every user for the whole timeout, so the run
measures its own timeout, and the other target gets no load either.  While it is open each
call fails at once and is counted as failed, never as sent.

Why not a library: pybreaker holds its lock for the whole guarded call, so calls would go
out one at a time; purgatory lets every waiting call through as a probe and learns of
failures by exceptions, which a transport here never raises.

What this machine itself runs out of (ports, files) is neither: such a call was never made.

Not handled: shares of failures (10 % of them is a figure to report, not a system that is gone).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from banksim.targets.calls import Relay, Reply, Request, Transport

logger = logging.getLogger(__name__)

FAILURES_TO_OPEN = 20
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 8.0
#: A gateway in front of the system answers so, or the system itself when it is not ready.
ABSENT_STATUSES = frozenset({502, 503, 504})


class Circuit(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


@dataclass(frozen=True, slots=True)
class CircuitStatus:
    """One circuit now: its state, since when it is not closed (clock time), and what it did so far.

    ``open_s`` is wall seconds not closed, ``refused`` the calls that were not sent because of it.
    """

    system: str
    state: Circuit
    since: datetime | None
    reason: str
    opened: int
    open_s: float
    refused: int

    @property
    def text(self) -> str:
        """ "circuit open since 12:03:04: connection refused"; empty while closed."""
        if self.since is None:
            return ""
        return f"circuit {self.state} since {self.since:%H:%M:%S}: {self.reason}"


class CircuitBreaker:
    """Decides whether a call may go out.  `admits` before; `succeeded`, `failed` or `undecided` after."""

    def __init__(
        self,
        system: str,
        *,
        failures_to_open: int = FAILURES_TO_OPEN,
        first_pause_s: float = FIRST_PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._system = system
        self._failures_to_open = failures_to_open
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._monotonic = monotonic
        self._now = now
        self._state = Circuit.CLOSED
        self.failures = 0  # in a row
        self._pause_s = first_pause_s
        self._opened_at_s = 0.0
        self._retry_at_s = 0.0
        self._since: datetime | None = None
        self._open_s = 0.0
        self._opened = 0
        self._refused = 0
        self.reason = ""

    def admits(self) -> bool:
        """Whether a call may go out now; the one that may after a pause is the probe."""
        if self._state is Circuit.CLOSED:
            return True
        if self._state is Circuit.OPEN and self._monotonic() >= self._retry_at_s:
            self._state = Circuit.HALF_OPEN
            return True
        self._refused += 1
        return False

    @property
    def closed(self) -> bool:
        return self._state is Circuit.CLOSED

    def succeeded(self) -> None:
        """An answer came, also one to a call from before: the system is there."""
        self.failures = 0
        if self._state is Circuit.CLOSED:
            return
        open_s = self._monotonic() - self._opened_at_s
        self._open_s += open_s
        self._state, self._since, self._pause_s = Circuit.CLOSED, None, self._first_pause_s
        logger.warning("%s answers again after %.1f s: circuit closed", self._system, open_s)

    def undecided(self) -> None:
        """The call was not sent, for a reason of this machine's own: it says nothing, and a probe is due."""
        if self._state is Circuit.HALF_OPEN:
            self._state = Circuit.OPEN

    def failed(self, reason: str) -> None:
        """No answer came.  ``reason`` is shown as long as the circuit is not closed."""
        self.failures += 1
        if self._state is Circuit.OPEN:
            return  # a call from before it opened
        if self._state is Circuit.HALF_OPEN:
            self._pause_s = min(self._longest_pause_s, 2 * self._pause_s)
            self._state = Circuit.OPEN
            self._retry_at_s = self._monotonic() + self._pause_s
        elif self.failures >= self._failures_to_open:
            self._open(reason)

    def _open(self, reason: str) -> None:
        now_s = self._monotonic()
        self._state, self.reason, self._since = Circuit.OPEN, reason, self._now()
        self._opened_at_s, self._retry_at_s = now_s, now_s + self._pause_s
        self._opened += 1
        logger.warning(
            "%s did not answer %d calls in a row (%s): circuit open, further calls fail at once",
            self._system,
            self.failures,
            reason,
        )

    @property
    def status(self) -> CircuitStatus:
        lasting_s = self._monotonic() - self._opened_at_s if self._since is not None else 0.0
        return CircuitStatus(
            self._system,
            self._state,
            self._since,
            self.reason,
            self._opened,
            self._open_s + lasting_s,
            self._refused,
        )


class GuardedTransport(Relay):
    """A transport behind a circuit breaker: the same calls, and a `Reply` at once while it is open."""

    def __init__(self, transport: Transport, breaker: CircuitBreaker) -> None:
        super().__init__(transport)
        self.inner = transport
        self.breaker = breaker

    def send(self, request: Request) -> Reply:
        breaker = self.breaker
        if request.begun is None and not breaker.admits():
            return Reply(0, None, 0.0, f"circuit open: {breaker.reason}", sent=False, attempts=0)
        try:
            reply = self._transport.send(request)
        except BaseException:
            breaker.failed("the call was given up")  # so that a killed probe does not block for ever
            raise
        if reply.limit is not None:
            breaker.undecided()
        elif reply.status == 0 or reply.status in ABSENT_STATUSES:
            breaker.failed(reply.error or f"HTTP {reply.status}")
        else:
            breaker.succeeded()
        return reply
