"""Latency histogram: log-linear buckets over whole microseconds, in the manner of HdrHistogram.

Below 2,048 µs a bucket is 1 µs wide; every doubling after that doubles the width, so a
bucket is never wider than 1/1024 of its value: three significant digits, from
microseconds to hours.  Only buckets in use are stored.

    value   0 … 2047   2048 … 4095   4096 … 8191
    width      1            2             4          µs
    bucket  0 … 2047   2048 … 3071   3072 … 4095

Everything kept is an integer that adds up (counts, the sum) or a maximum, so merging is
exact and its order does not matter.  Coarser copies (``COARSE_BITS``) serve the timeline,
which keeps thousands of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil, floor, sqrt
from typing import Any

from banksim.measure.scores import Z_95

#: Three significant digits.
FINE_BITS = 11
#: About 3 % bucket width, for one histogram per timeline point.
COARSE_BITS = 6


class LatencyHistogram:
    """Counts of latencies.  Values go in and come out in milliseconds."""

    __slots__ = ("_limit", "_sub_bits", "_sum_us", "buckets", "count", "max_us")

    def __init__(self, sub_bits: int = FINE_BITS) -> None:
        self._sub_bits = sub_bits
        self._limit = 1 << sub_bits
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.max_us = 0
        self._sum_us = 0

    def add(self, latency_ms: float) -> None:
        """Count one latency.  A negative one (a clock was stepped back) counts as 0."""
        value_us = int(latency_ms * 1000.0 + 0.5)
        if value_us < self._limit:
            bucket = value_us = max(value_us, 0)
        else:
            shift = value_us.bit_length() - self._sub_bits
            bucket = (shift << (self._sub_bits - 1)) + (value_us >> shift)
        buckets = self.buckets
        buckets[bucket] = buckets.get(bucket, 0) + 1
        self.count += 1
        self._sum_us += value_us
        if value_us > self.max_us:
            self.max_us = value_us

    @property
    def mean_ms(self) -> float | None:
        return self._sum_us / self.count / 1000.0 if self.count else None

    @property
    def max_ms(self) -> float | None:
        return self.max_us / 1000.0 if self.count else None

    def percentile(self, percent: float) -> float | None:
        """Latency in ms that ``percent`` % (0..100) of the counted ones do not exceed; None when empty."""
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: Iterable[float]) -> list[float | None]:
        """Several percentiles (nearest rank) from one pass over the buckets; ``percents`` must rise."""
        wanted = list(percents)
        if not self.count:
            return [None] * len(wanted)
        ranks = [max(1, ceil(percent / 100.0 * self.count - 1e-9)) for percent in wanted]
        return [*self._at_ranks(ranks)]

    def percentile_ends(self, percent: float) -> tuple[float, float] | None:
        """95 % interval of a percentile, from the order statistics around its rank.

        Free of assumptions on the shape; takes transactions as independent, which those of one
        stall are not.  None when there are too few to close the interval at both ends.
        """
        quantile = percent / 100.0
        half = Z_95 * sqrt(self.count * quantile * (1 - quantile))
        low, high = floor(self.count * quantile - half), ceil(self.count * quantile + half) + 1
        if low < 1 or high > self.count:
            return None
        low_ms, high_ms = self._at_ranks((low, high))
        return low_ms, high_ms

    def count_up_to(self, limit_ms: float) -> int:
        """How many were at most ``limit_ms``; the bucket the limit falls into counts by its middle."""
        limit_us = limit_ms * 1000.0
        return sum(number for bucket, number in self.buckets.items() if self._middle_us(bucket) <= limit_us)

    def _at_ranks(self, ranks: Iterable[int]) -> list[float]:
        """Latencies in ms at rising ranks (1 is the fastest), at most ``count``."""
        found: list[float] = []
        passed = 0
        ordered = iter(sorted(self.buckets.items()))
        bucket = -1
        for rank in ranks:
            while passed < rank:
                bucket, count = next(ordered)
                passed += count
            found.append(min(self._middle_us(bucket), float(self.max_us)) / 1000.0)
        return found

    def merge(self, other: LatencyHistogram) -> None:
        """Add another histogram of the same resolution to this one."""
        if other._sub_bits != self._sub_bits:
            raise ValueError("histograms of different resolution do not add up")
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.count += other.count
        self._sum_us += other._sum_us
        self.max_us = max(self.max_us, other.max_us)

    def summary(self) -> dict[str, float | int | None]:
        """count, mean, p50, p95, p99, p999 and max; milliseconds, None where nothing was counted."""
        p50, p95, p99, p999 = self.percentiles((50, 95, 99, 99.9))
        return {
            "count": self.count,
            "mean": self.mean_ms,
            "p50": p50,
            "p95": p95,
            "p99": p99,
            "p999": p999,
            "max": self.max_ms,
        }

    def to_state(self) -> dict[str, Any]:
        """Sparse, JSON-able: parallel lists of buckets and counts."""
        return {
            "bits": self._sub_bits,
            "sum_us": self._sum_us,
            "max_us": self.max_us,
            "buckets": list(self.buckets),
            "counts": list(self.buckets.values()),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> LatencyHistogram:
        made = cls(state["bits"])
        made.buckets = dict(zip(state["buckets"], state["counts"], strict=True))
        made.count = sum(made.buckets.values())
        made._sum_us = state["sum_us"]
        made.max_us = state["max_us"]
        return made

    def _middle_us(self, bucket: int) -> float:
        """The middle of a bucket: at most half its width off."""
        half = self._sub_bits - 1
        if bucket < self._limit:
            return float(bucket)
        shift = (bucket >> half) - 1
        low = (bucket - (shift << half)) << shift
        return low + ((1 << shift) - 1) / 2.0
