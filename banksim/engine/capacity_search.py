"""The search for the highest rate at which everything still holds: a pure sequence of guesses.

    climb      start, ×factor (or +step) …      while steps hold
    bisect     between the last that held and the first that did not
    descend    ÷factor, when not even the first step held

It ends when the two are within ``precision`` of each other, at ``max_tps``, or when
the rate has become too small to mean anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

MIN_TPS = 0.1


@dataclass(slots=True)
class CapacitySearch:
    """Ask `tps` for the rate to try and tell `judge` whether it held, until `tps` is None."""

    start_tps: float
    factor: float
    step: float | None
    precision: float
    max_tps: float
    held_tps: float | None = None
    failed_tps: float | None = None
    tps: float | None = field(init=False)

    def __post_init__(self) -> None:
        self.tps = min(self.start_tps, self.max_tps)

    def judge(self, held: bool) -> None:
        """Tell whether the current rate held.  Raises ValueError when the search is over."""
        if self.tps is None:
            raise ValueError("the search is over")
        if held:
            self.held_tps = self.tps
        else:
            self.failed_tps = self.tps
        self.tps = self._next()

    def _next(self) -> float | None:
        held, failed = self.held_tps, self.failed_tps
        if failed is None:
            assert held is not None
            if held >= self.max_tps:
                return None
            raised = held + self.step if self.step is not None else held * self.factor
            return min(raised, self.max_tps)
        if held is None:
            lowered = failed / self.factor
            return lowered if lowered >= MIN_TPS else None
        if failed / held - 1.0 <= self.precision:
            return None
        return math.sqrt(held * failed)  # the middle in ratio: precision is a share

    @property
    def bounded(self) -> bool:
        """Whether a rate that fails is known; otherwise the limit lies above everything tried."""
        return self.failed_tps is not None
