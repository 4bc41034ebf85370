"""What every WebSocket client is told: one reader of the run, many listeners.

    view ──each PULSE_S──▶ feed and alerts ─┐
            ──each refresh──▶ metrics ─────────┴─▶ outboxes ─▶ one writer per client

Until its first ``subscribe`` a client hears everything; that message then names its topics,
later ones add to them.  A client that joins gets a metrics_update and the last transactions at
once.  Nothing runs while nobody listens.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from flask import Blueprint, Response, request
from wsproto.utilities import ProtocolError

from web_ext import messages
from web_ext.frames import Connection, NoSocket, text_frame
from web_ext.guard import Guard
from web_ext.run_view import RunView, refresh_s
from web_ext.stream import PULSE_S, spawn
from web_ext.wire import problem, to_json

logger = logging.getLogger(__name__)

# -- What waits to be written to one WebSocket client -----------------------------------------------
#
# A client that reads too slowly loses feed messages, oldest first, and is told how many; it
# never loses the newest metrics, and alerts only when very many wait.
#
#     replies ─► metrics (the newest one only) ─► alerts ─► feed, one batch at a time


MAX_FEED: Final = 400
MAX_ALERTS: Final = 200
MAX_REPLIES: Final = 50
#: Bytes of one write: small enough that newer metrics never wait long behind it.
BATCH_BYTES: Final = 32_768


def frame_of(message: Any) -> bytes:
    return text_frame(to_json(message))


class Outbox:
    """Filled by one thread, emptied by another."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._replies: deque[bytes] = deque(maxlen=MAX_REPLIES)
        self._metrics: bytes | None = None
        self._alerts: deque[bytes] = deque(maxlen=MAX_ALERTS)
        self._feed: deque[tuple[dict[str, Any], bytes]] = deque(maxlen=MAX_FEED)
        self._skipped = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def reply(self, message: Any) -> None:
        with self._changed:
            self._replies.append(frame_of(message))
            self._changed.notify()

    def put(
        self, metrics: bytes | None, alerts: Iterable[bytes], feed: Iterable[tuple[dict[str, Any], bytes]]
    ) -> None:
        """``feed`` holds messages with their frames; a frame is made again only to tell of a loss."""
        with self._changed:
            if metrics is not None:
                self._metrics = metrics
            self._alerts.extend(alerts)
            for entry in feed:
                if len(self._feed) == MAX_FEED:
                    self._skipped += 1
                self._feed.append(entry)
            self._changed.notify()

    def forget(self, topics: set[str]) -> None:
        """Drop what waits for topics that are not wanted any more."""
        with self._changed:
            if "transactions" in topics:
                self._feed.clear()
                self._skipped = 0
            if "fraud_alerts" in topics:
                self._alerts.clear()
            if "metrics" in topics:
                self._metrics = None

    def take(self, timeout_s: float | None = None) -> bytes:
        """Frames to write now, at most about BATCH_BYTES; b"" when closed or after ``timeout_s``."""
        with self._changed:
            self._changed.wait_for(self._has_something, timeout=timeout_s)
            if self._closed:
                return b""
            parts = list(self._replies)
            self._replies.clear()
            if self._metrics is not None:
                parts.append(self._metrics)
                self._metrics = None
            size = sum(map(len, parts))
            while self._alerts and size < BATCH_BYTES:
                parts.append(self._alerts.popleft())
                size += len(parts[-1])
            while self._feed and size < BATCH_BYTES:
                parts.append(self._next_feed())
                size += len(parts[-1])
            return b"".join(parts)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_something(self) -> bool:
        return bool(self._closed or self._replies or self._metrics or self._alerts or self._feed)

    def _next_feed(self) -> bytes:
        message, frame = self._feed.popleft()
        if not self._skipped:
            return frame
        skipped, self._skipped = self._skipped, 0
        return frame_of({**message, "skipped": skipped})


MAX_CLIENTS: Final = 64
#: Transactions that a client is shown when it joins.
SNAPSHOT_ITEMS: Final = 20

Entry = tuple[dict[str, Any], bytes]


@dataclass(eq=False, slots=True)
class Listener:
    """One client.  ``chosen``: it has said which topics it wants."""

    outbox: Outbox = field(default_factory=Outbox)
    topics: set[str] = field(default_factory=lambda: set(messages.TOPICS))
    chosen: bool = False


