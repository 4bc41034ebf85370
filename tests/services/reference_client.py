"""The reference HTTP client: geventhttpclient's pool and parser under the shared calls.

It is slower than banksim's own client and written by others, which is what makes it worth
keeping: over one corpus of odd servers both must give the same answers.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from gevent import monkey
from geventhttpclient.connectionpool import ConnectionPool, SSLConnectionPool
from geventhttpclient.response import (
    HTTPConnectionClosed,
    HTTPParseError,
    HTTPResponse,
    HTTPSocketPoolResponse,
)

from banksim.targets.http.client import (
    ENDED_EARLY,
    SWITCHES_PROTOCOL,
    Answer,
    AnswerTooLarge,
    BaseUrl,
    BrokenAnswer,
    HttpCalls,
    NoAnswer,
    Progress,
)
from banksim.targets.http.connection import describe as _describe

# -- Keep-alive connections and bounded answers, on geventhttpclient's pool and parser --------------
#
# geventhttpclient's own ``HTTPClient.request`` is not used: it resends PUT and DELETE on
# its own, up to pool size + 1 times, and hides whether a failed request was written.  Its
# pool and response classes do the work here; what differs is:
#
# * **Liveness.**  The stock check is ``select.select``, which cannot take a descriptor above
#   1023 and then calls every connection dead, so a process with many sockets reconnects for
#   each request.  ``poll`` has no such limit.
# * **Idle age.**  Common servers (uvicorn) close a connection after 5 s of silence.  One that
#   rested longer than `MAX_IDLE_S` is not used again, which keeps a request from racing the
#   server's close: a movement that loses that race would have an unknown fate for no reason.
# * **Size.**  An answer is cut off, headers included, at a limit in bytes.


#: Shorter than uvicorn's default keep-alive of 5 s, with room for a busy server.
MAX_IDLE_S = 4.0
#: Most sockets of one pool: all of them, and the rest of the process, stay below 1024 descriptors.
MAX_CONNECTIONS = 900
READ_BLOCK_BYTES = 16 * 1024
#: The C function itself: gevent's patched one would visit the hub for each call.
_poll: Any = monkey.get_original("select", "poll")


def _has_input(sock: Any) -> bool:
    """True when an idle connection is readable: it was closed, or holds bytes out of turn."""
    poller = _poll()
    poller.register(sock.fileno())  # POLLHUP and POLLERR are always among the answers
    poller.modify(sock.fileno(), 1)  # POLLIN
    return bool(poller.poll(0))


class _IdleAware:
    """Mixed into geventhttpclient's pools: knows since when each resting connection rests."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._idle_since_s: dict[Any, float] = {}  # as bounded as the pool's queue
        super().__init__(*args, **kwargs)

    def take(self) -> tuple[Any, bool]:
        """A connection, and whether it served before.  Waits when all are in use; raises OSError."""
        sock = self.get_socket()  # type: ignore[attr-defined]
        return sock, self._idle_since_s.pop(sock, None) is not None

    def after_connect(self, sock: Any) -> None:
        # A request larger than one segment must not wait for the acknowledgement of its first.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _is_socket_alive(self, sock: Any) -> bool:
        idle_since_s = self._idle_since_s.get(sock, 0.0)
        try:
            alive = time.monotonic() - idle_since_s < MAX_IDLE_S and not _has_input(sock)
        except (OSError, ValueError):  # the descriptor is gone
            alive = False
        if not alive:
            self._idle_since_s.pop(sock, None)
        return alive

    def return_socket(self, sock: Any) -> None:
        self._idle_since_s[sock] = time.monotonic()
        super().return_socket(sock)  # type: ignore[misc]

    def forget_idle(self) -> None:
        """Close every resting connection: one of them just proved to be stale."""
        while not self._socket_queue.empty():  # type: ignore[attr-defined]
            sock = self._socket_queue.get(block=False)  # type: ignore[attr-defined]
            self._idle_since_s.pop(sock, None)
            sock.close()

    def close(self) -> None:
        super().close()  # type: ignore[misc]
        self._idle_since_s.clear()


class PlainPool(_IdleAware, ConnectionPool):  # type: ignore[misc]
    """Connections over TCP."""


class TlsPool(_IdleAware, SSLConnectionPool):  # type: ignore[misc]
    """Connections over TLS: certificate and host name are verified."""


def open_pool(
    url: BaseUrl, *, concurrency: int, connect_timeout_s: float, ca_file: str = ""
) -> PlainPool | TlsPool:
    """The pool for ``url``; it connects on demand.  Reading is bounded by the caller's deadline."""
    settings: dict[str, Any] = {
        "size": max(1, min(concurrency, MAX_CONNECTIONS)),
        "connection_timeout": connect_timeout_s,
        "network_timeout": None,
    }
    if not url.tls:
        return PlainPool(url.host, url.port, url.host, url.port, **settings)
    if ca_file:
        settings["ssl_options"] = {"ca_certs": ca_file}
    return TlsPool(url.host, url.port, url.host, url.port, **settings)


