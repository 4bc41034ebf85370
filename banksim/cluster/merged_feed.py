"""One feed out of the samples of all workers, numbered anew in the order in which they arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any


class MergedFeed:
    """The last ``max_items`` items of all workers; a `banksim.engine.feed.FeedView`."""

    def __init__(self, max_items: int) -> None:
        self._items: deque[dict[str, Any]] = deque(maxlen=max_items)
        self._sequence = 0
        self._seen: dict[int, int] = {}

    def take(self, number: int, seen: int, items: Iterable[Mapping[str, Any]]) -> None:
        """New items of the worker with this number, and how many transactions it has seen in all."""
        self._seen[number] = seen
        for item in items:
            self._items.append({**item, "seq": self._sequence})
            self._sequence += 1

    def since(self, sequence: int) -> dict[str, Any]:
        return {
            "next": self._sequence,
            "shown_of": {"sampled": self._sequence, "seen": sum(self._seen.values())},
            "items": [item for item in self._items if item["seq"] >= sequence],
        }

    def items(self) -> list[dict[str, Any]]:
        return list(self._items)
