"""The reference HTTP client: geventhttpclient's pool and parser under the shared calls.

It is slower than the lean client and written by others, which is what makes it worth
keeping: over one corpus of odd servers both must give the same answers, and a doubt about
a figure can be settled by running again with the other one (BANKSIM_HTTP_CLIENT=reference).
"""

from __future__ import annotations

from typing import Any

from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from banksim.systems.connections import BoundedResponse, open_pool
from banksim.systems.http_calls import (
    ENDED_EARLY,
    SWITCHES_PROTOCOL,
    Answer,
    AnswerTooLarge,
    BrokenAnswer,
    HttpCalls,
    NoAnswer,
    Progress,
)
from banksim.systems.http_calls import describe as _describe

#: What this parser says of an answer that is not whole, in our words.
_WORDS = {
    "Incomplete response.": ENDED_EARLY,
    "Invalid EOF state": ENDED_EARLY,
    "connection closed before end of the headers": ENDED_EARLY,
    "connection closed after interim response": ENDED_EARLY,
    "Pause on CONNECT/Upgrade": SWITCHES_PROTOCOL,
}


class HttpTransport(HttpCalls):
    """Calls one base address.  Raises UsageError for an address or token that cannot work."""

    def _open(self, concurrency: int, connect_timeout_s: float, ca_file: str) -> None:
        self._pool = open_pool(
            self._url, concurrency=concurrency, connect_timeout_s=connect_timeout_s, ca_file=ca_file
        )

    def close(self) -> None:
        self._pool.close()

    def _forget_idle(self) -> None:
        self._pool.forget_idle()

    def _attempt(self, method: str, request: bytes, progress: Progress) -> Answer:
        progress.attempts += 1
        try:
            sock, reused = self._pool.take()
        except (OSError, RuntimeError) as error:
            raise NoAnswer(describe(error)) from error
        try:
            self._write(sock, request, progress, reused)
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

    def _write(self, sock: Any, request: bytes, progress: Progress, reused: bool) -> None:
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
    """A connection's failure in words for people, this parser's own ones included."""
    if isinstance(error, HTTPParseError):
        text = str(error.args[0] if error.args else error)
        return _describe(BrokenAnswer(_WORDS.get(text, text)))
    return _describe(error)
