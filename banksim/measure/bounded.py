"""Counts by a text that others choose, with a bound.

Error texts come from outside and may carry an id in every line.  The first ``limit``
texts get a line of their own, the rest share one, and nothing is lost from the total.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class BoundedCounts(Generic[Key]):
    """A counter that stops making new lines at ``limit``; ``other`` holds what had none."""

    __slots__ = ("_limit", "counts", "other")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.counts: dict[Key, int] = {}
        self.other = 0

    def add(self, key: Key, count: int = 1) -> None:
        if key in self.counts:
            self.counts[key] += count
        elif len(self.counts) < self._limit:
            self.counts[key] = count
        else:
            self.other += count

    @property
    def total(self) -> int:
        return sum(self.counts.values()) + self.other

    def most_common(self) -> list[tuple[Key, int]]:
        """Most frequent first; equals in the order of their text, so that reports repeat."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], str(item[0])))

    def merge(self, items: Iterable[tuple[Key, int]], other: int) -> None:
        for key, count in items:
            self.add(key, count)
        self.other += other
