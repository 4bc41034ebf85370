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
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

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

    def __init__(self, duration_s: float, speed: float) -> None:
        """``duration_s`` is in simulated seconds.  Raises ValueError on a speed out of range."""
        self.duration_s = duration_s
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
