"""The accelerated clock: simulated time as a function of wall time.

The clock is a list of segments, each a straight line from (wall, simulated) with a
slope, the speed in simulated seconds per wall second.  A change of speed or a pause
starts a new segment where the last one is at that moment, so simulated time is
continuous: nothing is lost or repeated.

        simulated                    ╱ speed 100
            │              ╱────────╱        a pause is a segment of slope 0
            │        ╱────╱  pause
            │  ╱╱╱╱╱╱ speed 10
            └──────────────────────────── wall

The list is the whole state: a process or a report that holds it knows what
time it was at any moment.  The clock reads no wall clock of its own; callers pass wall
seconds in, so tests need no waiting.  Simulated seconds count from the run's start.

A rate that is constant on pieces of simulated time, and its integral.

Demand, fraud shares and their products are all of this shape, so one small class
carries the arithmetic: value at a moment, integral over a window, and the inverse of
the integral (the moment at which a given area has passed), which is what turns unit
exponentials into Poisson arrivals.

          value
            |      ┌────┐
            |  ┌───┘    └──┐          integral(a, b) = shaded area
            |──┘           └────
            └──┴───┴────┴──┴────  simulated seconds
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from banksim.scenario import Scenario
    from banksim.scenario.fields import TransactionRate

MIN_SPEED = 0.1
MAX_SPEED = 10_000.0

#: Changes of speed and pauses kept; far more than a person makes in a run.
MAX_SEGMENTS = 100_000


@dataclass(frozen=True, slots=True)
class Segment:
    """From ``wall_s`` on, simulated time runs from ``sim_s`` at ``speed`` (0 while paused)."""

    wall_s: float
    sim_s: float
    speed: float


class Clock:
    """Simulated time of one run, from 0 to ``duration_s``, where it stops."""

    def __init__(self, duration_s: float, speed: float, rates_follow: bool = False) -> None:
        """``duration_s`` is in simulated seconds; ``rates_follow``: rates are per simulated second.

        Raises ValueError on a speed out of range.
        """
        self.duration_s = duration_s
        self.rates_follow = rates_follow
        self._first_speed = speed
        self.segments: list[Segment] = []
        self._speed = checked_speed(speed)
        self._paused = False

    @classmethod
    def from_segments(
        cls, duration_s: float, speed: float, paused: bool, segments: Iterable[Segment]
    ) -> Clock:
        """The same clock somewhere else."""
        clock = cls(duration_s, speed)
        clock.follow(speed, paused, segments)
        return clock

    def follow(self, speed: float, paused: bool, segments: Iterable[Segment]) -> None:
        """Be what the clock somewhere else is now.  Raises ValueError on a speed out of range."""
        self._speed = checked_speed(speed)
        self._paused = paused
        self.segments = list(segments)

    @property
    def started(self) -> bool:
        return bool(self.segments)

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def speed(self) -> float:
        """The speed that is set; a paused clock keeps it for when it resumes."""
        return self._speed

    @property
    def rate_speed(self) -> float:
        """The speed at which the planned rates hold: the present one, or the first where they follow it."""
        return self._first_speed if self.rates_follow else self._speed

    def start(self, wall_s: float) -> None:
        """Begin simulated time 0 at ``wall_s``.  Raises RuntimeError when already started."""
        if self.segments:
            raise RuntimeError("the clock has been started before")
        self._append(wall_s, 0.0)

    def sim_at(self, wall_s: float) -> float:
        """Simulated seconds at a wall moment, within [0, duration]."""
        if not self.segments:
            return 0.0
        segment = self.segments[-1]
        if wall_s < segment.wall_s:  # about the past: which is rare, and now is asked for all the time
            index = bisect_right(self.segments, wall_s, key=lambda segment: segment.wall_s) - 1
            if index < 0:
                return 0.0
            segment = self.segments[index]
        return min(self.duration_s, segment.sim_s + (wall_s - segment.wall_s) * segment.speed)

    def wall_at(self, sim_s: float) -> float:
        """The wall moment at which simulated time reaches ``sim_s``, if nothing changes any more.

        Infinite while that moment lies ahead and the clock is paused or has not started.
        """
        if not self.segments:
            return math.inf
        last = self.segments[-1]
        if sim_s > last.sim_s:
            return last.wall_s + (sim_s - last.sim_s) / last.speed if last.speed > 0 else math.inf
        for segment, following in pairwise(self.segments):
            if sim_s <= segment.sim_s:
                return segment.wall_s
            if sim_s <= following.sim_s and segment.speed > 0:
                return segment.wall_s + (sim_s - segment.sim_s) / segment.speed
        return last.wall_s

    def finished(self, wall_s: float) -> bool:
        return self.started and self.sim_at(wall_s) >= self.duration_s

    def paused_s(self, wall_s: float) -> float:
        """Wall seconds until ``wall_s`` in which simulated time stood still."""
        ends = [*(segment.wall_s for segment in self.segments[1:]), wall_s]
        pairs = zip(self.segments, ends, strict=False)
        return sum(max(0.0, min(end, wall_s) - one.wall_s) for one, end in pairs if not one.speed)

    def set_speed(self, speed: float, wall_s: float) -> None:
        """Change the speed from ``wall_s`` on; a paused clock stays paused.

        Raises ValueError on a speed out of range.
        """
        sim_s = self.sim_at(wall_s)
        self._speed = checked_speed(speed)
        if self.started and not self._paused:
            self._append(wall_s, sim_s)

    def pause(self, wall_s: float) -> None:
        """Stop simulated time.  Pausing twice is pausing once."""
        if self._paused:
            return
        sim_s = self.sim_at(wall_s)
        self._paused = True
        if self.started:
            self._append(wall_s, sim_s)

    def resume(self, wall_s: float) -> None:
        """Let simulated time run on from where it stood."""
        if not self._paused:
            return
        sim_s = self.sim_at(wall_s)
        self._paused = False
        if self.started:
            self._append(wall_s, sim_s)

    def _append(self, wall_s: float, sim_s: float) -> None:
        if len(self.segments) >= MAX_SEGMENTS:
            raise RuntimeError(f"more than {MAX_SEGMENTS} changes of speed in one run")
        if self.segments and wall_s < self.segments[-1].wall_s:
            raise ValueError("a change of speed cannot lie before the last one")
        self.segments.append(Segment(wall_s, sim_s, 0.0 if self._paused else self._speed))


def checked_speed(speed: float) -> float:
    """``speed`` as a float, or ValueError when it is not between 0.1 and 10,000."""
    if not MIN_SPEED <= speed <= MAX_SPEED:  # NaN fails this too
        raise ValueError(f"speed: expected {MIN_SPEED} to {MAX_SPEED:,.0f}, got {speed}")
    return float(speed)


@dataclass(frozen=True, slots=True)
class Piece:
    """``value`` from ``start_s`` (inclusive) to ``end_s`` (exclusive), simulated seconds."""

    start_s: float
    end_s: float
    value: float


class PiecewiseRate:
    """A step function on [0, duration); zero outside."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        """``pieces`` must be in order, without gaps or overlaps, and start at 0.

        Raises ValueError when they are not, or when a value is negative.
        """
        self.pieces = [piece for piece in pieces if piece.end_s > piece.start_s]
        expected_start_s = 0.0
        for piece in self.pieces:
            if abs(piece.start_s - expected_start_s) > 1e-6:
                raise ValueError(f"piece starts at {piece.start_s}, expected {expected_start_s}")
            if piece.value < 0:
                raise ValueError(f"negative rate {piece.value} at {piece.start_s} s")
            expected_start_s = piece.end_s
        self.duration_s = expected_start_s
        self._starts_s = [piece.start_s for piece in self.pieces]
        areas = (piece.value * (piece.end_s - piece.start_s) for piece in self.pieces)
        self._areas = list(accumulate(areas, initial=0.0))

    @classmethod
    def constant(cls, value: float, duration_s: float) -> PiecewiseRate:
        return cls([Piece(0.0, duration_s, value)])

    def at(self, moment_s: float) -> float:
        """The value at ``moment_s``; 0 outside the run."""
        if not 0 <= moment_s < self.duration_s:
            return 0.0
        return self.pieces[bisect_right(self._starts_s, moment_s) - 1].value

    def integral(self, start_s: float, end_s: float) -> float:
        """Area between two moments (value × simulated seconds)."""
        return self._area_until(end_s) - self._area_until(start_s)

    def total(self) -> float:
        """Area under the whole function."""
        return self._areas[-1]

    def moment_after(self, start_s: float, area: float) -> float | None:
        """The moment at which ``area`` has passed since ``start_s``; None if it never does."""
        return self.moment_at(self._area_until(start_s) + area, start_s)

    def moment_at(self, target: float, start_s: float = 0.0) -> float | None:
        """The moment, from ``start_s`` on, at which the area since 0 is ``target``; None if it never is."""
        if target > self._areas[-1] or not self.pieces:
            return None
        index = min(bisect_right(self._areas, target) - 1, len(self.pieces) - 1)
        # A zero piece has no inverse; the area was reached where the last rising piece ended.
        while index > 0 and self.pieces[index].value == 0:
            index -= 1
        piece = self.pieces[index]
        if piece.value == 0:
            return start_s
        return max(start_s, min(piece.end_s, piece.start_s + (target - self._areas[index]) / piece.value))

    def moments_at(self, targets: NDArray[np.float64], start_s: float) -> NDArray[np.float64]:
        """`moment_at` for rising targets, each from the moment before on; ends where it would be None."""
        if not self.pieces:
            return np.zeros(0)
        targets = targets[: np.searchsorted(targets, self._areas[-1], side="right")]
        indices = np.minimum(np.searchsorted(self._areas, targets, side="right") - 1, len(self.pieces) - 1)
        moments = np.empty(len(targets))
        for index in np.unique(indices).tolist():
            at = indices == index
            rising = index
            while rising > 0 and self.pieces[rising].value == 0:
                rising -= 1
            piece = self.pieces[rising]
            if piece.value == 0:
                moments[at] = start_s
                continue
            passed_s = (targets[at] - self._areas[rising]) / piece.value
            moments[at] = np.minimum(piece.end_s, piece.start_s + passed_s)
        return np.maximum(np.maximum.accumulate(moments), start_s) if len(moments) else moments

    def map(self, change: Callable[[Piece], float]) -> PiecewiseRate:
        """A new rate whose value on each piece is ``change(piece)``."""
        return PiecewiseRate(Piece(p.start_s, p.end_s, change(p)) for p in self.pieces)

    def times(self, other: PiecewiseRate) -> PiecewiseRate:
        """The product of two rates over the same duration, on the union of their pieces."""
        edges = sorted({e for rate in (self, other) for p in rate.pieces for e in (p.start_s, p.end_s)})
        return PiecewiseRate(
            Piece(a, b, self.at((a + b) / 2) * other.at((a + b) / 2)) for a, b in pairwise(edges)
        )

    def __iter__(self) -> Iterator[Piece]:
        return iter(self.pieces)

    def _area_until(self, moment_s: float) -> float:
        if moment_s <= 0 or not self.pieces:
            return 0.0
        if moment_s >= self.duration_s:
            return self._areas[-1]
        index = bisect_right(self._starts_s, moment_s) - 1
        piece = self.pieces[index]
        return self._areas[index] + piece.value * (moment_s - piece.start_s)


# -- Offered rate: how many transactions a wall second the scenario asks for, when ------------------
#
#     λ(t) = (peak_tps in business hours, else off_peak_tps)
#            × hourly_multipliers[hour] × weekday_multipliers[day] × seasonal_multipliers[month]
#            × weekend_multiplier on Saturdays and Sundays, when weekday_multipliers is absent
#
# A missing key counts as 1.  λ is in transactions per *wall* second whatever the speed,
# because that is what the system under test feels; over simulated time it is constant
# within each clock hour.  At speed v, one simulated second therefore offers λ/v.  With
# `per: simulated` one simulated second offers λ whatever the speed, and a wall second λ·v.


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SECONDS_PER_HOUR = 3600.0
_EPOCH = date(1970, 1, 1)


def rates_follow(scenario: Scenario) -> bool:
    """Whether the offered rate grows with the speed; a search for capacity sets its own."""
    return scenario.transaction_rate.per == "simulated" and scenario.load is None


def offered_rate(scenario: Scenario, speed: float | None = None) -> PiecewiseRate:
    """λ in transactions per wall second over simulated seconds, at ``speed`` (by default the scenario's)."""
    factor = (speed or scenario.speed_multiplier) if rates_follow(scenario) else 1.0
    return PiecewiseRate(
        Piece(start_s, end_s, factor * rate_at(scenario.transaction_rate, moment, scenario.closed_days))
        for start_s, end_s, moment in clock_hours(scenario.start_at, scenario.duration_s)
    )


def rate_at(rate: TransactionRate, moment: datetime, closed_days: Collection[int] = ()) -> float:
    """λ at one simulated moment, transactions per second of what `per` says.

    ``closed_days``, since 1 January 1970, are as a Sunday.
    """
    is_closed = (moment.date() - _EPOCH).days in closed_days
    weekday = 6 if is_closed else moment.weekday()
    base_tps = rate.peak_tps if in_hours(moment.hour, rate.business_hours) else rate.off_peak_tps
    if rate.weekday_multipliers:
        day = rate.weekday_multipliers.get(WEEKDAYS[weekday], 1.0)
    else:
        day = rate.weekend_multiplier if weekday >= 5 else 1.0
    hour = rate.hourly_multipliers.get(moment.hour, 1.0)
    return base_tps * hour * day * rate.seasonal_multipliers.get(moment.month, 1.0)


def in_hours(hour: int, window: tuple[int, int]) -> bool:
    """Whether a clock hour lies in [start, end), which may wrap past midnight ((22, 4) is legal)."""
    start, end = window
    if start <= end:
        return start <= hour < end
    return hour >= start or hour < end


def clock_hours(start_at: datetime, duration_s: float) -> list[tuple[float, float, datetime]]:
    """The run cut at full clock hours: (start_s, end_s, moment of the start) each."""
    hours = []
    start_s = 0.0
    while start_s < duration_s:
        moment = start_at + timedelta(seconds=start_s)
        into_hour_s = moment.minute * 60 + moment.second + moment.microsecond / 1e6
        end_s = min(duration_s, start_s + SECONDS_PER_HOUR - into_hour_s)
        hours.append((start_s, end_s, moment))
        start_s = end_s
    return hours
