"""Thin a long timeline for a page that has perhaps a thousand pixels.

Neighbouring points are merged, never skipped: rates are averaged, counts are added, times
("…_ms") keep their worst value, so a short spike stays visible.  The page applies the
same rule as its own points grow (static/timeline.js).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
