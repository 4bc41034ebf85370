"""Reads answers off one connection, with the C parser of httptools.

One reader serves all answers of a connection: making a parser costs more than a parse.
An answer is whole when its length says so, when its last chunk came, or, where it has
neither length nor chunks, when the server closed.  Interim answers (1xx) are passed over.

Whatever comes after a whole answer nobody asked for: it is dropped, and the connection
is not used again.
"""

from __future__ import annotations

import httptools

from banksim.systems.http_calls import ENDED_EARLY, SWITCHES_PROTOCOL, AnswerTooLarge, BrokenAnswer

_FRAMING_HEADERS = frozenset({b"content-length", b"transfer-encoding"})


class AnswerReader:
    """The answer being read: ``status`` is 0 until its headers are complete.

    ``received_bytes`` counts everything since `expect`, headers included; ``reusable`` says
    whether the connection may carry another request.
    """

    __slots__ = (
        "_framed",
        "_headers_only",
        "_limit_bytes",
        "_parser",
        "_parts",
        "complete",
        "received_bytes",
        "reusable",
        "status",
    )

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._parser = httptools.HttpResponseParser(self)
        self.expect()

    def expect(self, headers_only: bool = False) -> None:
        """The next answer begins.  ``headers_only``: it was asked for with HEAD and has no body."""
        self._headers_only = headers_only
        self._framed = False
        self._parts: list[bytes] = []
        self.status = 0
        self.received_bytes = 0
        self.complete = False
        self.reusable = False

    @property
    def body(self) -> bytes:
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def feed(self, block: bytes) -> None:
        """Take what came.  Raises AnswerTooLarge, and BrokenAnswer for what is not HTTP."""
        self.received_bytes += len(block)
        if self.received_bytes > self._limit_bytes:
            raise AnswerTooLarge(self._limit_bytes)
        try:
            self._parser.feed_data(block)
        except httptools.HttpParserUpgrade as error:
            raise BrokenAnswer(SWITCHES_PROTOCOL) from error
        except httptools.HttpParserError as error:
            self.reusable = False
            if not self.complete:  # else what cannot be read is not part of the answer
                raise BrokenAnswer(error.args[0] if error.args else type(error).__name__) from error

    def end(self) -> None:
        """The server closed.  Raises BrokenAnswer unless that is how this answer ends."""
        if not self.status or self._framed:
            raise BrokenAnswer(ENDED_EARLY)
        self.complete = True

    # What the parser calls

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: ARG002  the parser's
        if name.lower() in _FRAMING_HEADERS:
            self._framed = True

    def on_headers_complete(self) -> None:
        status: int = self._parser.get_status_code()
        if self.complete or status < 200:
            return
        self.status = status
        if self._headers_only:
            self.complete = True  # the parser waits for a body, so this connection is not reusable

    def on_body(self, part: bytes) -> None:
        if not self.complete:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        if not self.status:
            self._framed = False  # an interim answer; the real one follows
        elif not self.complete:
            self.complete = True
            # Only here: afterwards the parser says False whatever the server said.
            self.reusable = self._parser.should_keep_alive()
