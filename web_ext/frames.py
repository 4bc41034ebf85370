"""One WebSocket connection on the socket of a request that gevent's server is answering.

Ready-made servers write with ``send``, which on a gevent socket may take only a part: the
rest is lost and the stream of a slow client breaks.  Here every byte goes out by ``sendall``.
A frame to a client is not masked, so its bytes are the same for all: they are made once.
wsproto does the handshake and reads what the client says.

Bounds: a message from a client has at most MAX_MESSAGE_BYTES; a write that is stuck for
SEND_TIMEOUT_S, or a client silent for two pings, ends the connection.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

MAX_MESSAGE_BYTES: Final = 16_384
PING_EVERY_S: Final = 15.0
SEND_TIMEOUT_S: Final = 30.0
#: Small, so that a slow client's backlog stays here, where it is dropped in order, and not in the kernel.
SEND_BUFFER_BYTES: Final = 65_536

PING_FRAME: Final = b"\x89\x00"
_TEXT: Final = 0x81


class NoSocket(Exception):
    """The request's connection cannot be taken over."""


def text_frame(payload: bytes) -> bytes:
    """A whole text message (UTF-8) as the bytes of one unmasked frame."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 65_536:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload


class Connection:
    """Accepts on construction.  One reader (`messages`); any number of writers (`send`)."""

    def __init__(self, environ: Mapping[str, Any], headers: list[tuple[bytes, bytes]]) -> None:
        """Raises NoSocket when the server is not gevent's, ProtocolError for a bad handshake."""
        raw = _socket_of(environ)
        self._reader, self._writer = raw.dup(), raw.dup()
        self._reader.settimeout(PING_EVERY_S)
        self._writer.settimeout(SEND_TIMEOUT_S)
        self._writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._writing = threading.Lock()
        self._parts: list[str] = []
        self._protocol = WSConnection(ConnectionType.SERVER)
        try:
            self._accept(headers, environ.get("PATH_INFO", "/"))
        except BaseException:
            self._reader.close()
            self._writer.close()
            raise

    def send(self, data: bytes) -> None:
        """Write whole frames.  Raises OSError when the client is gone or stuck."""
        with self._writing:
            self._writer.sendall(data)

    def messages(self) -> Iterator[str]:
        """What the client says, until it leaves or falls silent.  Sends the pings."""
        unanswered = 0
        while True:
            try:
                data = self._reader.recv(4096)
            except TimeoutError:
                unanswered += 1
                if unanswered > 2:
                    return
                self._try_send(PING_FRAME)
                continue
            except OSError:
                return
            if not data:
                return
            unanswered = 0
            try:
                self._protocol.receive_data(data)
                yield from self._take_events()
            except (_Closed, ProtocolError):
                return

    def close(self) -> None:
        """End the connection, also for the server's own handle of it; closing twice does no harm."""
        with suppress(OSError):  # the client may have been first
            self._reader.shutdown(socket.SHUT_RDWR)
        self._reader.close()
        self._writer.close()

    def _accept(self, headers: list[tuple[bytes, bytes]], path: str) -> None:
        self._protocol.initiate_upgrade_connection(headers, path.encode("ascii", "replace"))
        for event in self._protocol.events():
            if isinstance(event, Request):
                self.send(self._protocol.send(AcceptConnection()))

    def _take_events(self) -> Iterator[str]:
        for event in self._protocol.events():
            if isinstance(event, Ping):
                self._try_send(self._protocol.send(event.response()))
            elif isinstance(event, CloseConnection):
                self._try_send(self._protocol.send(event.response()))
                raise _Closed
            elif isinstance(event, TextMessage | BytesMessage):
                self._parts.append(_text_of(event))
                if sum(map(len, self._parts)) > MAX_MESSAGE_BYTES:
                    raise _Closed
                if event.message_finished:
                    text, self._parts = "".join(self._parts), []
                    yield text

    def _try_send(self, data: bytes) -> None:
        try:
            self.send(data)
        except OSError:
            raise _Closed from None


class _Closed(Exception):
    """The conversation is over."""


def _text_of(event: Message[Any]) -> str:
    data = event.data
    return data if isinstance(data, str) else bytes(data).decode("utf-8", "replace")


def _socket_of(environ: Mapping[str, Any]) -> socket.socket:
    """The connection beneath a request that gevent's pywsgi is answering."""
    source = environ.get("wsgi.input")
    # For an upgrade it hands out the connection's own reader, else a wrapper around it.
    reader = getattr(source, "rfile", source)
    found = getattr(getattr(reader, "raw", None), "_sock", None)
    if found is None:
        raise NoSocket("this server's connections cannot be taken over")
    return found  # type: ignore[no-any-return]
