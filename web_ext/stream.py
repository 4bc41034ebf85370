"""One live stream for every open page and every WebSocket client.

    run view ──tick each refresh──▶ Reader ──▶ logs of what is new ──▶ every client at its own pace
             ──pulse each 30 ms───▶

A message is encoded once and shared.  A client is a number in each log that it reads, not a queue: one
that reads slowly delays no other and costs no memory.  A page that has fallen off its log gets the whole
state again, as it did when it joined; so do all pages when another run begins or the run's state changes.
A WebSocket client (websocket.py) loses the oldest transactions and is sent their number, gets only the newest
metrics, and loses alerts only when very many wait.  Nothing is read while no client is there.

Bounds: `max_clients` pages and `max_sockets` WebSocket clients at a time (one more is refused), `ring`
frames, `feed_items` per frame (what is cut is counted in the frame), MAX_ALERTS and MAX_FEED messages,
a stream's age (the page joins again, and its login is checked again), and the time a page may block in
one send before it is put out.  `HubCounts` has how often each was hit; /api/health shows them.

A page's frames are server-sent events: ``state`` (whole), ``update`` (what is new), ``feed`` (transactions
that just ended, so that they need not wait for the next update), ``trouble`` (the run could not
be read; its message says why).  A comment is sent after `HEARTBEAT_S` of silence,
since writing is the only way to notice a client that vanished.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from banksim.measure.results import FeedItem
from banksim.run.monitor import Point
from banksim.run.sink import FeedPage
from web_ext import messages
from web_ext.messages import Json, to_json
from web_ext.run_view import DashboardShown, RunView, Status

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
_ADDED = frozenset(
    (
        *("fraud", "fraud_alerted", "false_positives", "alerts"),
        *("failed", "unknown", "dropped", "resent", "timeouts", "http_errors"),
    )
)


def thin(points: Sequence[Point], limit: int = MAX_POINTS) -> list[Point]:
    """At most ``limit`` points with the same rates, counts and peaks."""
    if len(points) <= limit:
        return list(points)
    size = -(-len(points) // limit)
    return [_merge(points[start : start + size]) for start in range(0, len(points), size)]


def _merge(group: Sequence[Point]) -> Point:
    merged = dict(group[-1])
    for name in {name for point in group for name in point}:
        known = [value for point in group if (value := point.get(name)) is not None]
        if name in _AVERAGED:
            merged[name] = sum(known) / len(known) if known else None
        elif name in _ADDED:
            merged[name] = sum(known) if known else None
        elif name.endswith("_ms"):
            merged[name] = max(known, default=None)
    return merged


# -- One reader's place in a run: what it has read already, and what is new since -------------------
#
# The live stream and the record each have one, so they have the same messages:
# ``state`` (everything a page needs to draw itself) and ``update`` (what is new).


@dataclass(slots=True)
class Reader:
    """Reads a view from where it stopped.

    ``cut`` counts feed items that did not fit a message; ``fresh`` are all items of the last reading.
    """

    view: RunView
    feed_items: int = 60
    cut: int = 0
    fresh: list[FeedItem] = field(default_factory=list)
    _place: tuple[Any, ...] | None = None
    _timeline: int = 0
    _feed: int = 0

    def whole(self) -> Json:
        """Everything a page needs to draw itself; the place stays."""
        timeline = self.view.timeline(0)
        return {
            "status": self.view.status(),
            "snapshot": self.view.snapshot(),
            "windows": self.view.windows(),
            "timeline": {"since": 0, "next": timeline.next, "points": thin(timeline.points)},
            "feed": self._fitting(self.view.feed(0), 0),
        }

    def read(self, status: Status) -> tuple[str, Json]:
        """("state", everything) for another run, state or speed, else ("update", what is new)."""
        if not self.changed(status):
            return "update", self.news(status)
        whole = self.whole()
        same_run = self._place is not None and self._place[0] == status.run_id
        self.fresh = self.view.feed(self._feed if same_run else 0).items
        self._place = _place(status)
        self._timeline, self._feed = whole["timeline"]["next"], whole["feed"]["next"]
        return "state", whole

    def skip(self) -> None:
        """Count what there is as read."""
        status = self.view.status()
        self._timeline, self._feed = self.view.timeline(0).next, self.view.feed(0).next
        self._place, self.fresh = _place(status), []

    def recent(self, number: int) -> list[FeedItem]:
        """The last transactions that have been read."""
        items = self.view.feed(max(0, self._feed - number)).items
        return [item for item in items if item.seq < self._feed][-number:]

    def changed(self, status: Status) -> bool:
        """Whether this is another run, state or speed than at the last reading."""
        return _place(status) != self._place

    def news(self, status: Status) -> Json:
        """What is new since the last reading."""
        self._place = _place(status)
        timeline_since, feed_since = self._timeline, self._feed
        timeline = self.view.timeline(timeline_since)
        feed = self.view.feed(feed_since)
        self._timeline, self._feed, self.fresh = timeline.next, feed.next, feed.items
        return {
            "status": status,
            "snapshot": self.view.snapshot(),
            "timeline": {"since": timeline_since, "next": timeline.next, "points": timeline.points},
            "feed": self._fitting(feed, feed_since),
        }

    def transactions(self) -> Json | None:
        """The transactions since the last reading, None when there are none; a new run waits for `read`."""
        if self._place is None or self.view.status().run_id != self._place[0]:
            return None
        since = self._feed
        feed = self.view.feed(since)
        if not feed.items:
            return None
        self._feed, self.fresh = feed.next, feed.items
        return self._fitting(feed, since)

    def _fitting(self, feed: FeedPage, since: int) -> Json:
        cut = max(0, len(feed.items) - self.feed_items)
        self.cut += cut
        items = feed.items[cut:]
        return {"next": feed.next, "shown_of": feed.shown_of, "since": since, "cut": cut, "items": items}


def _place(status: Status) -> tuple[Any, ...]:
    # Another speed moves the campaigns that have not started.
    return status.run_id, status.state, status.speed


#: New transactions go out this often; everything else as often as the scenario's dashboard says.
PULSE_S = 0.03
HEARTBEAT_S = 10.0
MAX_SEND_S = 30.0
MAX_STREAM_S = 3600.0
#: Messages that WebSocket clients can be behind.
MAX_ALERTS = 200
MAX_FEED = 400
#: Transactions that a WebSocket client is shown when it joins.
SNAPSHOT_ITEMS = 20

HEARTBEAT = b": still here\n\n"
RETRY = b"retry: 2000\n\n"

Message = TypeVar("Message")


class Log(Generic[Message]):
    """The last ``size`` messages of one kind, numbered from 0; a reader keeps the number it needs next."""

    def __init__(self, size: int) -> None:
        self._kept: deque[Message] = deque(maxlen=size)
        #: Number of the message to come.
        self.end = 0

    def add(self, message: Message) -> None:
        self._kept.append(message)
        self.end += 1

    def after(self, number: int) -> tuple[list[Message], int]:
        """What is kept from ``number`` on, and how many before that are gone."""
        first = self.end - len(self._kept)
        return list(islice(self._kept, max(0, number - first), None)), max(0, first - number)


def spawn(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread (a greenlet where the threads are patched)."""
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
    """How often each limit was hit: clients refused and put out, states sent again, messages skipped."""

    refused: int = 0
    evicted: int = 0
    resyncs: int = 0
    skipped: int = 0


