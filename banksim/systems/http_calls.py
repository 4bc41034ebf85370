"""What every way of doing HTTP here shares: requests, retries, the deadline, and errors in words.

What is sent again, and what never is:

* A request of which the server's side accepted no byte, because a resting connection had
  been closed meanwhile, goes out on a new connection.  That is safe for everything.
* A *repeatable* request (any GET, a score) is tried again after a lost connection or a
  502, 503, 504: at most ``max_retries`` times, with backoff, while the budget allows it
  and the deadline has not passed.  A timeout is not retried: the answer would be no use.
* Everything else that was written, wholly or in part, is never sent again.

One deadline (``timeout_s``) covers the whole call: waiting for a connection, connecting,
writing, reading, and retries.  A server that drips one byte a second hits it too.

A client adds how one attempt is made.  Not handled: redirects (an answer like any other),
proxies, compression, HTTP/2.
"""

from __future__ import annotations

import random
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import gevent
import orjson

from banksim.domain import UsageError
from banksim.systems.base_url import BaseUrl
from banksim.systems.deadlines import DeadlinePassed, Deadlines
from banksim.systems.retries import RetryBudget, backoff_s
from banksim.systems.transport import Reply

MAX_ANSWER_BYTES = 1024 * 1024
#: Text of a body that is not JSON is kept up to here, for the error message.
MAX_TEXT_CHARS = 500
#: Request heads kept ready, one per method and route; routes are few.
MAX_HEADS = 100
#: Two ways in which an answer is not whole, in the same words whichever parser met them.
ENDED_EARLY = "it ended early"
SWITCHES_PROTOCOL = "it switches to another protocol"
_JSON_OF_LENGTH = b"Content-Type: application/json\r\nContent-Length: "
_RETRIED_STATUSES = frozenset({502, 503, 504})
_REPEATABLE_METHODS = frozenset({"GET", "HEAD"})


class NoAnswer(Exception):
    """No status line came.  ``stale``: a reused connection turned out to be closed."""

    def __init__(self, text: str, *, stale: bool = False) -> None:
        self.stale = stale
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

    __slots__ = ("body", "error", "received_bytes", "status")

    def __init__(self, status: int, body: bytes, received_bytes: int, error: str = "") -> None:
        self.status = status
        self.body = body
        self.received_bytes = received_bytes
        self.error = error


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
    ) -> None:
        self._url = BaseUrl.parse(url)
        self._rng = rng
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._max_answer_bytes = max_answer_bytes
        self._budget = RetryBudget()
        self._deadlines = Deadlines(timeout_s)
        self._open(max(1, concurrency), min(connect_timeout_s, timeout_s), ca_file)
        self._headers = ""
        self._heads: dict[tuple[str, str], bytes] = {}
        self.authorize(token)

    @property
    def address(self) -> str:
        return str(self._url)

    def authorize(self, token: str) -> None:
        if not token.isascii() or any(c <= " " for c in token):
            raise UsageError("an access token may hold visible ASCII characters only")
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        self._headers = (
            f"Host: {self._url.host_header}\r\nUser-Agent: banksim\r\nAccept: application/json\r\n{bearer}"
        )
        self._heads.clear()

    @abstractmethod
    def close(self) -> None:
        """Let go of every connection."""

    @abstractmethod
    def _open(self, concurrency: int, connect_timeout_s: float, ca_file: str) -> None:
        """Prepare connections to ``self._url``; they are made on demand."""

    @abstractmethod
    def _attempt(self, method: str, request: bytes, progress: Progress) -> Answer:
        """Send the request once.

        Sets ``progress.sent`` before anything can have left this machine, and takes that back only
        where surely nothing did; sets ``progress.status`` once known.  Raises NoAnswer.
        """

    @abstractmethod
    def _forget_idle(self) -> None:
        """Close every resting connection: one of them just proved to be stale."""

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
        request = self._request_bytes(method, path, name, body, query)
        progress = Progress()
        started_s = time.perf_counter()
        self._deadlines.begin(started_s)
        try:
            answer = self._persist(method, request, progress, repeatable or method in _REPEATABLE_METHODS)
        except DeadlinePassed:
            self._budget.failed()
            answer = Answer(progress.status, b"", 0, f"no answer within {self._timeout_s:g} s")
        except NoAnswer as failure:
            answer = Answer(0, b"", 0, str(failure))
        finally:
            self._deadlines.finish()
        latency_ms = (time.perf_counter() - started_s) * 1000.0
        data, error = decoded(answer)
        # By position: a tuple made of names takes twice as long, and this is made for every call.
        return Reply(
            answer.status,
            data,
            latency_ms,
            error,
            progress.sent,
            len(request),
            answer.received_bytes,
            progress.attempts,
        )

    def _request_bytes(
        self,
        method: str,
        path: str,
        name: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
    ) -> bytes:
        """The whole request.  ``name`` equals ``path`` where a route has no ids in it: its head is kept."""
        head = None if query else self._heads.get((method, path))
        if head is None:
            head = self._head(method, path, query)
            if path == name and not query and len(self._heads) < MAX_HEADS:
                self._heads[method, path] = head
        if body is not None:
            payload = orjson.dumps(body)
            return b"%b%b%d\r\n\r\n%b" % (head, _JSON_OF_LENGTH, len(payload), payload)
        return head + (b"\r\n" if method in _REPEATABLE_METHODS else b"Content-Length: 0\r\n\r\n")

    def _head(self, method: str, path: str, query: Mapping[str, str] | None) -> bytes:
        target = f"{self._url.prefix}{path}"
        if query:
            target = f"{target}?{urlencode(query)}"
        if not target.isascii() or any(c <= " " for c in target):
            raise ValueError(f"not a request target: {target!r}")
        return f"{method} {target} HTTP/1.1\r\n{self._headers}".encode("ascii")

    def _persist(self, method: str, request: bytes, progress: Progress, repeatable: bool) -> Answer:
        """Attempts until there is an answer worth having, or no attempt is allowed any more."""
        failures = 0
        refreshed = False
        while True:
            try:
                answer = self._attempt(method, request, progress)
            except NoAnswer as failure:
                if failure.stale and not refreshed and (repeatable or not progress.sent):
                    refreshed = True
                    self._forget_idle()
                    continue
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


def describe(error: BaseException) -> str:
    """A connection's failure in words for people."""
    match error:
        case AnswerTooLarge():
            return str(error)
        case BrokenAnswer():
            return f"not a whole HTTP answer ({error})"
        case ssl.SSLCertVerificationError():
            return f"the server's certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or error}"
        case socket.gaierror():
            return "the host name is not known"
        case ConnectionRefusedError():
            return "connection refused"
        case TimeoutError():
            return "connecting took too long"
        case ConnectionResetError() | BrokenPipeError():
            return "the connection was reset"
        case _:
            return str(error) or type(error).__name__
