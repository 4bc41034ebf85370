"""How a client reaches a system: over HTTP, or inside this process.

Both ways answer with a `Reply` and never raise for what the other side did: a hung
server, half an answer and a refused connection are things a load test exists to meet.

`Reply.sent` is the one fact a money movement hangs on.  False means that the whole
request cannot have reached the server, so nothing was booked.  True means that it may
have: without a readable answer the movement's fate is then unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from banksim.model import LocalLimit


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
        return (reply.error or "no answer")[:MAX_CHARS]
    reason = reply.error or detail_of(reply.data)
    return f"HTTP {reply.status}: {reason}"[:MAX_CHARS] if reason else f"HTTP {reply.status}"


def detail_of(data: Any) -> str:
    """The ``detail`` of an error body: text as it is, a schema failure's list joined, else the text sent."""
    if isinstance(data, str):
        return _plain(data)[:MAX_CHARS]
    if not isinstance(data, Mapping):
        return ""
    for key in ("detail", "message", "error"):
        match data.get(key):
            case str(text):
                return text[:MAX_CHARS]
            case [_, *_] as problems:
                return "; ".join(_problem(problem) for problem in problems[:5])[:MAX_CHARS]
    return ""


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
