"""The time of one run: its clock, the changes made to it, and everything that follows them.

    pause, resume, set_speed, offer ──► Timekeeper ──► clock
                                            └──► followers: dispatcher, broadcaster to workers, …

A worker's timekeeper is not steered but follows its master's: `follow` adopts the master's
clock whole and replays the changes of speed and rate that are new, in their order, because every
process replans campaigns at each of them and all must come to the same plan.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from banksim.model import At
from banksim.schedule.clock import Clock, PiecewiseRate, Segment

logger = logging.getLogger(__name__)

START = At(0.0, 0.0)


class Change(NamedTuple):
    """From a simulated second on it is another ``speed`` or another rate, ``tps`` per wall second."""

    sim_s: float
    speed: float | None = None
    tps: float | None = None


class Follower(Protocol):
    """Something that must notice when a run's time changes."""

    def change_speed(self, sim_s: float, speed: float) -> None:
        """From simulated ``sim_s`` on the speed is another one."""

    def change_rate(self, sim_s: float, tps: float) -> None:
        """From simulated ``sim_s`` on ``tps`` transactions per wall second are offered."""

    def clock_changed(self) -> None:
        """What is due when has changed; called after every change, also those above."""


class Timekeeper:
    """Starts, pauses and ends a run's time; ``changes`` are all changes of speed and rate so far."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.changes: list[Change] = []
        self._followers: list[Follower] = []
        self._offered_tps: float | None = None
        self._ended_s: float | None = None

    def add(self, follower: Follower) -> None:
        """Notify ``follower`` of every change from now on."""
        self._followers.append(follower)

    # -- what time it is --------------------------------------------------------------------

    @property
    def started(self) -> bool:
        return self.clock.started

    @property
    def origin_s(self) -> float:
        """The monotonic wall second of simulated second 0; only once started."""
        return self.clock.segments[0].wall_s

    def now(self) -> At:
        """The present moment, or the last one once the run has ended."""
        if not self.clock.segments:
            return START
        now_s = time.monotonic() if self._ended_s is None else self._ended_s
        return At(max(0.0, now_s - self.origin_s), self.clock.sim_at(now_s))

    def at(self, wall_s: float) -> At:
        """The moment ``wall_s`` wall seconds after the start."""
        return At(wall_s, self.clock.sim_at(self.origin_s + wall_s) if self.started else 0.0)

    def asked_tps(self, scenario: PiecewiseRate, sim_s: float) -> float:
        """What is asked for at a simulated second, transactions per wall second; nothing while paused."""
        if self.clock.paused:
            return 0.0
        if self._offered_tps is not None:
            return self._offered_tps
        return scenario.at(sim_s) * self.clock.speed / self.clock.rate_speed

    @property
    def over(self) -> bool:
        """Whether simulated time has come to its end."""
        return self.clock.finished(time.monotonic())

    # -- changes ----------------------------------------------------------------------------

    def start(self, wall_s: float) -> None:
        """Simulated second 0 is at ``wall_s`` (monotonic wall seconds)."""
        self.clock.start(wall_s)
        self._notify()

    def end(self) -> None:
        """The run's last moment is now."""
        self._ended_s = time.monotonic()

    @property
    def paused_s(self) -> float:
        """Wall seconds so far, or of the run, in which simulated time stood still."""
        return self.clock.paused_s(time.monotonic() if self._ended_s is None else self._ended_s)

    def pause(self) -> None:
        """Stop simulated time; transactions in flight go on."""
        self.clock.pause(time.monotonic())
        self._notify()

    def resume(self) -> None:
        """Let simulated time run again after `pause`."""
        self.clock.resume(time.monotonic())
        self._notify()

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on.  Raises ValueError on a speed out of range."""
        now_s = time.monotonic()
        self.clock.set_speed(speed, now_s)
        change = Change(self.clock.sim_at(now_s), speed=self.clock.speed)
        self._apply(change)
        self._notify()
        logger.info("Speed: %gx from simulated second %.0f on", change.speed, change.sim_s)

    def offer(self, tps: float) -> None:
        """Offer ``tps`` transactions per wall second from now on, instead of the scenario's own rate."""
        self._apply(Change(self.now().sim_s, tps=tps))
        self._notify()

    def follow(
        self, speed: float, paused: bool, segments: Iterable[Segment], changes: Sequence[Change]
    ) -> None:
        """Be what the clock of another process is; ``changes`` are all of that process's so far.

        A message that comes late changes nothing: afterwards the clock is what it would have been.
        """
        self.clock.follow(speed, paused, segments)
        for change in changes[len(self.changes) :]:
            self._apply(change)
        self._notify()

    def _apply(self, change: Change) -> None:
        self.changes.append(change)
        self._offered_tps = change.tps if change.tps is not None else self._offered_tps
        for follower in self._followers:
            if change.speed is not None and not self.clock.rates_follow:
                follower.change_speed(change.sim_s, change.speed)
            if change.tps is not None:
                follower.change_rate(change.sim_s, change.tps)

    def _notify(self) -> None:
        for follower in self._followers:
            follower.clock_changed()
