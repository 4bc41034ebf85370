"""What every WebSocket client is told: one reader of the run, many listeners.

    cockpit ──each PULSE_S──▶ feed and alerts ─┐
            ──each refresh──▶ metrics ─────────┴─▶ outboxes ─▶ one writer per client

Until its first ``subscribe`` a client hears everything; that message then names its topics,
later ones add to them.  A client that joins gets a metrics_update and the last transactions at
once.  Nothing runs while nobody listens.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from web_ext import messages
from web_ext.cockpit import Cockpit, refresh_s
from web_ext.hub import PULSE_S, spawn
from web_ext.outbox import Outbox, frame_of

logger = logging.getLogger(__name__)

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
    """Reads the cockpit while somebody listens."""

    def __init__(
        self,
        cockpit: Cockpit,
        max_clients: int = MAX_CLIENTS,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] = spawn,
    ) -> None:
        self._cockpit = cockpit
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
        recent = self._cockpit.feed(max(0, self._since - SNAPSHOT_ITEMS))["items"]
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
        status = self._cockpit.status()
        if status.get("run_id") != self._run_id:
            self._run_id, self._since = status.get("run_id"), 0
            self._metrics_at_s = 0.0
        feed = self._cockpit.feed(self._since)
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
        self._run_id = self._cockpit.status().get("run_id")
        self._since = self._cockpit.feed(0)["next"]

    def _metrics(self, status: dict[str, Any] | None = None) -> bytes:
        return frame_of(messages.metrics_update(status or self._cockpit.status(), self._cockpit.snapshot()))

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
