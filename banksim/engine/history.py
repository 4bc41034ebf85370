"""The curve of a run as a live page draws it: one numbered point a second.

Readers ask for what is new by number.  A long run is thinned (every second one of the
older points goes) instead of cut, so the whole of it stays visible in bounded memory.
"""

from __future__ import annotations

from typing import Any

MAX_POINTS = 3_600


class History:
    """Points numbered from 0; a number is never used twice."""

    def __init__(self, max_points: int = MAX_POINTS) -> None:
        self._max_points = max_points
        self._points: list[tuple[int, dict[str, Any]]] = []
        self._next = 0

    def add(self, point: dict[str, Any]) -> None:
        self._points.append((self._next, point))
        self._next += 1
        if len(self._points) > self._max_points:
            half = len(self._points) // 2
            self._points = self._points[:half:2] + self._points[half:]

    def since(self, number: int) -> dict[str, Any]:
        """{"next": the number to ask from next, "points": those numbered ``number`` or later}."""
        return {"next": self._next, "points": [point for n, point in self._points if n >= number]}
