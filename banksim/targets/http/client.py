"""HTTP calls: how requests are encoded, what is retried, the deadline, and the address of a system.

What is sent again, and what never is:

* A request of which the server's side accepted no byte, because a resting connection had
  been closed meanwhile, goes out on a new connection.  That is safe for everything.
* A *repeatable* request (any GET, a score) is tried again after a lost connection or a
  502, 503, 504: at most ``max_retries`` times, with backoff, while the budget allows it
  and the deadline has not passed.  A timeout is not retried: the answer would be no use.
* Everything else that was written, wholly or in part, is never sent again.

One deadline (``timeout_s``) covers the whole call: waiting for a connection, connecting,
writing, reading, and retries.  A server that drips one byte a second hits it too.

With ``max_retries`` 0 nothing is sent twice.  A client adds how one attempt is made.  A redirect is
not followed: it is an answer that says where it leads.  Not handled: HTTP/2.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import gevent
import orjson

from banksim.model import LocalLimit, UsageError
from banksim.targets.auth import FrontDoor
from banksim.targets.calls import NO_ANSWER, Begun, Reply, Request

# -- When a repeatable call may be tried again, and how long to wait first --------------------------
#
# Exponential backoff with jitter, and a budget as gRPC's retry throttling has it: each
# failure takes a token, each success gives a tenth back, and below half of the tokens
# nothing is retried.  A system that is down therefore gets one call per transaction and no
# storm of retries on top, which would be load that the scenario does not ask for.


FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 1.0
BUDGET_TOKENS = 20.0
TOKENS_PER_SUCCESS = 0.1


def backoff_s(failures: int, rng: random.Random) -> float:
    """Seconds to wait after the ``failures``-th failure (from 1): doubling, then half of it random."""
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 10))
    return longest * (0.5 + 0.5 * rng.random())


class RetryBudget:
    """Tokens shared by all calls to one system."""

    def __init__(self, tokens: float = BUDGET_TOKENS) -> None:
        self._most = tokens
        self._tokens = tokens

    def succeeded(self) -> None:
        if self._tokens < self._most:
            self._tokens = min(self._most, self._tokens + TOKENS_PER_SUCCESS)

    def failed(self) -> None:
        self._tokens = max(0.0, self._tokens - 1.0)

    @property
    def allows_retry(self) -> bool:
        return self._tokens > self._most / 2.0


# -- One deadline per call, for the price of two dictionary operations ------------------------------
#
# Every call through a transport has the same time limit, so calls expire in the order in
# which they began: a dictionary keeps that order, and one timer of the hub looks at its
# oldest entry.  A `gevent.Timeout` per call would make, start and stop a timer each time,
# which costs several times as much as everything here.
#
#     begin ──► {greenlet: due, …}  ◄── finish        timer ──► expired: `DeadlinePassed` in the greenlet
#
# A greenlet has at most one call in flight.


class DeadlinePassed(BaseException):
    """Raised in a greenlet whose call took too long; no Exception, so that nothing in between eats it."""


class Deadlines:
    """The calls in flight of one transport.  ``timeout_s`` is wall seconds from `begin`."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._due_s: dict[Any, float] = {}  # as bounded as the callers
        self._timer: Any = None

    def begin(self, began_s: float, begun: bool = False) -> None:
        """The calling greenlet's call began at ``began_s`` of `time.perf_counter`.

        ``begun``: it did so before it came to this greenlet, so it may be due before others.
        """
        self._due_s[gevent.getcurrent()] = due_s = began_s + self._timeout_s
        if begun:
            self._due_s = dict(sorted(self._due_s.items(), key=lambda entry: entry[1]))
            if self._timer is not None:
                self._timer.close()
                self._timer = None
            due_s = next(iter(self._due_s.values()))
        if self._timer is None:
            self._wait(max(0.0, due_s - time.perf_counter()))

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


# -- The address of a system, taken apart once and checked ------------------------------------------
#
# Accepted: ``http://host``, ``https://host:8443/behind/a/prefix/``, IPv6 in brackets.
# Not accepted: credentials, a query or a fragment, since they would be dropped silently.


