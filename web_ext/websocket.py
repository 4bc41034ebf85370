"""WebSocket clients: ``/ws``, what each of them gets, and the connection beneath.

Until its first ``subscribe`` a client gets everything; that message then names its topics, and later
ones add to them.  A client that joins gets a metrics_update and the last transactions at once.

    hub's logs ─► replies ─► metrics (the newest one only) ─► alerts ─► feed, one batch at a time ─► socket

Ready-made servers write with ``send``, which on a gevent socket may take only a part: the
rest is lost and the stream of a slow client breaks.  Here every byte goes out by ``sendall``.
wsproto does the handshake and reads what the client sends.

Bounds: a message from a client has at most MAX_MESSAGE_BYTES; a write that is stuck for
SEND_TIMEOUT_S, or a client silent for two pings, ends the connection.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import orjson
from flask import Blueprint, Response, request
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

from web_ext import messages
from web_ext.guard import Guard
from web_ext.messages import problem
from web_ext.stream import SNAPSHOT_ITEMS, Hub, Log

logger = logging.getLogger(__name__)

MAX_REPLIES: Final = 50
#: What every client hears, whatever its topics: the run has begun, ended, paused, changed its speed.
SYSTEM: Final = "system"
#: Bytes of one write: small enough that newer metrics never wait long behind it.
BATCH_BYTES: Final = 32_768


class Listener:
    """One client's place in the hub's logs, and the topics it wants.  Used by two threads."""

    def __init__(self, hub: Hub) -> None:
        self.closed = False
        self._hub = hub
        self._logs: dict[str, Log[Any]] = {
            "metrics": hub.metrics,
            "fraud_alerts": hub.alerts,
            "transactions": hub.feed,
            SYSTEM: hub.events,
        }
        self._next = dict.fromkeys(self._logs, 0)
        self._topics = set(messages.TOPICS)
        self._chosen = False
        self._replies: deque[bytes] = deque(maxlen=MAX_REPLIES)

    def join(self) -> bool:
        """Take a place and begin with the last figures and transactions; False when every place is taken."""
        if not self._hub.listen(self):
            return False
        shown = {"metrics": 1, "fraud_alerts": 0, "transactions": SNAPSHOT_ITEMS, SYSTEM: 0}
        self._next = {topic: max(0, log.end - shown[topic]) for topic, log in self._logs.items()}
        return True

    def take(self, timeout_s: float | None = None) -> bytes:
        """Frames to write now, at most about BATCH_BYTES; b"" when closed or after ``timeout_s``."""
        with self._hub.changed:
            self._hub.changed.wait_for(self._has_something, timeout=timeout_s)
            if self.closed:
                return b""
            parts = [*self._replies, *self._newest(SYSTEM), *self._newest("metrics")]
            self._replies.clear()
            for topic in ("fraud_alerts", "transactions"):
                self._fill(parts, topic)
            return b"".join(parts)

    def hear(self, text: str) -> None:
        """Answer a message of the client, whatever it is."""
        try:
            said = orjson.loads(text)
        except orjson.JSONDecodeError:
            said = None
        kind = said.get("type") if isinstance(said, dict) else None
        if kind in ("subscribe", "unsubscribe"):
            self._choose(kind, said.get("topics"))
        elif kind == "ping":
            self._reply(messages.pong())
        elif kind == "get_status":
            self._reply({"type": "status", "data": self._hub.view.status()})
        elif kind == "get_metrics":
            self._reply(messages.metrics_update(self._hub.view.status(), self._hub.view.snapshot()))
        else:
            self._reply(
                messages.problem_message(
                    'Expected JSON with "type": "subscribe", "unsubscribe" (and "topics"), "ping", '
                    '"get_status" or "get_metrics".'
                )
            )

    def close(self) -> None:
        """Leave the hub; what waits is not sent."""
        self.closed = True
        self._hub.leave(self)

    def _has_something(self) -> bool:
        waiting = (self._logs[topic].end > self._next[topic] for topic in (*self._topics, SYSTEM))
        return self.closed or bool(self._replies) or any(waiting)

    def _newest(self, topic: str) -> list[bytes]:
        found, _ = self._logs[topic].after(self._next[topic])
        self._next[topic] = self._logs[topic].end
        return found if topic == SYSTEM or topic in self._topics else []

    def _fill(self, parts: list[bytes], topic: str) -> None:
        """Add what the client has not got of a topic, until the batch is full."""
        if topic not in self._topics:
            return
        waiting, lost = self._logs[topic].after(self._next[topic])
        size, taken = sum(map(len, parts)), 0
        for entry in waiting:
            if size >= BATCH_BYTES:
                break
            parts.append(_frame(entry, lost if not taken else 0))
            size += len(parts[-1])
            taken += 1
        if taken:  # what is lost is counted, and said, with the next message that is sent
            self._next[topic] += lost + taken
            self._hub.counts.skipped += lost

    def _choose(self, kind: str, topics: Any) -> None:
        if not isinstance(topics, list) or not all(topic in messages.TOPICS for topic in topics):
            known = ", ".join(messages.TOPICS)
            self._reply(messages.problem_message(f'"topics": expected a list out of {known}.'))
            return
        before, named = self._topics, set(topics)
        with self._hub.changed:
            if kind == "unsubscribe":
                self._topics = before - named
            elif self._chosen:
                self._topics = before | named
            else:
                self._topics, self._chosen = named, True
            for topic in self._topics - before:  # not what came while it was not wanted
                self._next[topic] = self._logs[topic].end
        self._reply(messages.subscribed(self._topics))

    def _reply(self, message: Any) -> None:
        with self._hub.changed:
            self._replies.append(messages.frame_of(message))
            self._hub.changed.notify_all()


def _frame(entry: bytes | messages.Framed, skipped: int) -> bytes:
    if isinstance(entry, bytes):
        return entry
    message, frame = entry
    return messages.frame_of({**message, "skipped": skipped}) if skipped else frame


# -- The route ``/ws``: host, origin and login are asked before the handshake, like everywhere ------
#
# A browser sends a WebSocket's handshake as a GET from any site, with its Origin and the user's
# cookies; so here, other than for pages, a foreign Origin is refused although nothing changes.


class _Taken(Response):
    """An answer that was given already, on the connection itself."""

    def __call__(self, *_: Any, **__: Any) -> Iterable[bytes]:
        return []


def add_websocket(blueprint: Blueprint, hub: Hub, guard: Guard) -> None:
    """Add ``/ws`` to a blueprint whose ``before_request`` asks the guard."""

    def ws() -> Any:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            response = problem("This address speaks WebSocket: connect with a WebSocket client.", 426)
            response.headers["Upgrade"] = "websocket"
            return response
        refused = guard.refuse_other_site()
        if refused is not None:
            return refused
        listener = Listener(hub)
        if not listener.join():
            return problem("Too many clients are connected already. Close one, or try again later.", 503)
        try:
            connection = Connection(request.environ, _headers())
        except (NoSocket, ProtocolError, OSError) as error:
            listener.close()
            return problem(f"The handshake failed: {error}", 400)
        _converse(listener, connection)
        return _Taken()

    blueprint.add_url_rule("/ws", "ws", ws, websocket=True)
    blueprint.add_url_rule("/ws", "ws_plain", ws)  # without an upgrade the answer says what this address is


def _converse(listener: Listener, connection: Connection) -> None:
    """Until the client leaves, or a write to it fails."""
    writer = threading.Thread(
        target=_write, args=(listener, connection), name="banksim-websocket", daemon=True
    )
    writer.start()
    try:
        for text in connection.messages():
            listener.hear(text)
    finally:
        listener.close()
        connection.close()


def _write(listener: Listener, connection: Connection) -> None:
    while not listener.closed:
        frames = listener.take()
        try:
            connection.send(frames)
        except OSError as error:
            logger.debug("A WebSocket client is gone or stuck: %s", error)
            connection.close()
            return


def _headers() -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]


# -- One connection, on the socket of a request that gevent's server is answering --------------------


MAX_MESSAGE_BYTES: Final = 16_384
#: Fragments of one message, empty ones included.
MAX_PARTS: Final = 256
PING_EVERY_S: Final = 15.0
SEND_TIMEOUT_S: Final = 30.0
#: Small, so that a slow client's backlog stays here, where it is dropped in order, and not in the kernel.
SEND_BUFFER_BYTES: Final = 65_536

PING_FRAME: Final = b"\x89\x00"


class NoSocket(Exception):
    """The request's connection cannot be taken over."""


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
        self._size = 0
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
            time.sleep(0)  # a client that has much to say is read piece by piece, and others in between
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
                self._size += len(self._parts[-1])
                if self._size > MAX_MESSAGE_BYTES or len(self._parts) > MAX_PARTS:
                    raise _Closed
                if event.message_finished:
                    text, self._parts, self._size = "".join(self._parts), [], 0
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
