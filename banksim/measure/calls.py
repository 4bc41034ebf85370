"""HTTP calls and their errors, by system and name of the call.

Bounds: calls beyond ``max_calls`` names share the name "other" of their system; errors
beyond ``max_errors`` different texts are counted without theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from banksim.measure.bounded import BoundedCounts
from banksim.measure.extremes import Extremes
from banksim.measure.latency import LatencyHistogram

#: Longer error texts are cut: their start says what happened, their end which id.
MAX_ERROR_CHARACTERS = 200
OTHER = "other"


class Calls:
    """Latency and errors per (system, call), and latency per system.  Failed calls count in both."""

    def __init__(self, max_calls: int, max_errors: int) -> None:
        self._max_calls = max_calls
        self.by_call: dict[tuple[str, str], LatencyHistogram] = {}
        self.failed: dict[tuple[str, str], int] = {}
        self.errors: BoundedCounts[tuple[str, str, str]] = BoundedCounts(max_errors)
        self.extremes = Extremes()

    def add(
        self,
        system: str,
        name: str,
        latency_ms: float,
        error: str | None,
        wall_s: float = 0.0,
        sim_s: float = 0.0,
    ) -> None:
        """Count one call that ended at this moment."""
        text = error[:MAX_ERROR_CHARACTERS] if error else ""
        if text or latency_ms >= self.extremes.from_ms:
            self.extremes.add(system, name, latency_ms, text, wall_s, sim_s)
        key = (system, name)
        histogram = self.by_call.get(key)
        if histogram is None:
            key, histogram = self._line(key)
        histogram.add(latency_ms)
        if text:
            self.failed[key] = self.failed.get(key, 0) + 1
            self.errors.add((system, name, text))

    def add_unsent(self, system: str, name: str, error: str) -> None:
        """Count a call that was held back: an error, and no latency."""
        self.errors.add((system, name, error[:MAX_ERROR_CHARACTERS]))

    def _line(self, key: tuple[str, str]) -> tuple[tuple[str, str], LatencyHistogram]:
        if key not in self.by_call and len(self.by_call) >= self._max_calls:
            key = (key[0], OTHER)
        return key, self.by_call.setdefault(key, LatencyHistogram())

    def of_system(self, system: str) -> LatencyHistogram:
        """All calls to one system together."""
        total = LatencyHistogram()
        for (owner, _), histogram in self.by_call.items():
            if owner == system:
                total.merge(histogram)
        return total

    @property
    def systems(self) -> list[str]:
        return sorted({system for system, _ in self.by_call})

    def rows(self) -> list[dict[str, Any]]:
        """One row per call, the slowest at p99 first."""
        rows = [
            {"target": system, "call": name, "failed": self.failed.get((system, name), 0)}
            | histogram.summary()
            for (system, name), histogram in self.by_call.items()
        ]
        return sorted(rows, key=lambda row: (-(row["p99"] or 0.0), row["target"], row["call"]))

    def error_rows(self) -> list[dict[str, Any]]:
        """Most frequent errors first; the ones beyond the bound in a last row without target."""
        rows: list[dict[str, Any]] = [
            {"target": system, "call": name, "error": text, "count": count}
            for (system, name, text), count in self.errors.most_common()
        ]
        if self.errors.other:
            rows.append(
                {"target": "", "call": "", "error": "errors with other texts", "count": self.errors.other}
            )
        return rows

    def merge_state(self, state: Mapping[str, Any]) -> None:
        for system, name, failed, histogram in state["calls"]:
            key, mine = self._line((system, name))
            mine.merge(LatencyHistogram.from_state(histogram))
            if failed:
                self.failed[key] = self.failed.get(key, 0) + failed
        errors = (((system, name, text), count) for system, name, text, count in state["errors"])
        self.errors.merge(errors, state["other_errors"])
        self.extremes.merge_state(state["extremes"])

    def to_state(self) -> dict[str, Any]:
        return {
            "calls": [
                [*key, self.failed.get(key, 0), histogram.to_state()]
                for key, histogram in self.by_call.items()
            ],
            "errors": [[*key, count] for key, count in self.errors.counts.items()],
            "other_errors": self.errors.other,
            "extremes": self.extremes.to_state(),
        }