class Broadcaster:
    """Reads the view while somebody listens."""

    def __init__(
        self,
        view: RunView,
        max_clients: int = MAX_CLIENTS,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] = spawn,
    ) -> None:
        self._view = view
        self._max_clients = max_clients
        self._clock = clock
        self._start = start
        self._changed = threading.Condition()
        self._listeners: set[Listener] = set()
        self._ticking = False
        self._run_id: Any = None
        self._since = 0
        self._metrics_at_s = 0.0
        self.refused = 0

    @property
    def clients(self) -> int:
        return len(self._listeners)

    def join(self) -> Listener | None:
        """A new listener with the snapshot in its outbox, or None when all places are taken."""
        listener = Listener()
        with self._changed:
            if len(self._listeners) >= self._max_clients:
                self.refused += 1
                return None
            first = not self._ticking
            self._ticking = True
            if first:
                self._catch_up()
            self._listeners.add(listener)
        recent = self._view.feed(max(0, self._since - SNAPSHOT_ITEMS))["items"]
        shown = [entry_of(item) for item in recent if item["seq"] < self._since]
        listener.outbox.put(self._metrics(), (), shown[-SNAPSHOT_ITEMS:])
        if first:
            self._start(self._run)
        return listener

    def leave(self, listener: Listener) -> None:
        with self._changed:
            self._listeners.discard(listener)
            self._changed.notify_all()
        listener.outbox.close()

    def hear(self, listener: Listener, text: str) -> None:
        """A client said something; whatever it is gets an answer."""
        try:
            said = orjson.loads(text)
        except orjson.JSONDecodeError:
            said = None
        kind = said.get("type") if isinstance(said, dict) else None
        if kind in ("subscribe", "unsubscribe"):
            self._choose(listener, kind, said.get("topics"))
        elif kind == "ping":
            listener.outbox.reply(messages.pong())
        else:
            listener.outbox.reply(
                messages.problem_message(
                    'Expected JSON with "type": "subscribe", "unsubscribe" (and "topics") or "ping".'
                )
            )

    def pulse(self) -> None:
        """Tell every listener what is new; metrics only when they are due."""
        status = self._view.status()
        if status.get("run_id") != self._run_id:
            self._run_id, self._since = status.get("run_id"), 0
            self._metrics_at_s = 0.0
        feed = self._view.feed(self._since)
        self._since = feed["next"]
        threshold = alert_threshold(status)
        entries = [entry_of(item) for item in feed["items"]]
        alerts = [
            frame_of(messages.fraud_alert(item))
            for item in feed["items"]
            if messages.is_alert(item, threshold)
        ]
        metrics = None
        if self._clock() - self._metrics_at_s >= refresh_s(status):
            self._metrics_at_s = self._clock()
            metrics = self._metrics(status)
        if entries or metrics is not None:
            self._tell(metrics, alerts, entries)

    def _tell(self, metrics: bytes | None, alerts: list[bytes], entries: list[Entry]) -> None:
        with self._changed:
            listeners = list(self._listeners)
        for listener in listeners:
            topics = listener.topics
            listener.outbox.put(
                metrics if "metrics" in topics else None,
                alerts if "fraud_alerts" in topics else (),
                entries if "transactions" in topics else (),
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._listeners, timeout=PULSE_S)
                if not self._listeners:
                    self._ticking = False
                    return
            try:
                self.pulse()
            except Exception:
                logger.exception("The run could not be read for the WebSocket's clients")
                time.sleep(1.0)

    def _catch_up(self) -> None:
        """Nobody listened until now: what happened meanwhile is no news."""
        self._run_id = self._view.status().get("run_id")
        self._since = self._view.feed(0)["next"]

    def _metrics(self, status: dict[str, Any] | None = None) -> bytes:
        return frame_of(messages.metrics_update(status or self._view.status(), self._view.snapshot()))

    def _choose(self, listener: Listener, kind: str, topics: Any) -> None:
        if not isinstance(topics, list) or not all(topic in messages.TOPICS for topic in topics):
            known = ", ".join(messages.TOPICS)
            listener.outbox.reply(messages.problem_message(f'"topics": expected a list out of {known}.'))
            return
        named = set(topics)
        if kind == "unsubscribe":
            listener.topics = listener.topics - named
            listener.outbox.forget(named)
        elif listener.chosen:
            listener.topics = listener.topics | named
        else:
            listener.outbox.forget(set(messages.TOPICS) - named)
            listener.topics, listener.chosen = named, True
        listener.outbox.reply(messages.subscribed(listener.topics))


def entry_of(item: dict[str, Any]) -> Entry:
    message = messages.transaction_feed(item)
    return message, frame_of(message)


def alert_threshold(status: dict[str, Any]) -> float:
    dashboard = status.get("dashboard") or {}
    return float(dashboard.get("fraud_alert_threshold", messages.DEFAULT_ALERT_THRESHOLD))


# -- The route ``/ws``: host, origin and login are asked before the handshake, like everywhere ------
#
# A browser sends a WebSocket's handshake as a GET from any site, with its Origin and the user's
# cookies; so here, other than for pages, a foreign Origin is refused although nothing changes.


class _Taken(Response):
    """An answer that was given already, on the connection itself."""

    def __call__(self, *_: Any, **__: Any) -> Iterable[bytes]:
        return []


def add_websocket(blueprint: Blueprint, broadcaster: Broadcaster, guard: Guard) -> None:
    """Add ``/ws`` to a blueprint whose ``before_request`` asks the guard."""

    def ws() -> Any:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            response = problem("This address speaks WebSocket: connect with a WebSocket client.", 426)
            response.headers["Upgrade"] = "websocket"
            return response
        refused = guard.refuse_other_site()
        if refused is not None:
            return refused
        listener = broadcaster.join()
        if listener is None:
            return problem("Too many clients are connected already. Close one, or try again later.", 503)
        try:
            connection = Connection(request.environ, _headers())
        except (NoSocket, ProtocolError, OSError) as error:
            broadcaster.leave(listener)
            return problem(f"The handshake failed: {error}", 400)
        _converse(broadcaster, listener, connection)
        return _Taken()

    blueprint.add_url_rule("/ws", "ws", ws, websocket=True)
    blueprint.add_url_rule("/ws", "ws_plain", ws)  # whoever asks without an upgrade is told what this is


def _converse(broadcaster: Broadcaster, listener: Listener, connection: Connection) -> None:
    """Until the client leaves, or a write to it fails."""
    writer = threading.Thread(
        target=_write, args=(listener, connection), name="banksim-websocket", daemon=True
    )
    writer.start()
    try:
        for text in connection.messages():
            broadcaster.hear(listener, text)
    finally:
        broadcaster.leave(listener)
        connection.close()


def _write(listener: Listener, connection: Connection) -> None:
    while not listener.outbox.closed:
        frames = listener.outbox.take()
        try:
            connection.send(frames)
        except OSError as error:
            logger.debug("A WebSocket client is gone or stuck: %s", error)
            connection.close()
            return


def _headers() -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
