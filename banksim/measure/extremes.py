"""The slowest calls and the first failed ones, with their moments: where to start looking.

Which calls are kept depends on the calls alone, never on their order, so workers' lists
merge into what one process would have kept.  Bound: ``limit`` calls in each list.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

#: latency in whole µs, wall second, simulated second, system, name, error (empty when it went well)
Entry = tuple[int, float, float, str, str, str]

LIMIT = 20


class Extremes:
    """``slowest``: longest first.  ``failed``: earliest first.  Both sorted, ties by the rest.

    A call that went well in less than ``from_ms`` is none of them, so nobody need tell of it.
    """

    __slots__ = ("_limit", "_slowest", "failed", "from_ms")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._slowest: list[Entry] = []  # shortest first, so that the one to go is in front
        self.failed: list[tuple[float, Entry]] = []
        self.from_ms = -inf

    def add(self, system: str, name: str, latency_ms: float, error: str, wall_s: float, sim_s: float) -> None:
        slowest = self._slowest
        latency_us = int(latency_ms * 1000.0 + 0.5)
        if error or len(slowest) < self._limit or latency_us >= slowest[0][0]:
            entry = (latency_us, wall_s, sim_s, system, name, error)
            insort(slowest, entry)
            del slowest[: -self._limit]
            self._note_bound()
            if error:
                insort(self.failed, (wall_s, entry))
                del self.failed[self._limit :]

    def rows(self) -> list[dict[str, Any]]:
        """The slowest calls, longest first."""
        return [_row(entry) for entry in reversed(self._slowest)]

    def failed_rows(self) -> list[dict[str, Any]]:
        """The first failed calls, earliest first."""
        return [_row(entry) for _, entry in self.failed]

    def merge_state(self, state: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        self._slowest = sorted([*self._slowest, *map(_entry, state["slowest"])])[-self._limit :]
        self._note_bound()
        failed = [(entry[1], entry) for entry in map(_entry, state["failed"])]
        self.failed = sorted([*self.failed, *failed])[: self._limit]

    def _note_bound(self) -> None:
        if len(self._slowest) >= self._limit:
            self.from_ms = (self._slowest[0][0] - 1) / 1000.0  # whole µs, rounded: one less to be sure

    def to_state(self) -> dict[str, list[list[Any]]]:
        return {
            "slowest": [list(entry) for entry in self._slowest],
            "failed": [list(entry) for _, entry in self.failed],
        }


def _entry(values: Sequence[Any]) -> Entry:
    latency_us, wall_s, sim_s, system, name, error = values
    return latency_us, wall_s, sim_s, system, name, error


def _row(entry: Entry) -> dict[str, Any]:
    latency_us, wall_s, sim_s, system, name, error = entry
    return {
        "wall_s": wall_s,
        "sim_s": sim_s,
        "target": system,
        "call": name,
        "latency_ms": latency_us / 1000.0,
        "error": error,
    }
