"""The lean HTTP/1.1 client: as little work per call as the protocol allows.

A load generator's own cost is load the target never sees.  Compared with a general client
there are no cookies, no URL objects, no header dictionaries and no timer per call; request
heads are kept ready, connections are raw sockets that stay with their parser and their
watcher.  What a call means (what is retried, what is never sent twice, how errors read) is
shared with the reference client, and one corpus of odd servers holds both to it.
"""

from __future__ import annotations

from banksim.systems.http_calls import (
    Answer,
    AnswerTooLarge,
    BrokenAnswer,
    HttpCalls,
    NoAnswer,
    Progress,
    describe,
)
from banksim.systems.lean_connections import Connection, Connector, LeanPool


class LeanTransport(HttpCalls):
    """Calls one base address.  Raises UsageError for an address or token that cannot work."""

    def _open(self, concurrency: int, connect_timeout_s: float, ca_file: str) -> None:
        connector = Connector(
            self._url, timeout_s=connect_timeout_s, limit_bytes=self._max_answer_bytes, ca_file=ca_file
        )
        self._pool = LeanPool(connector.connect, concurrency)

    def close(self) -> None:
        self._pool.close()

    def _forget_idle(self) -> None:
        self._pool.forget_idle()

    def _attempt(self, method: str, request: bytes, progress: Progress) -> Answer:
        progress.attempts += 1
        try:
            connection = self._pool.take()
        except (OSError, RuntimeError) as error:
            raise NoAnswer(describe(error)) from error
        reader = connection.reader
        reader.expect(method == "HEAD")
        try:
            sent_before, progress.sent = progress.sent, True
            try:
                connection.send(request)
            except OSError as error:
                if connection.nothing_left:
                    progress.sent = sent_before
                raise NoAnswer(describe(error), stale=connection.served) from error
            return self._read(connection, progress)
        finally:
            # Also when the caller is killed or out of time: an answer half read is never reusable.
            self._pool.give_back(connection, reader.reusable)

    def _read(self, connection: Connection, progress: Progress) -> Answer:
        reader = connection.reader
        try:
            while not reader.complete:
                block = connection.receive()
                if block:
                    reader.feed(block)
                elif reader.received_bytes:
                    reader.end()
                else:
                    raise ConnectionResetError
                progress.status = reader.status
        except (OSError, BrokenAnswer, AnswerTooLarge) as error:
            reader.reusable = False
            return self._broken(connection, error)
        return Answer(reader.status, reader.body, reader.received_bytes)

    def _broken(self, connection: Connection, error: Exception) -> Answer:
        """An answer that broke off after its status.  Raises NoAnswer where there is not even one."""
        reader = connection.reader
        if reader.status:
            text = f"the answer broke off: {describe(error)}"
            return Answer(reader.status, b"", reader.received_bytes, text)
        if not reader.received_bytes and isinstance(error, ConnectionResetError):
            text = "the connection was closed before an answer"
            raise NoAnswer(text, stale=connection.served) from error
        raise NoAnswer(describe(error)) from error
