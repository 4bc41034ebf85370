"""One reader's place in a run: what it was told already, and what is new since.

The live stream and the record each have one, so they tell the same story in the same
messages: ``state`` (everything a page needs to draw itself) and ``update`` (what is new).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from web_ext.cockpit import Cockpit
from web_ext.timeline import thin


@dataclass(slots=True)
class Reader:
    """Reads a cockpit from where it stopped.  ``cut`` counts feed items that did not fit a message."""

    cockpit: Cockpit
    feed_items: int = 60
    cut: int = 0
    _place: tuple[Any, ...] | None = None
    _timeline: int = 0
    _feed: int = 0

    def whole(self) -> dict[str, Any]:
        """Everything a page needs to draw itself; the place stays."""
        timeline = self.cockpit.timeline(0)
        return {
            "status": self.cockpit.status(),
            "snapshot": self.cockpit.snapshot(),
            "windows": self.cockpit.windows(),
            "timeline": {"since": 0, "next": timeline["next"], "points": thin(timeline["points"])},
            "feed": self._fitting(self.cockpit.feed(0), 0),
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
        timeline = self.cockpit.timeline(timeline_since)
        feed = self.cockpit.feed(feed_since)
        self._timeline, self._feed = timeline["next"], feed["next"]
        return {
            "status": status,
            "snapshot": self.cockpit.snapshot(),
            "timeline": {"since": timeline_since, **timeline},
            "feed": self._fitting(feed, feed_since),
        }

    def transactions(self) -> dict[str, Any] | None:
        """The transactions since the last reading, None when there are none; a new run waits for `read`."""
        if self._place is None or self.cockpit.status().get("run_id") != self._place[0]:
            return None
        since = self._feed
        feed = self.cockpit.feed(since)
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
