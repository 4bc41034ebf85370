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
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from banksim.schedule.clock import PiecewiseRate

#: Exposures drawn together.
DRAWN_TOGETHER = 64


class Arrivals(ABC):
    """A stream of arrival moments in simulated seconds, in order."""

    def __init__(self, rate: PiecewiseRate, speed: float, rng: random.Random) -> None:
        """``rate`` is λ in arrivals per wall second over simulated seconds."""
        self._rate = rate
        self._speed = speed
        self._rng = rng
        self._from_s = 0.0
        # Exposures that are drawn and still to come: the buffer from `_at` on.
        self._buffer = np.zeros(0)
        self._at = 0
        # What was due before a change and was not taken yet.
        self._owed: deque[float] = deque()
        self._exposure_left = self._first()
        self._next_s: float | None = None
        self._from_area = 0.0
        self._locate()

    @abstractmethod
    def _draw(self, count: int) -> NDArray[np.float64]:
        """The next ``count`` exposures between two arrivals."""

    def _first(self) -> float:
        """Exposure until the first arrival."""
        return self._pop()

    def _pop(self) -> float:
        self._reserve(1)
        self._at += 1
        return float(self._buffer[self._at - 1])

    def _reserve(self, count: int) -> None:
        """Have at least ``count`` exposures ready."""
        missing = count - (len(self._buffer) - self._at)
        if missing > 0:
            drawn = self._draw(max(missing, DRAWN_TOGETHER))
            self._buffer = np.concatenate([self._buffer[self._at :], drawn])
            self._at = 0

    def peek(self) -> float | None:
        """The next arrival's moment, None when there is none before the end of the run."""
        return self._owed[0] if self._owed else self._next_s

    def take(self) -> float:
        """Return the next arrival's moment and draw the one after it.

        Raises StopIteration when there are none left.
        """
        if self._owed:
            return self._owed.popleft()
        return self._take_next()

    def _take_next(self) -> float:
        if self._next_s is None:
            raise StopIteration
        taken_s = self._next_s
        self._from_s = taken_s
        self._from_area += self._exposure_left * self._speed
        self._exposure_left = self._pop()
        self._next_s = self._rate.moment_at(self._from_area + self._exposure_left * self._speed, taken_s)
        return taken_s

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
            exposure = self._pop()
            skipped += 1
        self._from_s = self._rate.moment_at(area, self._from_s) or self._from_s
        self._from_area, self._exposure_left = area, exposure
        self._next_s = self._rate.moment_at(area + exposure * speed, self._from_s)
        return skipped

    def upcoming(self, count: int) -> NDArray[np.float64]:
        """The moments of the next ``count`` arrivals as things are now, without taking any.

        Fewer at the end of the run.
        """
        owed = np.array(self._owed)[:count]
        if self._next_s is None or len(owed) == count:
            return owed
        moments = self._rate.moments_at(self._areas(count - len(owed)), self._from_s)
        return np.concatenate([owed, moments]) if len(owed) else moments

    def take_many(self, count: int) -> NDArray[np.float64]:
        """Take the next ``count`` arrivals, fewer at the end of the run."""
        if self._owed:
            return np.array([self._owed.popleft() for _ in range(min(count, len(self._owed)))])
        moments = self.upcoming(count + 1)
        taken = moments[:count]
        if len(taken):
            self._from_area = float(self._areas(len(taken))[-1])
            self._at += len(taken) - 1
            self._exposure_left = self._pop()
            self._from_s = float(taken[-1])
            self._next_s = float(moments[count]) if len(moments) > count else None
        return taken

    def advance(self, count: int) -> None:
        """Take the next ``count`` arrivals, whose moments are known from `upcoming`."""
        while count > 0 and (taken := len(self.take_many(count))):
            count -= taken

    def _areas(self, count: int) -> NDArray[np.float64]:
        """The area under λ until each of the next ``count`` arrivals, added up as `take` does."""
        self._reserve(count - 1)
        exposures = self._buffer[self._at : self._at + count - 1]
        steps = np.concatenate([[self._exposure_left], exposures]) * self._speed
        return np.cumsum(np.concatenate([[self._from_area], steps]))[1:]

    def change(
        self, now_s: float, speed: float, rate: PiecewiseRate | None = None, keep_due: bool = True
    ) -> None:
        """From simulated ``now_s`` on, run at ``speed`` (and with ``rate``, when one is given).

        What was due before and was not taken is still to come, unless ``keep_due`` is False.
        """
        while keep_due and self._next_s is not None and self._next_s <= now_s:
            self._owed.append(self._take_next())
        if not keep_due:
            self._owed.clear()
        if now_s > self._from_s:
            used = self._rate.integral(self._from_s, now_s) / self._speed
            self._exposure_left = max(0.0, self._exposure_left - used)
            self._from_s = now_s
        self._speed = speed
        if rate is not None:
            self._rate = rate
        self._locate()

    def _locate(self) -> None:
        self._from_area = self._rate.integral(0.0, self._from_s)
        self._next_s = self._rate.moment_at(self._from_area + self._exposure_left * self._speed, self._from_s)


class PoissonArrivals(Arrivals):
    """Independent arrivals: gaps are exponential in exposure."""

    def _draw(self, count: int) -> NDArray[np.float64]:
        draw = self._rng.random
        exposures: NDArray[np.float64] = -np.log1p([-draw() for _ in range(count)])
        return exposures


class EvenArrivals(Arrivals):
    """Arrivals exactly one unit of exposure apart, the first half a unit in."""

    def _draw(self, count: int) -> NDArray[np.float64]:
        return np.ones(count)

    def _first(self) -> float:
        return 0.5


def make_arrivals(kind: str, rate: PiecewiseRate, speed: float, rng: random.Random) -> Arrivals:
    """Arrivals of the kind a scenario names: "poisson" or "even"."""
    return {"poisson": PoissonArrivals, "even": EvenArrivals}[kind](rate, speed, rng)


# -- What part of a run's load one process makes: all of it, or a worker's share --------------------


class Share(Protocol):
    """One process's part of a run; it may change while the run goes on."""

    @property
    def shard(self) -> int:
        """Tells the random streams of processes apart; 0 for a process alone."""
        ...

    @property
    def part(self) -> float:
        """Part of the genuine arrivals, 0..1."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether everything belongs to this process."""
        ...

    def has_customer(self, index: int) -> bool:
        """Whether the customer acts from here now."""
        ...

    def has_campaign(self, campaign_id: str, start_s: float) -> bool:
        """Whether a campaign that starts at this simulated second is carried out here."""
        ...


class Whole:
    """The share of a process alone."""

    shard = 0
    part = 1.0
    is_whole = True

    def has_customer(self, index: int) -> bool:  # noqa: ARG002 - all of them
        return True

    def has_campaign(self, campaign_id: str, start_s: float) -> bool:  # noqa: ARG002 - all of them
        return True


WHOLE: Share = Whole()
