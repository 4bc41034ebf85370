"""How far the writing is: one line that rewrites itself on a terminal, nothing elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO

_BAR = 24
_EVERY_S = 0.2


class Progress:
    """Shows itself on ``out`` (standard error) when that is a terminal; colour unless NO_COLOR is set."""

    def __init__(self, duration_s: float, out: TextIO | None = None) -> None:
        self._out = sys.stderr if out is None else out
        self._shown = self._out.isatty()
        self._colour = not os.environ.get("NO_COLOR")
        self._duration_s = duration_s
        self._started_s = time.monotonic()
        self._next_s = 0.0

    def rows(self, sim_s: float, rows: int) -> None:
        """``rows`` are written, the last one at ``sim_s`` simulated seconds."""
        if self._is_due():
            rate = rows / max(1e-9, time.monotonic() - self._started_s)
            days, rest = divmod(int(sim_s), 86_400)
            moment = f"day {days + 1} {rest // 3600:02d}:{rest // 60 % 60:02d}"
            self._show(sim_s / self._duration_s, f"{moment}  {rows:,} rows  {rate:,.0f} rows/s")

    def step(self, name: str, done: int, total: int) -> None:
        """A step beside the rows: ``done`` of ``total``."""
        if self._is_due():
            self._show(done / max(1, total), f"{name} {done:,} of {total:,}")

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _is_due(self) -> bool:
        now_s = time.monotonic()
        if not self._shown or now_s < self._next_s:
            return False
        self._next_s = now_s + _EVERY_S
        return True

    def _show(self, share: float, text: str) -> None:
        full = round(_BAR * max(0.0, min(1.0, share)))
        bar = "█" * full + "░" * (_BAR - full)
        bar = f"\x1b[36m{bar}\x1b[0m" if self._colour else bar
        self._out.write(f"\r{bar} {share:4.0%}  {text}\x1b[K")
        self._out.flush()
