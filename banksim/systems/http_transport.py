"""HTTP under gevent: one bounded pool of keep-alive connections to one system.

What is sent again, and what never is:

* A request of which the server's side accepted no byte, because a resting connection had
  been closed meanwhile, goes out on a new connection.  That is safe for everything.
* A *repeatable* request (any GET, a score) is tried again after a lost connection or a
  502, 503, 504: at most ``max_retries`` times, with backoff, while the budget allows it
  and the deadline has not passed.  A timeout is not retried: the answer would be no use.
* Everything else that was written, wholly or in part, is never sent again.

One deadline (``timeout_s``) covers the whole call: waiting for a connection, connecting,
writing, reading, and retries.  A server that drips one byte a second hits it too.

Not handled: redirects (an answer like any other), proxies, compression, HTTP/2.
"""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import gevent
import orjson
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from banksim.domain import UsageError
from banksim.systems.base_url import BaseUrl
from banksim.systems.connections import AnswerTooLarge, BoundedResponse, open_pool
from banksim.systems.retries import RetryBudget, backoff_s
from banksim.systems.transport import Reply

MAX_ANSWER_BYTES = 1024 * 1024
#: Text of a body that is not JSON is kept up to here, for the error message.
MAX_TEXT_CHARS = 500
_RETRIED_STATUSES = frozenset({502, 503, 504})
_REPEATABLE_METHODS = frozenset({"GET", "HEAD"})


class _NoAnswer(Exception):
    """No status line came.  ``stale``: a reused connection turned out to be closed."""

    def __init__(self, text: str, *, stale: bool = False) -> None:
        self.stale = stale
        super().__init__(text)


class _Progress:
    """How far one call got, readable when its deadline cuts it off."""

    __slots__ = ("attempts", "sent", "status")

    def __init__(self) -> None:
        self.attempts = 0
        self.sent = False
        self.status = 0


class _Answer:
    """A status and as much of the body as came."""

    __slots__ = ("body", "error", "received_bytes", "status")

    def __init__(self, status: int, body: bytes, received_bytes: int, error: str = "") -> None:
        self.status = status
        self.body = body
        self.received_bytes = received_bytes
        self.error = error


class HttpTransport:
    """Calls one base address.  Raises UsageError for an address or token that cannot work."""

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
        self._pool = open_pool(
            self._url,
            concurrency=concurrency,
            connect_timeout_s=min(connect_timeout_s, timeout_s),
            ca_file=ca_file,
        )
        self._headers = ""
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

    def close(self) -> None:
        self._pool.close()

    def call(
        self,
        method: str,
        path: str,
        name: str,  # noqa: ARG002  the protocol's: figures group by it, the wire does not carry it
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        repeatable: bool = False,
    ) -> Reply:
        request = self._request_bytes(method, path, body, query)
        progress = _Progress()
        answer = _Answer(0, b"", 0)
        started_s = time.perf_counter()
        deadline = gevent.Timeout(self._timeout_s)
        try:
            with deadline:
                answer = self._persist(method, request, progress, repeatable or method in _REPEATABLE_METHODS)
        except gevent.Timeout as fired:
            if fired is not deadline:
                raise
            self._budget.failed()
            answer = _Answer(progress.status, b"", 0, f"no answer within {self._timeout_s:g} s")
        except _NoAnswer as failure:
            answer.error = str(failure)
        latency_ms = (time.perf_counter() - started_s) * 1000.0
        data, error = _decoded(answer)
        return Reply(
            status=answer.status,
            data=data,
            latency_ms=latency_ms,
            error=error,
            sent=progress.sent,
            request_bytes=len(request),
            response_bytes=answer.received_bytes,
            attempts=progress.attempts,
        )

    def _request_bytes(
        self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, str] | None
    ) -> bytes:
        target = f"{self._url.prefix}{path}"
        if query:
            target = f"{target}?{urlencode(query)}"
        if not target.isascii() or any(c <= " " for c in target):
            raise ValueError(f"not a request target: {target!r}")
        head = f"{method} {target} HTTP/1.1\r\n{self._headers}"
        if body is None:
            length = "" if method in _REPEATABLE_METHODS else "Content-Length: 0\r\n"
            return f"{head}{length}\r\n".encode("ascii")
        payload = orjson.dumps(body)
        head = f"{head}Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        return head.encode("ascii") + payload

    def _persist(self, method: str, request: bytes, progress: _Progress, repeatable: bool) -> _Answer:
        """Attempts until there is an answer worth having, or no attempt is allowed any more."""
        failures = 0
        refreshed = False
        while True:
            try:
                answer = self._attempt(method, request, progress)
            except _NoAnswer as failure:
                if failure.stale and not refreshed and (repeatable or not progress.sent):
                    refreshed = True
                    self._pool.forget_idle()
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

    def _attempt(self, method: str, request: bytes, progress: _Progress) -> _Answer:
        progress.attempts += 1
        try:
            sock, reused = self._pool.take()
        except (OSError, RuntimeError) as error:
            raise _NoAnswer(describe(error)) from error
        try:
            self._write(sock, request, progress, reused)
        except BaseException:
            self._pool.release_socket(sock)
            raise
        try:  # from here on the response owns the connection
            response = BoundedResponse(sock, self._pool, method=method, limit_bytes=self._max_answer_bytes)
        except HTTPConnectionClosed as error:
            raise _NoAnswer("the connection was closed before an answer", stale=reused) from error
        except (OSError, HTTPParseError, AnswerTooLarge) as error:
            raise _NoAnswer(describe(error)) from error
        return self._read(response, progress)

    def _write(self, sock: Any, request: bytes, progress: _Progress, reused: bool) -> None:
        """Send the request.  ``progress.sent`` is set before anything can have left this machine."""
        sent_before = progress.sent
        progress.sent = True
        accepted = 0
        try:
            accepted = sock.send(request)
            if accepted < len(request):
                sock.sendall(request[accepted:])
        except OSError as error:
            # A plain socket that fails on its first write has accepted nothing.  TLS may have
            # passed some records on by then, so nothing is claimed about it.
            if accepted == 0 and not self._url.tls:
                progress.sent = sent_before
            raise _NoAnswer(describe(error), stale=reused) from error

    def _read(self, response: BoundedResponse, progress: _Progress) -> _Answer:
        status: int = response.get_code()
        progress.status = status
        try:
            return _Answer(status, response.read(), response.received_bytes)
        except (OSError, HTTPParseError, AnswerTooLarge) as error:
            text = f"the answer broke off: {describe(error)}"
            return _Answer(status, b"", response.received_bytes, text)
        finally:
            response.release()


def _decoded(answer: _Answer) -> tuple[Any, str]:
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
        case HTTPParseError():
            return f"not a whole HTTP answer ({error.args[0] if error.args else error})"
        case _:
            return str(error) or type(error).__name__
