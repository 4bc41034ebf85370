"""Reads answers off one connection, with the C parser of httptools.

One reader serves all answers of a connection: making a parser costs more than a parse.
An answer is whole when its length says so, when its last chunk came, or, where it has
neither length nor chunks, when the server closed.  Interim answers (1xx) are passed over.

Whatever comes after a whole answer is dropped, and the connection is not used again.

Under load a server's heads repeat: within a second only the length varies.  So a head that
the parser has read is remembered with what it meant, and an answer that comes in one block
under such a head is taken apart without the parser, in a tenth of the time.  What is not
the same to the byte goes the long way, so there is one understanding of HTTP and not two.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import httptools

from banksim.targets.http.client import ENDED_EARLY, SWITCHES_PROTOCOL, AnswerTooLarge, BrokenAnswer

_FRAMING_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
#: Headers that change how an answer is read, or say why it is one.
_NOTED = frozenset({b"location", b"retry-after", b"content-encoding"})
HEAD_END = b"\r\n\r\n"
#: Heads remembered per connector; when it is full all are forgotten, for most hold an old date.
MAX_HEADS = 256


class KnownHead(NamedTuple):
    """What a head meant: its status, and the length of its body in bytes."""

    status: int
    body_bytes: int


Heads = dict[bytes, KnownHead]


class AnswerReader:
    """The answer being read: ``status`` is 0 until its headers are complete.

    ``received_bytes`` counts everything since `expect`, headers included; ``reusable`` says
    whether the connection may carry another request.
    """

    __slots__ = (
        "_first_block",
        "_framed",
        "_headers_only",
        "_heads",
        "_limit_bytes",
        "_noted",
        "_parser",
        "_parts",
        "complete",
        "received_bytes",
        "reusable",
        "status",
    )

    def __init__(self, limit_bytes: int, heads: Heads | None = None) -> None:
        """``heads`` are shared by the connections to one server."""
        self._limit_bytes = limit_bytes
        self._heads: Heads = {} if heads is None else heads
        self._parser = httptools.HttpResponseParser(self)
        self.expect()

    def expect(self, headers_only: bool = False) -> None:
        """The next answer begins.  ``headers_only``: it was asked for with HEAD and has no body."""
        self._headers_only = headers_only
        self._framed = False
        self._noted: dict[bytes, str] = {}
        self._parts: list[bytes] = []
        self._first_block = b""
        self.status = 0
        self.received_bytes = 0
        self.complete = False
        self.reusable = False

    @property
    def body(self) -> bytes:
        """Unpacked where the server packed it, asked for or not."""
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._noted.get(b"content-encoding", "").lower() not in ("gzip", "x-gzip", "deflate"):
            return body
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)
        try:
            unpacked = unpack.decompress(body, self._limit_bytes)
        except zlib.error:
            return body  # which then reads as what it is: no JSON
        return body if unpack.unconsumed_tail else unpacked

    @property
    def note(self) -> str:
        """Where a redirect leads, or for how long the server asks to be left alone; mostly empty."""
        if not self._noted or self.status < 300:
            return ""
        if 300 <= self.status < 400 and b"location" in self._noted:
            return f"it redirects to {self._noted[b'location']}, which is not followed"
        pause = self._noted.get(b"retry-after")
        return f"asks to come back after {pause}{' s' if pause.isdigit() else ''}" if pause else ""

    def feed(self, block: bytes) -> None:
        """Take what came.  Raises AnswerTooLarge, and BrokenAnswer for what is not HTTP."""
        first = not self.received_bytes
        self.received_bytes += len(block)
        if self.received_bytes > self._limit_bytes:
            raise AnswerTooLarge(self._limit_bytes)
        if first:
            if self._is_known(block):
                return
            self._first_block = block
        try:
            self._parser.feed_data(block)
        except httptools.HttpParserUpgrade as error:
            raise BrokenAnswer(SWITCHES_PROTOCOL) from error
        except httptools.HttpParserError as error:
            self.reusable = False
            if not self.complete:  # else what cannot be read is not part of the answer
                raise BrokenAnswer(error.args[0] if error.args else type(error).__name__) from error

    def _is_known(self, block: bytes) -> bool:
        """Whether the block is a whole answer under a head known from before; then it has been taken."""
        head, _, body = block.partition(HEAD_END)
        known = self._heads.get(head)
        if known is None or known.body_bytes != len(body) or self._headers_only:
            return False
        self.status = known.status
        self._parts.append(body)
        self.complete = self.reusable = True
        return True

    def _remember(self) -> None:
        """Keep the head of an answer that is nothing but a head, whole in its first block, and a body."""
        head, end, _ = self._first_block.partition(HEAD_END)
        body_bytes = sum(map(len, self._parts))
        if self._noted:
            return
        if end and self.received_bytes == len(head) + len(end) + body_bytes:  # else chunks, or more answers
            if len(self._heads) >= MAX_HEADS:
                self._heads.clear()
            self._heads[head] = KnownHead(self.status, body_bytes)

    def end(self) -> None:
        """The server closed.  Raises BrokenAnswer unless that is how this answer ends."""
        if not self.status or self._framed:
            raise BrokenAnswer(ENDED_EARLY)
        self.complete = True

    # What the parser calls

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in _FRAMING_HEADERS:
            self._framed = True
        elif name in _NOTED:
            self._noted[name] = value[:300].decode("ascii", "replace").strip()

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
            if self.reusable and self._framed:
                self._remember()