class Hub:
    """Reads a run while clients are joined, and serves them all."""

    def __init__(
        self,
        view: RunView,
        *,
        max_clients: int = 32,
        max_sockets: int = 64,
        ring: int = 120,
        feed_items: int = 60,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] = spawn,
    ) -> None:
        self.view = view
        self.max_clients = max_clients
        self.counts = HubCounts()
        #: Notified when there is something new, and when a client leaves.
        self.changed = threading.Condition()
        #: What WebSocket clients read; the feed's messages come with their frames.
        self.metrics: Log[bytes] = Log(1)
        self.alerts: Log[bytes] = Log(MAX_ALERTS)
        self.feed: Log[messages.Framed] = Log(MAX_FEED)
        self.events: Log[bytes] = Log(MAX_ALERTS)
        self._frames: Log[bytes] = Log(ring)
        self._clients: set[Client] = set()
        self._sockets: set[object] = set()
        self._max_sockets = max_sockets
        self._clock = clock
        self._start = start
        self._reader = Reader(view, feed_items)
        self._ticking = False
        self._interval_s = 1.0
        self._alert_above = DashboardShown().fraud_alert_threshold
        self._ticked_at = 0.0

    @property
    def clients(self) -> int:
        """Pages that are joined now."""
        return len(self._clients)

    @property
    def sockets(self) -> int:
        """WebSocket clients that are joined now."""
        return len(self._sockets)

    def join(self, evict: Callable[[], None] = lambda: None) -> Client | None:
        """A page's place, or None when every place is taken.  ``evict`` ends a client that is stuck."""
        client = Client(self._frames.end, self._clock(), evict)
        return client if self._admit(client, self._clients, self.max_clients) else None

    def listen(self, socket: object) -> bool:
        """Give a WebSocket client a place; False when every place is taken."""
        return self._admit(socket, self._sockets, self._max_sockets)

    def leave(self, client: object) -> None:
        """Give the place back; leaving twice does no harm."""
        with self.changed:
            self._clients.difference_update((client,))
            self._sockets.difference_update((client,))
            self.changed.notify_all()

    def stream(self, client: Client) -> Iterator[bytes]:
        """Frames for one page until it is put out, leaves, or its stream has grown old."""
        try:
            yield from self._send(client, RETRY + self._whole_frame())
            while client in self._clients and self._clock() - client.joined_at < MAX_STREAM_S:
                yield from self._send(client, self._await(client))
        finally:
            self.leave(client)

    def tick(self) -> None:
        """Read the run once and offer what is new to every client."""
        self._ticked_at = self._clock()
        try:
            status = self.view.status()
            self._follow(status)
            event, data = self._reader.read(status)
        except Exception as error:
            logger.exception("The run could not be read for its live page")
            self._offer(_trouble(error))
        else:
            self._publish(event, data, status)
        self._put_out_stuck()

    def pulse(self) -> None:
        """Offer the transactions of this moment, if there are any; a new run waits for its tick."""
        try:
            feed = self._reader.transactions()
        except Exception:
            return  # the tick meets the same trouble, and reports it
        if feed is not None:
            self._publish("feed", {"feed": feed})

    def _admit(self, client: Any, places: set[Any], most: int) -> bool:
        with self.changed:
            if len(places) >= most:
                self.counts.refused += 1
                return False
            begins = not self._ticking
            try:
                if begins:
                    self._reader.skip()
                if places is self._sockets and not places:
                    self._show_recent()
            except Exception:
                logger.exception("The run could not be read for a client that joins")
            places.add(client)
            self._ticking = True
        if begins:
            self._start(self._run)
        return True

    def _show_recent(self) -> None:
        """Fill the logs of WebSocket clients, which nothing was written to without them."""
        status = self.view.status()
        self._follow(status)
        self.metrics.add(messages.frame_of(messages.metrics_update(status, self.view.snapshot())))
        for item in self._reader.recent(SNAPSHOT_ITEMS):
            self.feed.add(messages.feed_entry(item))

    def _follow(self, status: Status) -> None:
        self._interval_s = status.refresh_s
        self._alert_above = messages.alert_threshold(status)

    def _publish(self, event: str, data: Json, status: Status | None = None) -> None:
        """Encode what is new for those who are there; with ``status`` the metrics too."""
        if self._sockets:
            items = self._reader.fresh
            feed = [messages.feed_entry(item) for item in items]
            alerts = [
                messages.frame_of(messages.fraud_alert(item))
                for item in items
                if messages.is_alert(item, self._alert_above)
            ]
            metrics = messages.frame_of(messages.metrics_update(status, data["snapshot"])) if status else None
            with self.changed:
                for entry in feed:
                    self.feed.add(entry)
                for alert in alerts:
                    self.alerts.add(alert)
                if metrics is not None:
                    self.metrics.add(metrics)
                if event == "state" and status:
                    self.events.add(messages.frame_of(messages.system_event(status)))
        self._offer(_frame(event, data) if self._clients else None)

    def _offer(self, frame: bytes | None) -> None:
        with self.changed:
            if frame is not None:
                self._frames.add(frame)
            self.changed.notify_all()

    def _run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: not (self._clients or self._sockets), timeout=PULSE_S)
                if not (self._clients or self._sockets):
                    self._ticking = False
                    return
            if self._clock() - self._ticked_at >= self._interval_s:
                self.tick()
            else:
                self.pulse()

    def _whole_frame(self) -> bytes:
        try:
            return _frame("state", self._reader.whole())
        except Exception as error:
            logger.exception("The run could not be read for its live page")
            return _trouble(error)

    def _send(self, client: Client, data: bytes) -> Iterator[bytes]:
        client.sending_since = self._clock()
        yield data
        client.sending_since = None

    def _await(self, client: Client) -> bytes:
        with self.changed:
            self.changed.wait_for(
                lambda: self._frames.end > client.cursor or client not in self._clients, timeout=HEARTBEAT_S
            )
            frames, lost = self._frames.after(client.cursor)
            client.cursor = self._frames.end
            if not lost:
                return b"".join(frames) or HEARTBEAT
            self.counts.resyncs += 1
        return self._whole_frame()

    def _put_out_stuck(self) -> None:
        now = self._clock()
        with self.changed:
            stuck = [
                client
                for client in self._clients
                if client.sending_since is not None and now - client.sending_since > MAX_SEND_S
            ]
            self._clients.difference_update(stuck)
            self.counts.evicted += len(stuck)
        for client in stuck:
            client.evict()


def _frame(event: str, value: Any) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + to_json(value) + b"\n\n"


def _trouble(error: Exception) -> bytes:
    message = f"The run could not be read ({type(error).__name__}); Locust's log says why."
    return _frame("trouble", {"message": message})
