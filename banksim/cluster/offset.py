"""The master's clock as a worker sees it, told from answered pulses.

    worker  ──at_s──────────────────now_s──►      offset = at_s + round trip ÷ 2 − master_s
                 ╲              ╱
    master  ──────────master_s────────────►

The quickest of the last round trips is believed: its error is at most half of it.  On one
machine both clocks are the same, and what is left is the noise of some 0.1 ms.
"""

from __future__ import annotations

from collections import deque

ROUND_TRIPS_KEPT = 64


class Offset:
    """``to_here`` turns a moment of the master's monotonic clock into one of this process."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=ROUND_TRIPS_KEPT)

    def add(self, at_s: float, master_s: float, now_s: float) -> None:
        """A pulse sent at ``at_s`` was answered at ``master_s`` (there) and heard of at ``now_s``."""
        round_trip_s = max(0.0, now_s - at_s)
        self._samples.append((round_trip_s, at_s + round_trip_s / 2 - master_s))

    @property
    def known(self) -> bool:
        return bool(self._samples)

    @property
    def offset_s(self) -> float:
        """What to add to the master's time; 0 before the first answer."""
        return min(self._samples)[1] if self._samples else 0.0

    @property
    def error_ms(self) -> float | None:
        """How wrong it may be, in ms; None before the first answer."""
        return min(self._samples)[0] / 2 * 1000.0 if self._samples else None

    def to_here(self, master_s: float) -> float:
        return master_s + self.offset_s
