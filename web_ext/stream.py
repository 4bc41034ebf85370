"""One live stream for every open page.

    view ──tick each refresh──▶ ring of the last frames ──▶ every client at its own pace
            ──pulse each 30 ms───▶

A frame is encoded once and shared.  A client is a cursor into the ring, not a queue: one
that reads slowly holds nobody up and costs no memory.  When it has fallen off the ring it
gets the whole state again, as it did when it joined; so does everybody when another run
begins or the run's state changes.  Nothing runs while nobody looks.

Bounds: `max_clients` at a time (one more is refused and counted), `ring` frames, `feed_items`
per frame (what is cut is counted in the frame), a stream's age (the page joins again, and its
login is looked at again), and the time a client may block in one send before it is put out.

Frames are server-sent events: ``state`` (whole), ``update`` (what is new), ``feed`` (transactions
that just happened, so that they need not wait for the next update), ``trouble`` (the run could
not be read; its message says so).  A comment is sent when there was nothing to say for
`HEARTBEAT_S`, since writing is the only way to notice a client that vanished.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from web_ext.run_view import RunView, refresh_s
from web_ext.wire import to_json

logger = logging.getLogger(__name__)

# -- Thin a long timeline for a page that has perhaps a thousand pixels -----------------------------
#
# Neighbouring points are merged, never skipped: rates are averaged, counts are added, times
# ("…_ms") keep their worst value, so a short spike stays visible.  The page applies the
# same rule as its own points grow (static/timeline.js).


#: Points in a whole-state message.
MAX_POINTS = 1200

_AVERAGED = frozenset(
    ("offered_tps", "achieved_tps", "predicted_tps", "cpu_percent", "rss_bytes", "network_bytes_s")
)
_ADDED = frozenset(("fraud", "fraud_alerted", "false_alerts", "alerts", "failed", "unknown", "dropped"))


def thin(points: Sequence[dict[str, Any]], limit: int = MAX_POINTS) -> list[dict[str, Any]]:
    """At most ``limit`` points that tell the same story."""
    if len(points) <= limit:
        return list(points)
    size = -(-len(points) // limit)
    return [_merge(points[start : start + size]) for start in range(0, len(points), size)]


def _merge(group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    merged = dict(group[-1])
    for name in {name for point in group for name in point}:
        known = [point[name] for point in group if point.get(name) is not None]
        if name in _AVERAGED:
            merged[name] = sum(known) / len(known) if known else None
        elif name in _ADDED or name.endswith("_failed"):
            merged[name] = sum(known) if known else None
        elif name.endswith("_ms"):
            merged[name] = max(known, default=None)
    return merged


# -- One reader's place in a run: what it was told already, and what is new since -------------------
#
# The live stream and the record each have one, so they tell the same story in the same
# messages: ``state`` (everything a page needs to draw itself) and ``update`` (what is new).


@dataclass(slots=True)
class Reader:
    """Reads a view from where it stopped.  ``cut`` counts feed items that did not fit a message."""

    view: RunView
    feed_items: int = 60
    cut: int = 0
    _place: tuple[Any, ...] | None = None
    _timeline: int = 0
    _feed: int = 0

    def whole(self) -> dict[str, Any]:
        """Everything a page needs to draw itself; the place stays."""
        timeline = self.view.timeline(0)
        return {
            "status": self.view.status(),
            "snapshot": self.view.snapshot(),
            "windows": self.view.windows(),
            "timeline": {"since": 0, "next": timeline["next"], "points": thin(timeline["points"])},
            "feed": self._fitting(self.view.feed(0), 0),
        }

    def read(self, status: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """("state", everything) for another run, state or speed, else ("update", what is new)."""
        if not self.changed(status):
            return "update", self.news(status)
        whole = self.whole()
        self._place = _place(status)
        self._timeline, self._feed = whole["timeline"]["next"], whole["feed"]["next"]
        return "state", whole

    def changed(self, status: dict[str, Any]) -> bool:
        """Whether this is another run, state or speed than at the last reading."""
        return _place(status) != self._place

    def news(self, status: dict[str, Any]) -> dict[str, Any]:
        """What is new since the last reading."""
        self._place = _place(status)
        timeline_since, feed_since = self._timeline, self._feed
        timeline = self.view.timeline(timeline_since)
        feed = self.view.feed(feed_since)
        self._timeline, self._feed = timeline["next"], feed["next"]
        return {
            "status": status,
            "snapshot": self.view.snapshot(),
            "timeline": {"since": timeline_since, **timeline},
            "feed": self._fitting(feed, feed_since),
        }

    def transactions(self) -> dict[str, Any] | None:
        """The transactions since the last reading, None when there are none; a new run waits for `read`."""
        if self._place is None or self.view.status().get("run_id") != self._place[0]:
            return None
        since = self._feed
        feed = self.view.feed(since)
        if not feed["items"]:
            return None
        self._feed = feed["next"]
        return self._fitting(feed, since)

    def _fitting(self, feed: dict[str, Any], since: int) -> dict[str, Any]:
        items = feed["items"]
        cut = max(0, len(items) - self.feed_items)
        self.cut += cut
        return {**feed, "since": since, "cut": cut, "items": items[cut:]}


def _place(status: dict[str, Any]) -> tuple[Any, ...]:
    # Another speed moves the campaigns that have not started.
    return status.get("run_id"), status.get("state"), status.get("speed")


#: New transactions go out this often; everything else as often as the scenario's dashboard says.
PULSE_S = 0.03
HEARTBEAT_S = 10.0
MAX_SEND_S = 30.0
MAX_STREAM_S = 3600.0

HEARTBEAT = b": still here\n\n"
RETRY = b"retry: 2000\n\n"


def spawn(work: Callable[[], None]) -> None:
    """Run ``work`` beside everything else (a greenlet where the threads are patched)."""
    threading.Thread(target=work, name="banksim-web-hub", daemon=True).start()


@dataclass(slots=True, eq=False)
class Client:
    """One open page: the next frame it needs and, while it is being written to, since when."""

    cursor: int
    joined_at: float
    evict: Callable[[], None]
    sending_since: float | None = None


@dataclass(slots=True)
class HubCounts:
    """What the bounds cost, for whoever asks why a page is not live."""

    refused_clients: int = 0
    evicted_clients: int = 0
    resyncs: int = 0


@dataclass(slots=True)
class Hub:
    """Reads a view while clients are joined, and serves them all."""

    view: RunView
    max_clients: int = 32
    ring: int = 120
    feed_items: int = 60
    clock: Callable[[], float] = time.monotonic
    start: Callable[[Callable[[], None]], None] = spawn
    counts: HubCounts = field(default_factory=HubCounts)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _clients: set[Client] = field(default_factory=set)
    _frames: deque[bytes] = field(default_factory=deque)
    _next: int = 0  # number of the frame to come
    _reader: Reader = field(init=False)
    _ticking: bool = False
    _interval_s: float = 1.0
    _ticked_at: float = 0.0

    def __post_init__(self) -> None:
        self._reader = Reader(self.view, self.feed_items)

    @property
    def clients(self) -> int:
        """Pages that are joined now."""
        return len(self._clients)

    def join(self, evict: Callable[[], None] = lambda: None) -> Client | None:
        """A place in the stream, or None when every place is taken.  ``evict`` ends a stuck client."""
        with self._changed:
            if len(self._clients) >= self.max_clients:
                self.counts.refused_clients += 1
                return None
            client = Client(cursor=self._next, joined_at=self.clock(), evict=evict)
            self._clients.add(client)
            start_ticking = not self._ticking
            self._ticking = True
        if start_ticking:
            self.start(self._run)
        return client

    def leave(self, client: Client) -> None:
        """Give the place back; leaving twice does no harm."""
        with self._changed:
            self._clients.discard(client)
            self._changed.notify_all()

    def stream(self, client: Client) -> Iterator[bytes]:
        """Frames for one client until it is put out, leaves, or its stream has grown old."""
        try:
            yield from self._send(client, RETRY + self._whole_frame())
            while client in self._clients and self.clock() - client.joined_at < MAX_STREAM_S:
                yield from self._send(client, self._await(client))
        finally:
            self.leave(client)

    def tick(self) -> None:
        """Read the run once and offer what is new to every client."""
        self._ticked_at = self.clock()
        self._offer(self._compose())
        self._put_out_stuck()

    def pulse(self) -> None:
        """Offer the transactions of this moment, if there are any; a new run waits for its tick."""
        try:
            feed = self._reader.transactions()
        except Exception:
            return  # the tick meets the same trouble, and tells it
        if feed is not None:
            self._offer(_frame("feed", {"feed": feed}))

    def _offer(self, frame: bytes) -> None:
        with self._changed:
            self._frames.append(frame)
            while len(self._frames) > self.ring:
                self._frames.popleft()
            self._next += 1
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._clients, timeout=PULSE_S)
                if not self._clients:
                    self._ticking = False
                    return
            if self.clock() - self._ticked_at >= self._interval_s:
                self.tick()
            else:
                self.pulse()

    def _compose(self) -> bytes:
        try:
            status = self.view.status()
            self._interval_s = refresh_s(status)
            return _frame(*self._reader.read(status))
        except Exception as error:
            logger.exception("The run could not be read for its live page")
            return _trouble(error)

    def _whole_frame(self) -> bytes:
        try:
            return _frame("state", self._reader.whole())
        except Exception as error:
            logger.exception("The run could not be read for its live page")
            return _trouble(error)

    def _send(self, client: Client, data: bytes) -> Iterator[bytes]:
        client.sending_since = self.clock()
        yield data
        client.sending_since = None

    def _await(self, client: Client) -> bytes:
        with self._changed:
            self._changed.wait_for(
                lambda: self._next > client.cursor or client not in self._clients, timeout=HEARTBEAT_S
            )
            behind = self._next - client.cursor
            client.cursor = self._next
            if behind <= len(self._frames):
                frames = list(self._frames)[len(self._frames) - behind :] if behind else []
                return b"".join(frames) or HEARTBEAT
            self.counts.resyncs += 1
        return self._whole_frame()

    def _put_out_stuck(self) -> None:
        now = self.clock()
        with self._changed:
            stuck = [
                client
                for client in self._clients
                if client.sending_since is not None and now - client.sending_since > MAX_SEND_S
            ]
            self._clients.difference_update(stuck)
            self.counts.evicted_clients += len(stuck)
        for client in stuck:
            client.evict()


def _frame(event: str, value: Any) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + to_json(value) + b"\n\n"


def _trouble(error: Exception) -> bytes:
    message = f"The run could not be read ({type(error).__name__}); Locust's log says why."
    return _frame("trouble", {"message": message})
