"""Does a system get slower the more it has done?  The trend of its calls' time over their number.

Calls are summed by stretches of wall time (count and microseconds), which double in length when there
are more than `MAX_STRETCHES`, so that workers' sums merge.  The trend is a weighted line through the means
of the stretches that were offered a like rate; its error comes from how the means scatter round the line,
so a system that is merely uneven shows a wide interval and no growth.

Score drift: do genuine transactions still score as they did when the run began?

The population stability index (PSI) compares two distributions over the same groups:

    PSI = Σ (p − q) · ln(p / q)        q: share in the reference, p: share in a later stretch

Common reading: below 0.1 stable, 0.1 to 0.25 watch, above 0.25 shifted.  Only genuine
transactions count: an attack is not drift.  Groups are about tenths of the reference.

Scores are counted by windows of simulated time, in 34 coarse score groups.  When more than
``MAX_WINDOWS`` windows are in use their length doubles (as in timeline.py), so workers' counts
merge exactly.  When read, neighbouring windows are added up to stretches of at least
``MIN_SCORES`` scores; the first stretch is the reference.  PSI of two samples of one
distribution is not 0 but about (groups − 1) · (1/n + 1/m): each figure comes with it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import numpy as np

from banksim.measure.figures import Drift, DriftStretch
from banksim.measure.formats import count, milliseconds
from banksim.measure.scores import LOGIT_RANGE, Floats, score_of

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

    def text(self, p99_ms: float | None, goal_ms: float) -> str:
        """A system that gets slower the more it has done, in one sentence without its full stop."""
        text = (
            f"It gets slower as it works: calls took {milliseconds(self.first_ms)} at first and "
            f"{milliseconds(self.last_ms)} at the end, {milliseconds(self.slope_ms)} more with every 1,000 "
            f"(95 % interval {milliseconds(self.low_ms)} to {milliseconds(self.high_ms)})"
        )
        left = self.calls_until(p99_ms, goal_ms) if p99_ms is not None else None
        return text + (f"; p99 passes {milliseconds(goal_ms)} after {count(left)} more" if left else "")


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


FIRST_LENGTH_S = 600.0
MAX_WINDOWS = 48
MIN_SCORES = 300
#: Tenths of the reference are the usual choice.
TENTHS = 10
#: Where all but the first group begin: exactly 0, 240 equal widths of log-odds, exactly 1.
_GROUP_EDGES = [5e-324, *(score_of(number * 0.1 - LOGIT_RANGE) for number in range(1, 240)), 1.0]
_GROUPS = len(_GROUP_EDGES) + 1


class ScoreDrift:
    """Counts of genuine scores by window of simulated time."""

    __slots__ = ("length_s", "windows")

    def __init__(self) -> None:
        self.length_s = FIRST_LENGTH_S
        self.windows: dict[int, list[int]] = {}

    def add(self, sim_s: float, score: float) -> None:
        """Count the score of one genuine transaction."""
        self._window(sim_s)[bisect_right(_GROUP_EDGES, score)] += 1

    def add_many(self, sims_s: Floats, scores: Floats) -> None:
        """Count the scores of genuine transactions at their moments; both of shape (n,)."""
        groups = np.searchsorted(_GROUP_EDGES, scores, side="right")
        length_s = self.length_s
        for index in np.unique((sims_s / length_s).astype(np.int64)).tolist():
            self._window(index * length_s)
        # All windows are there, so the length stays what it is.
        indices = (sims_s / self.length_s).astype(np.int64)
        for index in np.unique(indices).tolist():
            window = self.windows[index]
            for group, number in enumerate(np.bincount(groups[indices == index]).tolist()):
                window[group] += number

    def _window(self, sim_s: float) -> list[int]:
        index = int(sim_s / self.length_s)
        window = self.windows.get(index)
        if window is None:
            window = self.windows[index] = [0] * _GROUPS
            while len(self.windows) > MAX_WINDOWS:
                self._coarsen()
                window = self.windows[int(sim_s / self.length_s)]
        return window

    def figures(self) -> Drift:
        """The first stretch is the reference and has no PSI; with no other one both figures are None."""
        stretches = self._stretches()
        rows: list[DriftStretch] = []
        groups = _tenths(stretches[0][2]) if stretches else []
        for place, (start, end, counts) in enumerate(stretches):
            total = sum(counts)
            psi = by_chance = None
            if place:
                reference = stretches[0][2]
                psi = stability_index(_grouped(reference, groups), _grouped(counts, groups))
                by_chance = (len(groups) - 1) * (1 / sum(reference) + 1 / total)
            rows.append(DriftStretch(start * self.length_s, end * self.length_s, total, psi, by_chance))
        found = [row.psi for row in rows if row.psi is not None]
        return Drift(max(found, default=None), found[-1] if found else None, rows)

    def _stretches(self) -> list[tuple[int, int, list[int]]]:
        """(first window, window after the last, counts by group), each with enough scores."""
        found: list[tuple[int, int, list[int]]] = []
        start, counts = None, [0] * _GROUPS
        for index, window in sorted(self.windows.items()):
            start = index if start is None else start
            counts = _added(counts, window)
            if sum(counts) >= MIN_SCORES:
                found.append((start, index + 1, counts))
                start, counts = None, [0] * _GROUPS
        if start is not None and found:
            first, _, before = found[-1]
            found[-1] = (first, max(self.windows) + 1, _added(before, counts))
        return found

    def merge_state(self, state: Mapping[str, Any]) -> None:
        while self.length_s < state["length_s"]:
            self._coarsen()
        factor = round(self.length_s / state["length_s"])
        for index, counts in state["windows"]:
            mine = self.windows.setdefault(index // factor, [0] * _GROUPS)
            for group, number in counts:
                mine[group] += number
        while len(self.windows) > MAX_WINDOWS:
            self._coarsen()

    def to_state(self) -> dict[str, Any]:
        return {
            "length_s": self.length_s,
            "windows": [
                [i, [[group, n] for group, n in enumerate(window) if n]] for i, window in self.windows.items()
            ],
        }

    def _coarsen(self) -> None:
        finer, self.windows = self.windows, {}
        for index, window in finer.items():
            self.windows[index // 2] = _added(self.windows.get(index // 2, [0] * _GROUPS), window)
        self.length_s *= 2


def _added(counts: Sequence[int], others: Sequence[int]) -> list[int]:
    return [a + b for a, b in zip(counts, others, strict=True)]


def stability_index(reference: Sequence[int], later: Sequence[int]) -> float:
    """PSI of two lists of counts over the same groups; half a count more in each, so that none is empty."""
    groups = len(reference)
    reference_total, later_total = sum(reference) + groups / 2, sum(later) + groups / 2
    index = 0.0
    for before, after in zip(reference, later, strict=True):
        q, p = (before + 0.5) / reference_total, (after + 0.5) / later_total
        index += (p - q) * log(p / q)
    return index


def _tenths(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of coarse groups that hold about a tenth of the reference each."""
    wanted = sum(counts) / TENTHS
    ranges: list[tuple[int, int]] = []
    start, held = 0, 0
    for group, number in enumerate(counts):
        held += number
        if held >= wanted:
            ranges.append((start, group + 1))
            start, held = group + 1, 0
    if start < len(counts):
        # A group that is nearly empty by chance would dominate the sum: the rest joins the last one.
        start = ranges.pop()[0] if ranges else 0
        ranges.append((start, len(counts)))
    return ranges


def _grouped(counts: Sequence[int], ranges: Sequence[tuple[int, int]]) -> list[int]:
    return [sum(counts[start:end]) for start, end in ranges]
