"""Small bounded memories over event time: what happened lately, to whom, how often.

Event time is the request's own timestamp, which may arrive slightly out of order; nothing here
reads a clock.  Each memory has a maximum and forgets the oldest first.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

_LOG10_E = math.log10(math.e)


class LruTable(Generic[Value]):
    """Key → state, made at first use; the least recently used goes when full, counted in ``evicted``."""

    __slots__ = ("_make", "_rows", "evicted", "maximum")

    def __init__(self, make: Callable[[], Value], maximum: int) -> None:
        self._make = make
        self._rows: OrderedDict[str, Value] = OrderedDict()
        self.maximum = maximum
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> Value:
        row = self._rows.get(key)
        if row is not None:
            self._rows.move_to_end(key)
            return row
        if len(self._rows) >= self.maximum:
            self._rows.popitem(last=False)
            self.evicted += 1
        row = self._rows[key] = self._make()
        return row

    def peek(self, key: str) -> Value | None:
        return self._rows.get(key)


class RecentTimes:
    """Sorted moments within ``span_s`` of the newest, at most ``maximum``."""

    __slots__ = ("_maximum", "_span_s", "_times")

    def __init__(self, span_s: float, maximum: int = 64) -> None:
        self._span_s = span_s
        self._maximum = maximum
        self._times: list[float] = []

    def add(self, moment_s: float) -> None:
        times = self._times
        if not times or moment_s >= times[-1]:
            times.append(moment_s)
        else:
            insort(times, moment_s)
        if len(times) > self._maximum or times[0] < times[-1] - self._span_s:
            del times[: max(len(times) - self._maximum, bisect_left(times, times[-1] - self._span_s))]

    def count(self, moment_s: float, window_s: float) -> int:
        """How many lie in (moment − window, moment]."""
        times = self._times
        return bisect_right(times, moment_s) - bisect_right(times, moment_s - window_s)


class RecentKeys:
    """Distinct keys seen within ``span_s``, at most ``maximum`` of them."""

    __slots__ = ("_keys", "_maximum", "_span_s")

    def __init__(self, span_s: float, maximum: int = 64) -> None:
        self._span_s = span_s
        self._maximum = maximum
        self._keys: dict[str, float] = {}

    def add(self, key: str, moment_s: float) -> None:
        self._keys.pop(key, None)
        self._keys[key] = moment_s
        self._forget(moment_s)
        if len(self._keys) > self._maximum:
            del self._keys[next(iter(self._keys))]

    def _forget(self, moment_s: float) -> None:
        oldest_s = moment_s - self._span_s
        stale = []
        for key, seen_s in self._keys.items():
            if seen_s >= oldest_s:
                break
            stale.append(key)
        for key in stale:
            del self._keys[key]

    def count_with(self, key: str, moment_s: float) -> int:
        """Distinct keys at ``moment_s``, ``key`` among them."""
        self._forget(moment_s)
        return len(self._keys) + (key not in self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)


class RecentAmounts:
    """Amounts with their moments and keys within ``span_s``, at most ``maximum``."""

    __slots__ = ("_entries", "_maximum", "_span_s")

    def __init__(self, span_s: float, maximum: int = 32) -> None:
        self._span_s = span_s
        self._maximum = maximum
        self._entries: list[tuple[float, float, str]] = []

    def add(self, moment_s: float, amount: float, key: str = "") -> None:
        entries = self._entries
        entries.append((moment_s, amount, key))
        if len(entries) > self._maximum or entries[0][0] < moment_s - self._span_s:
            oldest_s = moment_s - self._span_s
            self._entries = [entry for entry in entries if entry[0] >= oldest_s][-self._maximum :]

    def total(self, moment_s: float, window_s: float) -> tuple[float, int, float]:
        """(sum, count, newest moment or minus infinity) within (moment − window, moment]."""
        amount, count, newest_s = 0.0, 0, -math.inf
        for entry_s, entry_amount, _ in self._entries:
            if moment_s - window_s < entry_s <= moment_s:
                amount += entry_amount
                count += 1
                newest_s = max(newest_s, entry_s)
        return amount, count, newest_s

    def paid_by(self, key: str, moment_s: float, window_s: float) -> float:
        """Largest single amount that ``key`` sent within the window, 0 when none."""
        return max(
            (
                amount
                for at_s, amount, by in self._entries
                if by == key and moment_s - window_s < at_s <= moment_s
            ),
            default=0.0,
        )


class RunningNormal:
    """Mean and spread of a stream, started from a prior worth ``weight`` observations.

    A new value is clipped to ±3 standard deviations first, so that one attack does not become
    normal; beyond ``memory`` observations old ones fade.
    """

    __slots__ = ("mean", "memory", "variance", "weight")

    def __init__(self, mean: float, deviation: float, weight: float, memory: float) -> None:
        self.mean = mean
        self.variance = deviation * deviation
        self.weight = weight
        self.memory = memory

    def add(self, value: float) -> None:
        limit = 3 * math.sqrt(self.variance)
        step = min(limit, max(-limit, value - self.mean))
        self.weight = min(self.weight + 1, self.memory)
        share = 1 / self.weight
        self.mean += share * step
        self.variance += share * (step * step * (1 - share) - self.variance)


def surprise(count: int, expected: float) -> float:
    """−log10 of (a Chernoff bound on) the chance that a Poisson count reaches ``count``; 0 when not above."""
    if count <= expected:
        return 0.0
    return (count * math.log(count / expected) - (count - expected)) * _LOG10_E


def ramp(value: float, low: float, high: float) -> float:
    """0 up to ``low``, 1 from ``high``, straight between."""
    if value <= low:
        return 0.0
    if value >= high:
        return 1.0
    return (value - low) / (high - low)
