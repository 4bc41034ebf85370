"""What the load generator itself used: a generator at its limit must never look like a slow bank.

One Python process uses one core at most, so CPU is counted in % of one core.  Network bytes
are those of the whole machine, since the system counts them so.  All figures are counts or
maxima; merged over workers they tell of the busiest process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: Above this much of one core arrivals begin to wait for the generator.
BUSY_PERCENT = 90.0


class GeneratorUse:
    """Samples of one process, or of all once merged."""

    __slots__ = ("busy_samples", "cpu_max", "network_max", "rss_max", "samples", "total_permille")

    def __init__(self) -> None:
        self.samples = 0
        self.busy_samples = 0
        self.total_permille = 0
        self.cpu_max = 0.0
        self.rss_max = 0.0
        self.network_max = 0.0

    def add(self, cpu_percent: float, rss_bytes: float, network_bytes_s: float) -> None:
        self.samples += 1
        self.busy_samples += cpu_percent > BUSY_PERCENT
        self.total_permille += round(cpu_percent * 10)
        self.cpu_max = max(self.cpu_max, cpu_percent)
        self.rss_max = max(self.rss_max, rss_bytes)
        self.network_max = max(self.network_max, network_bytes_s)

    def figures(self) -> dict[str, Any] | None:
        """Mean and highest CPU, how often it was busy, memory and network; None without a sample."""
        if not self.samples:
            return None
        return {
            "samples": self.samples,
            "busy_samples": self.busy_samples,
            "cpu_percent_mean": self.total_permille / 10 / self.samples,
            "cpu_percent_max": self.cpu_max,
            "rss_bytes_max": self.rss_max,
            "network_bytes_s_max": self.network_max,
        }

    def merge_state(self, state: Sequence[float]) -> None:
        samples, busy, total, cpu, rss, network = state
        self.samples += int(samples)
        self.busy_samples += int(busy)
        self.total_permille += int(total)
        self.cpu_max = max(self.cpu_max, cpu)
        self.rss_max = max(self.rss_max, rss)
        self.network_max = max(self.network_max, network)

    def to_state(self) -> list[float]:
        return [
            self.samples,
            self.busy_samples,
            self.total_permille,
            self.cpu_max,
            self.rss_max,
            self.network_max,
        ]
