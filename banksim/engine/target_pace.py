"""How the targets did since the last look: percentiles and errors of one stretch, per target.

The measures keep one histogram per target for the whole run; the stretch is the difference
of two looks at it.  Keys are flat ("nexum_p99_ms"), as points of a curve are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from banksim.measure import Measures
from banksim.measure.latency import LatencyHistogram

PERCENTS = (50, 95, 99)


class TargetPace:
    """Differences between looks; the first look counts from the start of the run."""

    def __init__(self, measures: Callable[[], Measures]) -> None:
        self._measures = measures
        self._buckets: dict[str, dict[int, int]] = {}
        self._failed: dict[str, int] = {}

    def look(self) -> dict[str, Any]:
        """{"nexum_p50_ms", "nexum_p95_ms", "nexum_p99_ms", "nexum_failed", …}; None without calls."""
        found: dict[str, Any] = {}
        calls = self._measures().calls
        for system in calls.systems:
            stretch = self._stretch(system, calls.of_system(system))
            for percent, value in zip(PERCENTS, stretch.percentiles(PERCENTS), strict=True):
                found[f"{system}_p{percent}_ms"] = value
            failed = sum(count for (owner, _), count in calls.failed.items() if owner == system)
            found[f"{system}_failed"] = failed - self._failed.get(system, 0)
            self._failed[system] = failed
        return found

    def _stretch(self, system: str, total: LatencyHistogram) -> LatencyHistogram:
        before = self._buckets.get(system, {})
        news = {
            bucket: count - before.get(bucket, 0)
            for bucket, count in total.buckets.items()
            if count > before.get(bucket, 0)
        }
        self._buckets[system] = dict(total.buckets)
        state = total.to_state()
        return LatencyHistogram.from_state(
            {**state, "buckets": list(news), "counts": list(news.values()), "sum_us": 0}
        )
