"""Arrivals of an open model: intended start times that never wait for a response.

Exposure is the integral of λ over wall time.  In exposure, a Poisson process of any
varying rate is the same plain thing: unit exponentials one after the other.  So the
next arrival is drawn as "this much exposure from now" and turned into a simulated
moment by inverting the integral, piece by piece.

A change of speed changes how fast exposure accumulates per simulated second.  What is
left of the drawn exposure is kept across the change, and so are arrivals that fell due
before it and were not taken yet, so nothing is lost or doubled: at speed v a simulated
second is worth λ/v.

`EvenArrivals` spaces arrivals one unit of exposure apart, for tests that want no noise.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import deque
from math import log

from banksim.schedule.rate import PiecewiseRate


class Arrivals(ABC):
    """A stream of arrival moments in simulated seconds, in order."""

    def __init__(self, rate: PiecewiseRate, speed: float, rng: random.Random) -> None:
        """``rate`` is λ in arrivals per wall second over simulated seconds."""
        self._rate = rate
        self._speed = speed
        self._rng = rng
        self._from_s = 0.0
        self._exposure_left = self._draw(first=True)
        self._next_s: float | None = None
        self._owed: deque[float] = deque()
        self._from_area = 0.0
        self._locate()

    @abstractmethod
    def _draw(self, first: bool = False) -> float:
        """Exposure until the next arrival."""

    def peek(self) -> float | None:
        """The next arrival's moment, None when there is none before the end of the run."""
        return self._owed[0] if self._owed else self._next_s

    def take(self) -> float:
        """Return the next arrival's moment and draw the one after it.

        Raises StopIteration when there are none left.
        """
        if self._owed:
            return self._owed.popleft()
        if self._next_s is None:
            raise StopIteration
        return self._take_next(self._next_s)

    def skip(self, until_s: float, most: int) -> int:
        """Take up to ``most`` arrivals with moments until ``until_s``; returns how many those were.

        The ones after them are those that taking one by one would have left, at a tenth of the cost:
        only the last moment is looked up.
        """
        skipped = 0
        while skipped < most and self._owed and self._owed[0] <= until_s:
            self._owed.popleft()
            skipped += 1
        if self._owed or self._next_s is None or self._next_s > until_s:
            return skipped
        until_area, speed = self._rate.integral(0.0, until_s), self._speed
        area, exposure = self._from_area, self._exposure_left
        while skipped < most and area + exposure * speed <= until_area:
            area += exposure * speed
            exposure = self._draw()
            skipped += 1
        self._from_s = self._rate.moment_at(area, self._from_s) or self._from_s
        self._from_area, self._exposure_left = area, exposure
        self._next_s = self._rate.moment_at(area + exposure * speed, self._from_s)
        return skipped

    def change(self, now_s: float, speed: float, rate: PiecewiseRate | None = None) -> None:
        """From simulated ``now_s`` on, run at ``speed`` (and with ``rate``, when one is given)."""
        while self._next_s is not None and self._next_s <= now_s:
            self._owed.append(self._take_next(self._next_s))
        if now_s > self._from_s:
            used = self._rate.integral(self._from_s, now_s) / self._speed
            self._exposure_left = max(0.0, self._exposure_left - used)
            self._from_s = now_s
        self._speed = speed
        if rate is not None:
            self._rate = rate
        self._locate()

    def _take_next(self, taken_s: float) -> float:
        self._from_s = taken_s
        self._from_area += self._exposure_left * self._speed
        self._exposure_left = self._draw()
        self._next_s = self._rate.moment_at(self._from_area + self._exposure_left * self._speed, taken_s)
        return taken_s

    def _locate(self) -> None:
        self._from_area = self._rate.integral(0.0, self._from_s)
        self._next_s = self._rate.moment_at(self._from_area + self._exposure_left * self._speed, self._from_s)


class PoissonArrivals(Arrivals):
    """Independent arrivals: gaps are exponential in exposure."""

    def _draw(self, first: bool = False) -> float:  # noqa: ARG002 - the first gap is like any other
        return -log(1.0 - self._rng.random())


class EvenArrivals(Arrivals):
    """Arrivals exactly one unit of exposure apart, the first half a unit in."""

    def _draw(self, first: bool = False) -> float:
        return 0.5 if first else 1.0


def make_arrivals(kind: str, rate: PiecewiseRate, speed: float, rng: random.Random) -> Arrivals:
    """Arrivals of the kind a scenario names: "poisson" or "even"."""
    return {"poisson": PoissonArrivals, "even": EvenArrivals}[kind](rate, speed, rng)