_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """Scheme, host (no brackets), port, and the path prefix without its trailing slash."""

    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, text: str) -> BaseUrl:
        """Raises UsageError with what is wrong and an example of what is right."""
        wanted = "expected an address like http://localhost:8090"
        try:
            parts = urlsplit(text.strip())
            port = parts.port
        except ValueError as error:
            shown = repr(text) if "@" not in text else "it"
            raise UsageError(f"{shown} is not a usable address ({error}): {wanted}") from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise UsageError(f"{text!r} is not a usable address: {wanted}")
        if parts.username is not None:  # without the address: it may hold a password
            raise UsageError(
                f"the address of {parts.hostname!r} holds a user name: give it as basic: in the scenario's "
                f"targets block, out of the environment; {wanted}"
            )
        labels = parts.hostname.rstrip(".").split(".")
        if len(parts.hostname) > MAX_HOST_CHARS or any(not 0 < len(one) <= MAX_LABEL_CHARS for one in labels):
            raise UsageError(f"{text[:60]!r} names no host that there can be (RFC 1035): {wanted}")
        if parts.query or parts.fragment:
            raise UsageError(f"{text!r} holds a query or a fragment: {wanted}")
        if not parts.path.isascii() or any(c <= " " for c in parts.path) or not parts.hostname.isascii():
            raise UsageError(f"{text!r} holds characters that no address can: {wanted}")
        return cls(parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme], parts.path.rstrip("/"))

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def host_header(self) -> str:
        """Host for the HTTP header: brackets round IPv6, the port only where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_header}{self.prefix}"


#: Of a host's name, and of its parts between dots.
MAX_HOST_CHARS, MAX_LABEL_CHARS = 253, 63
MAX_ANSWER_BYTES = 1024 * 1024
#: A connection is replaced at about this age, so that a target that moved or grew gets its share of load.
MAX_AGE_S = 60.0
#: Text of a body that is not JSON is kept up to here, for the error message.
MAX_TEXT_CHARS = 500
#: Request heads kept ready, one per method and route; routes are few.
MAX_HEADS = 100
#: Two ways in which an answer is not whole, in the same words whichever parser met them.
ENDED_EARLY = "it ended early"
SWITCHES_PROTOCOL = "it switches to another protocol"
JSON_OF_LENGTH = b"Content-Type: application/json\r\nContent-Length: "
_RETRIED_STATUSES = frozenset({502, 503, 504})
_REPEATABLE_METHODS = frozenset({"GET", "HEAD"})


class NoAnswer(Exception):
    """No status line came.

    ``stale``: a reused connection turned out to be closed.  ``limit``: this machine ran out of
    something before anything was sent.
    """

    def __init__(self, text: str, *, stale: bool = False, limit: LocalLimit | None = None) -> None:
        self.stale = stale
        self.limit = limit
        super().__init__(text)


class BrokenAnswer(Exception):
    """What came is not HTTP, or stopped short."""


class AnswerTooLarge(Exception):
    """The server sent more than the limit."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the answer is larger than {limit_bytes:,} bytes")


class Progress:
    """How far one call got, readable when its deadline cuts it off."""

    __slots__ = ("attempts", "sent", "status")

    def __init__(self) -> None:
        self.attempts = 0
        self.sent = False
        self.status = 0


class Answer:
    """A status and as much of the body as came."""

    __slots__ = ("body", "error", "note", "received_bytes", "status")

    def __init__(
        self, status: int, body: bytes, received_bytes: int, error: str = "", note: str = ""
    ) -> None:
        """``note`` is what the head says about why (a redirect, a pause asked for)."""
        self.note = note
        self.status = status
        self.body = body
        self.received_bytes = received_bytes
        self.error = error


