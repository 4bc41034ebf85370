"""How a client reaches a system: over HTTP, or inside this process.

Both ways answer with a `Reply` and never raise for what the other side did: a hung
server, half an answer and a refused connection are things a load test exists to meet.

`Reply.sent` is the one fact a money movement hangs on.  False means that the whole
request cannot have reached the server, so nothing was booked.  True means that it may
have: without a readable answer the movement's fate is then unknown.

A circuit breaker for one target: stop asking a system that does not answer.

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
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

from banksim.model import LocalLimit
from banksim.model.errors import visible


class Begun:
    """A request's first attempt, made outside of the transport that is to finish it."""


class Request(NamedTuple):
    """One request.  ``name`` is its path as a template ("/customers/{id}/kyc"), by which figures are grouped.

    ``body`` is sent as JSON; bytes are sent as they are.  ``repeatable`` means that doing it twice does no
    harm; a GET always is.  ``begun`` is its first attempt, when that was made elsewhere: the transport
    finishes it.  ``headers`` are whole lines, each with its line end, in addition to the transport's own.
    """

    method: str
    path: str
    name: str
    body: Mapping[str, Any] | bytes | None = None
    query: Mapping[str, str] | None = None
    repeatable: bool = False
    begun: Begun | None = None
    headers: str = ""


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
    #: What this machine ran out of, so that the request was not sent: no failure of the system's.
    limit: LocalLimit | None = None


class Transport(Protocol):
    """What both clients need of a way to their system."""

    @property
    def address(self) -> str:
        """Where the system is, for messages to users."""

    def send(self, request: Request) -> Reply:
        """Send one request and wait for its reply."""

    def authorize(self, token: str) -> None:
        """Send ``Authorization: Bearer <token>`` from now on."""

    def close(self) -> None:
        """Let go of every connection."""


class Relay:
    """Base of a transport in front of another one: a subclass adds `send`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def address(self) -> str:
        return self._transport.address

    def authorize(self, token: str) -> None:
        self._transport.authorize(token)

    def close(self) -> None:
        self._transport.close()


# -- The reason a call failed, out of whatever the other side sent, in one short line ---------------


MAX_CHARS = 300


def failure_text(reply: Reply) -> str:
    """ "connection refused", "HTTP 422: body.description: Field required", …; never empty."""
    if reply.status == 0:
        return _line(reply.error or "no answer")
    reason = _line(reply.error) if reply.error else detail_of(reply.data)
    return f"HTTP {reply.status}: {reason}"[:MAX_CHARS] if reason else f"HTTP {reply.status}"


def detail_of(data: Any) -> str:
    """The ``detail`` of an error body: text as it is, a schema failure's list joined, else the text sent."""
    if isinstance(data, str):
        return _line(_plain(data))
    if not isinstance(data, Mapping):
        return ""
    for key in ("detail", "message", "error"):
        match data.get(key):
            case str(text):
                return _line(text)
            case [_, *_] as problems:
                return _line("; ".join(_problem(problem) for problem in problems[:5]))
    return ""


def _line(text: str) -> str:
    """One line of at most ``MAX_CHARS`` that no terminal obeys: it may be a target's."""
    return visible(" ".join(text[: 4 * MAX_CHARS].split()))[:MAX_CHARS]


def _plain(text: str) -> str:
    """A page's words without its tags, in one line: what is no JSON is often some server's error page."""
    if text.lstrip()[:1] == "<":
        text = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    return " ".join(text.split())


def _problem(problem: Any) -> str:
    """One entry of a schema failure: ``{"loc": ["body", "amount"], "msg": "Field required"}``."""
    if not isinstance(problem, Mapping):
        return str(problem)
    loc = problem.get("loc")
    where = ".".join(str(step) for step in loc) if isinstance(loc, Sequence) else ""
    return f"{where}: {problem.get('msg', problem)}" if where else str(problem.get("msg", problem))


# -- Is a system there, and how fast does it say so -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Health:
    """One health check: the system's name, whether it is well, wall milliseconds, and what is wrong."""

    name: str
    ok: bool
    latency_ms: float
    detail: str = ""


HEALTH = Request("GET", "/health", "/health")


def check_health(transport: Transport) -> Reply:
    """``GET /health``, which both systems have."""
    return transport.send(HEALTH)


def as_health(name: str, reply: Reply) -> Health:
    """A health check's reply as a `Health`; well means status 200, whatever the body says."""
    ok = reply.status == 200
    return Health(name, ok, reply.latency_ms, "" if ok else failure_text(reply))


# -- What is reported about every call to a system under test: one `Call`, to one observer ----------
#
# The clients call the observer once per answered, failed or timed-out call, after it ended
# and before they return.  The clients keep no figures: Locust's statistics and the
# latency histograms are fed by that observer.
#
# ``name`` is a stable path template ("/customers/{id}/kyc"), so figures group by route and
# their number is bounded.  ``error`` says why a call is a *technical* failure; a business
# refusal (insufficient funds, blocked by a rule) is an answer and has none.


System = Literal["nexum", "bastion", "kafka"]


#: How the errors of calls that took too long begin: for an answer, and for a connection.
NO_ANSWER = "no answer within"
NO_CONNECTION = "connecting took too long"


class Call(NamedTuple):
    """One call: wall time in milliseconds, HTTP status (None without an answer), sizes in bytes.

    To Kafka a call is one event, from publishing to the broker's acknowledgement; it has no status.
    """

    system: System
    method: str
    name: str
    latency_ms: float
    status: int | None
    request_bytes: int
    response_bytes: int
    error: str | None
    #: False when the circuit to the system was open: it never saw this call, so there is no latency.
    sent: bool = True
    #: How often it was sent again, after a lost connection or a gateway's error.
    resent: int = 0

    @property
    def timed_out(self) -> bool:
        """Whether it took longer than it may, so that nobody waits for its answer."""
        return self.error is not None and self.error.startswith((NO_ANSWER, NO_CONNECTION))

    @property
    def refused_by_status(self) -> bool:
        """Whether it was answered, with a status that makes it an error (429, 503)."""
        return self.error is not None and self.status is not None and self.status >= 400


def call_of(system: System, request: Request, reply: Reply, error: str | None) -> Call:
    """The call that ended with ``reply``."""
    # By position: a tuple made of names takes twice as long.
    return Call(
        system,
        request.method,
        request.name,
        reply.latency_ms,
        reply.status or None,
        reply.request_bytes,
        reply.response_bytes,
        error,
        reply.attempts > 0,
        max(0, reply.attempts - 1),
    )


#: The method of a row of the figures: how long it took from acceptance to completion.
COMPLETION = "COMPLETION"
#: What else a completion may do, and how it stands among the errors.
COMPLETION_ERRORS = {
    "late": "a completion came after its deadline",
    "double": "a completion came twice",
    "pending": "the run ended before its completion came",
}

Observer = Callable[[Call], None]


def ignore_call(call: Call) -> None:
    """The observer of a caller that wants no figures."""


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