class BoundedResponse(HTTPSocketPoolResponse):  # type: ignore[misc]
    """An answer that stops at ``limit_bytes``, and keeps no headers, since no caller reads one.

    Bytes after a whole answer are dropped and the connection with them; an answer that cannot
    be read beyond its headers still has its status.
    """

    def __init__(self, sock: Any, pool: Any, *, method: str, limit_bytes: int) -> None:
        self.received_bytes = 0
        self._limit_bytes = limit_bytes
        self._broken: HTTPParseError | None = None
        super().__init__(sock, pool, block_size=READ_BLOCK_BYTES, method=method)

    def feed(self, data: bytes) -> None:
        self.received_bytes += len(data)
        if self.received_bytes > self._limit_bytes:
            raise AnswerTooLarge(self._limit_bytes)
        had_headers = self._has_headers
        try:
            super().feed(data)
        except HTTPParseError as error:
            if self._has_headers and self.message_complete:
                self._trailing_data_dropped = True
            elif self._has_headers and not had_headers:
                self._broken = error  # kept for `whole_body`: the status comes first
            else:
                raise

    def whole_body(self) -> bytes:
        """The rest of the answer.  Raises OSError, HTTPParseError and AnswerTooLarge."""
        if self._broken is not None:
            raise self._broken
        body: bytes = self.read()
        return body

    @property
    def _has_headers(self) -> bool:
        """Whether all headers of the answer itself, not of an interim one, have come."""
        return bool(self.headers_complete and self.get_code() >= 200)

    def _on_message_begin(self) -> None:
        if self.message_complete and self._has_headers:
            raise HTTPParseError("bytes after the answer")
        super()._on_message_begin()

    def _on_message_complete(self) -> None:
        # Not released here: what else came in the same block decides whether it can be used again.
        HTTPResponse._on_message_complete(self)

    def _on_header_field(self, string: str) -> None:
        pass

    def _on_header_value(self, string: str) -> None:
        pass


#: What this parser says of an answer that is not whole, in our words.
_WORDS = {
    "Incomplete response.": ENDED_EARLY,
    "Invalid EOF state": ENDED_EARLY,
    "connection closed before end of the headers": ENDED_EARLY,
    "connection closed after interim response": ENDED_EARLY,
    "Pause on CONNECT/Upgrade": SWITCHES_PROTOCOL,
}


class ReferenceTransport(HttpCalls):
    """Calls one base address.  Raises UsageError for an address or token that cannot work."""

    def _open(self, concurrency: int, connect_timeout_s: float, ca_file: str) -> None:
        self._pool = open_pool(
            self._url, concurrency=concurrency, connect_timeout_s=connect_timeout_s, ca_file=ca_file
        )

    def close(self) -> None:
        self._pool.close()

    def _forget_idle(self) -> None:
        self._pool.forget_idle()

    def _attempt(self, method: str, data: bytes, progress: Progress) -> Answer:
        progress.attempts += 1
        try:
            sock, reused = self._pool.take()
        except (OSError, RuntimeError) as error:
            raise NoAnswer(describe(error)) from error
        try:
            self._write(sock, data, progress, reused)
        except BaseException:
            self._pool.release_socket(sock)
            raise
        try:  # from here on the response owns the connection
            response = BoundedResponse(sock, self._pool, method=method, limit_bytes=self._max_answer_bytes)
        except HTTPConnectionClosed as error:
            raise NoAnswer("the connection was closed before an answer", stale=reused) from error
        except (OSError, HTTPParseError, AnswerTooLarge) as error:
            raise NoAnswer(describe(error)) from error
        return self._read(response, progress)

    def _write(self, sock: Any, data: bytes, progress: Progress, reused: bool) -> None:
        """Send the request.  ``progress.sent`` is set before anything can have left this machine."""
        sent_before = progress.sent
        progress.sent = True
        accepted = 0
        try:
            accepted = sock.send(data)
            if accepted < len(data):
                sock.sendall(data[accepted:])
        except OSError as error:
            # A plain socket that fails on its first write has accepted nothing.  TLS may have
            # passed some records on by then, so nothing is claimed about it.
            if accepted == 0 and not self._url.tls:
                progress.sent = sent_before
            raise NoAnswer(describe(error), stale=reused) from error

    def _read(self, response: BoundedResponse, progress: Progress) -> Answer:
        status: int = response.get_code()
        progress.status = status
        try:
            return Answer(status, response.whole_body(), response.received_bytes)
        except (OSError, HTTPParseError, AnswerTooLarge) as error:
            text = f"the answer broke off: {describe(error)}"
            return Answer(status, b"", response.received_bytes, text)
        finally:
            response.release()


def describe(error: BaseException) -> str:
    """A connection's failure as shown to users, this parser's own ones included."""
    if isinstance(error, HTTPParseError):
        text = str(error.args[0] if error.args else error)
        return _describe(BrokenAnswer(_WORDS.get(text, text)))
    return _describe(error)