class HttpBegun(Begun):
    """A first attempt that was made elsewhere, handed over where it became unusual.

    Exactly one of: a whole ``answer``; a ``failure``; ``expired``, its deadline passed; or `read`,
    to be overridden, which brings the rest.  ``began_s`` is `time.perf_counter`'s; ``sent`` is False
    where surely nothing left this machine; ``status`` is as much as is known of an answer, else 0.
    """

    def __init__(
        self,
        began_s: float,
        *,
        sent: bool = True,
        answer: Answer | None = None,
        failure: NoAnswer | None = None,
        expired: bool = False,
        status: int = 0,
    ) -> None:
        self.began_s = began_s
        self.sent = sent
        self.answer = answer
        self.failure = failure
        self.expired = expired
        self.status = status

    def read(self, progress: Progress) -> Answer:
        """Finish sending and reading, as `HttpCalls._attempt` would."""
        raise NotImplementedError


class HttpCalls(ABC):
    """Calls to one base address.  Raises UsageError for an address or token that cannot work."""

    def __init__(
        self,
        url: str,
        *,
        rng: random.Random,
        timeout_s: float = 30.0,
        connect_timeout_s: float = 5.0,
        concurrency: int = 200,
        max_retries: int = 3,
        token: str = "",
        ca_file: str = "",
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        max_age_s: float = MAX_AGE_S,
        door: FrontDoor | None = None,
    ) -> None:
        """``max_age_s`` is how long one connection may serve; see `MAX_AGE_S`."""
        self._url = BaseUrl.parse(url)
        self.door = (door or FrontDoor()).towards(self._url.scheme, self._url.host)
        ca_file = self.door.ca_file or ca_file
        self._rng = rng
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._max_answer_bytes = max_answer_bytes
        self._budget = RetryBudget()
        self._deadlines = Deadlines(timeout_s)
        self.max_age_s = max_age_s
        self._open(max(1, concurrency), min(connect_timeout_s, timeout_s), ca_file)
        #: Through a proxy without TLS the request names the whole address.
        self._origin = f"http://{self._url.host_header}" if self.door.proxy and not self.tls else ""
        self._headers = ""
        self._heads: dict[tuple[str, str], bytes] = {}
        self.authorize(token)

    @property
    def address(self) -> str:
        return str(self._url)

    @property
    def tls(self) -> bool:
        return self._url.tls

    def earn_retry(self) -> None:
        """Count an answer that came some other way."""
        self._budget.succeeded()

    def head(self, method: str, path: str) -> bytes:
        """A request's head up to the headers that describe its body."""
        return self._head(method, path, None)

    def authorize(self, token: str) -> None:
        if not token.isascii() or any(c <= " " for c in token):
            raise UsageError("an access token may hold visible ASCII characters only")
        headers = {
            "Host": self._url.host_header,
            "User-Agent": "banksim",
            "Accept": "application/json",
            **({"Authorization": f"Bearer {token}"} if token else {}),
        }
        known = {name.lower(): name for name in headers}
        for name, value in self.door.headers.items():
            if not (token and name.lower() == "authorization"):
                headers[known.get(name.lower(), name)] = value
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._heads.clear()

    @abstractmethod
    def close(self) -> None:
        """Let go of every connection."""

    @abstractmethod
    def _open(self, concurrency: int, connect_timeout_s: float, ca_file: str) -> None:
        """Prepare connections to ``self._url``; they are made on demand."""

    @abstractmethod
    def _attempt(self, method: str, data: bytes, progress: Progress) -> Answer:
        """Send the request once.

        Sets ``progress.sent`` before anything can have left this machine, and takes that back only
        where surely nothing did; sets ``progress.status`` once known.  Raises NoAnswer.
        """

    def _finish(self, begun: HttpBegun, progress: Progress) -> Answer:
        """What became of an attempt that was begun elsewhere.  Raises NoAnswer and DeadlinePassed."""
        progress.attempts, progress.sent, progress.status = 1, begun.sent, begun.status
        if begun.expired:
            raise DeadlinePassed
        if begun.failure is not None:
            raise begun.failure
        return begun.answer or begun.read(progress)

    @abstractmethod
    def _forget_idle(self) -> None:
        """Close every resting connection: one of them just proved to be stale."""

    def send(self, request: Request) -> Reply:
        data = self.encode(request)
        progress = Progress()
        limit = None
        begun = request.begun if isinstance(request.begun, HttpBegun) else None
        started_s = time.perf_counter() if begun is None else begun.began_s
        self._deadlines.begin(started_s, begun is not None)
        try:
            answer = self._persist(request, data, progress, begun)
        except DeadlinePassed:
            self._budget.failed()
            answer = Answer(progress.status, b"", 0, f"{NO_ANSWER} {self._timeout_s:g} s")
        except NoAnswer as failure:
            answer, limit = Answer(0, b"", 0, str(failure)), failure.limit
        finally:
            self._deadlines.finish()
        latency_ms = (time.perf_counter() - started_s) * 1000.0
        content, error = decoded(answer)
        error = error or answer.note
        # By position: a tuple made of names takes twice as long, and this is made for every call.
        return Reply(
            answer.status,
            content,
            latency_ms,
            error,
            progress.sent,
            len(data),
            answer.received_bytes,
            progress.attempts,
            limit,
        )

    def encode(self, request: Request) -> bytes:
        """The whole request.  ``name`` equals ``path`` where a route has no ids in it: its head is kept."""
        method, path, name, body, query, _, _, headers = request
        head = None if query else self._heads.get((method, path))
        if head is None:
            head = self._head(method, path, query)
            if path == name and not query and len(self._heads) < MAX_HEADS:
                self._heads[method, path] = head
        if headers:
            head += headers.encode("ascii")
        if body is not None:
            payload = body if isinstance(body, bytes) else orjson.dumps(body)
            kind = JSON_OF_LENGTH if b"\r\nContent-Type:" not in head else b"Content-Length: "
            return b"%b%b%d\r\n\r\n%b" % (head, kind, len(payload), payload)
        return head + (b"\r\n" if method in _REPEATABLE_METHODS else b"Content-Length: 0\r\n\r\n")

    def _head(self, method: str, path: str, query: Mapping[str, str] | None) -> bytes:
        target = f"{self._origin}{self._url.prefix}{path}"
        if query:
            target = f"{target}?{urlencode(query)}"
        if not target.isascii() or any(c <= " " for c in target):
            raise ValueError(f"not a request target: {target!r}")
        return f"{method} {target} HTTP/1.1\r\n{self._headers}".encode("ascii")

    def _persist(self, request: Request, data: bytes, progress: Progress, begun: HttpBegun | None) -> Answer:
        """Attempts until there is an answer worth having, or no attempt is allowed any more."""
        repeatable = request.repeatable or request.method in _REPEATABLE_METHODS
        failures = 0
        refreshed = False
        while True:
            try:
                if begun is None:
                    answer = self._attempt(request.method, data, progress)
                else:
                    first, begun = begun, None
                    answer = self._finish(first, progress)
            except NoAnswer as failure:
                again = not progress.sent or (repeatable and self._max_retries > 0)
                if failure.stale and not refreshed and again:
                    refreshed = True
                    self._forget_idle()
                    continue
                if failure.limit is not None:
                    raise
                failures += 1
                self._budget.failed()
                if not self._may_retry(repeatable, failures):
                    raise
            else:
                if answer.status not in _RETRIED_STATUSES:
                    self._budget.succeeded()
                    return answer
                failures += 1
                self._budget.failed()
                if not self._may_retry(repeatable, failures):
                    return answer
            progress.status = 0
            gevent.sleep(backoff_s(failures, self._rng))

    def _may_retry(self, repeatable: bool, failures: int) -> bool:
        return repeatable and failures <= self._max_retries and self._budget.allows_retry


def decoded(answer: Answer) -> tuple[Any, str]:
    """Data and error of an answer; text that is not JSON is an error only where success is claimed."""
    if answer.error or not answer.body:
        return None, answer.error
    try:
        return orjson.loads(answer.body), ""
    except orjson.JSONDecodeError:
        text = answer.body[: 4 * MAX_TEXT_CHARS].decode("utf-8", "replace").strip()[:MAX_TEXT_CHARS]
        return text, "the answer is not JSON" if 200 <= answer.status < 300 else ""
