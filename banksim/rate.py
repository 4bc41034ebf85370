"""A rate that is constant on pieces of simulated time, and its integral.

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

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise


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
