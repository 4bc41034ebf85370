"""Thin a long timeline for a page that has perhaps a thousand pixels.

Neighbouring points are merged, never skipped: rates are averaged, counts are added, the
99th percentile keeps its worst value, so a short spike stays visible.  The page applies the
same rule as its own points grow (static/timeline.js).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

#: Points in a whole-state message.
MAX_POINTS = 1200

_AVERAGED = ("offered_tps", "achieved_tps", "predicted_tps")
_ADDED = ("fraud", "alerts")
_WORST = ("p99_ms",)


def thin(points: Sequence[dict[str, Any]], limit: int = MAX_POINTS) -> list[dict[str, Any]]:
    """At most ``limit`` points that tell the same story."""
    if len(points) <= limit:
        return list(points)
    size = -(-len(points) // limit)
    return [_merge(points[start : start + size]) for start in range(0, len(points), size)]


def _merge(group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    merged = dict(group[-1])
    for name in _AVERAGED:
        known = list(_known(group, name))
        merged[name] = sum(known) / len(known) if known else None
    for name in _ADDED:
        known = list(_known(group, name))
        merged[name] = sum(known) if known else None
    for name in _WORST:
        merged[name] = max(_known(group, name), default=None)
    return merged


def _known(group: Sequence[dict[str, Any]], name: str) -> Iterator[float]:
    return (point[name] for point in group if point.get(name) is not None)
