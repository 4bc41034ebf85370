"""What waits to be written to one WebSocket client.

A client that reads too slowly loses feed messages, oldest first, and is told how many; it
never loses the newest metrics, and alerts only when very many wait.

    replies ─► metrics (the newest one only) ─► alerts ─► feed, one batch at a time
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from web_ext.frames import text_frame
from web_ext.wire import to_json

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
