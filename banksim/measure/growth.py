"""Does a system get slower the more it has done?  The trend of its calls' time over their number.

Calls are summed by stretches of wall time (count and microseconds), which double in length when there
are more than `MAX_STRETCHES`, so that workers' sums merge.  The trend is a weighted line through the means
of the stretches that were offered a like rate; its error comes from how the means scatter round the line,
so a system that is merely uneven shows a wide interval and no growth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

MAX_STRETCHES = 64
#: Fewer stretches of a like rate than this carry no line.
LEAST_STRETCHES = 8
#: A stretch has a like rate when its calls are this share of the median's, or the inverse.
LIKE = 0.6
#: Two-sided 95 % of Student's t with six degrees of freedom, the fewest there are here.
T_95 = 2.45
#: It grows when the slope is this many standard errors from nothing and the last stretch this much slower.
CLEAR = 4.0
SLOWER = 1.25


@dataclass(frozen=True, slots=True)
class GrowthFigures:
    """``slope_ms`` for every 1,000 calls with its 95 % interval; mean ms of the first and last quarter."""

    slope_ms: float
    low_ms: float
    high_ms: float
    first_ms: float
    last_ms: float
    calls: int
    grows: bool

    def calls_until(self, now_ms: float, limit_ms: float) -> int | None:
        """After how many more calls a figure that is ``now_ms`` passes ``limit_ms``; None if never."""
        if not self.grows or now_ms >= limit_ms:
            return None
        return round((limit_ms - now_ms) / self.slope_ms * 1000.0)


class Growth:
    """The calls of one system over wall time."""

    __slots__ = ("length_s", "stretches")

    def __init__(self) -> None:
        self.length_s = 1.0
        self.stretches: dict[int, list[int]] = {}

    def add(self, wall_s: float, calls: int, total_us: int) -> None:
        """``calls`` ended about ``wall_s`` and took ``total_us`` together; whole: sums merge exactly."""
        index = int(wall_s // self.length_s)
        found = self.stretches.get(index)
        if found is None:
            self.stretches[index] = [calls, total_us]
            while len(self.stretches) > MAX_STRETCHES:
                self._double()
        else:
            found[0] += calls
            found[1] += total_us

    def _double(self) -> None:
        self.length_s *= 2.0
        old, self.stretches = self.stretches, {}
        for index, (calls, total_us) in old.items():
            found = self.stretches.setdefault(index // 2, [0, 0])
            found[0] += calls
            found[1] += total_us

    def figures(self) -> GrowthFigures | None:
        """None where there is too little to say."""
        rows, before = [], 0.0
        for _, (calls, total_us) in sorted(self.stretches.items()):
            rows.append((before + calls / 2.0, total_us / 1000.0 / calls, float(calls)))
            before += calls
        usual = sorted(calls for *_, calls in rows)[len(rows) // 2] if rows else 0.0
        rows = [row for row in rows if LIKE * usual <= row[2] <= usual / LIKE]
        if len(rows) < LEAST_STRETCHES:
            return None
        weight = sum(calls for *_, calls in rows)
        mean_x = sum(x * calls for x, _, calls in rows) / weight
        mean_y = sum(y * calls for _, y, calls in rows) / weight
        spread = sum(calls * (x - mean_x) ** 2 for x, _, calls in rows)
        slope = sum(calls * (x - mean_x) * (y - mean_y) for x, y, calls in rows) / spread
        rest = sum(calls * (y - mean_y - slope * (x - mean_x)) ** 2 for x, y, calls in rows)
        error = sqrt(rest / (len(rows) - 2) / spread)
        quarter = max(1, len(rows) // 4)
        first_ms, last_ms = _mean(rows[:quarter]), _mean(rows[-quarter:])
        return GrowthFigures(
            slope_ms=slope * 1000.0,
            low_ms=(slope - T_95 * error) * 1000.0,
            high_ms=(slope + T_95 * error) * 1000.0,
            first_ms=first_ms,
            last_ms=last_ms,
            calls=round(before),
            grows=slope > CLEAR * error and last_ms > SLOWER * first_ms,
        )

    def to_state(self) -> list[float]:
        flat = [number for index, sums in sorted(self.stretches.items()) for number in (index, *sums)]
        return [self.length_s, *flat]

    def merge_state(self, state: Sequence[float]) -> None:
        """Add another process's sums; its stretches are as long, or a power of two longer or shorter."""
        length_s, *flat = state
        while self.length_s < length_s:
            self._double()
        for place in range(0, len(flat), 3):
            index, calls, total_us = flat[place : place + 3]
            self.add((index + 0.5) * length_s, int(calls), int(total_us))


def _mean(rows: Sequence[tuple[float, float, float]]) -> float:
    calls = sum(row[2] for row in rows)
    return sum(mean_ms * count for _, mean_ms, count in rows) / calls


def figures_of(growth: Mapping[str, Growth]) -> dict[str, GrowthFigures]:
    """By system, those that can be judged."""
    found = {system: one.figures() for system, one in sorted(growth.items())}
    return {system: figures for system, figures in found.items() if figures is not None}
