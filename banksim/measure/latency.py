"""Latency histogram: log-linear buckets over whole microseconds, in the manner of HdrHistogram.

Below 2,048 µs a bucket is 1 µs wide; every doubling after that doubles the width, so a
bucket is never wider than 1/1024 of its value: three significant digits, from
microseconds to an hour.

    value   0 … 2047   2048 … 4095   4096 … 8191
    width      1            2             4          µs
    bucket  0 … 2047   2048 … 3071   3072 … 4095

Everything kept is an integer that adds up (counts, the sum) or a maximum, so merging is
exact and its order does not matter.  Coarser copies (``COARSE_BITS``) serve the timeline,
which keeps thousands of them.

Counts lie in one array of machine integers, which is made for latencies up to ``_EXPECTED_US``
and replaced by a longer one when a longer latency comes: at most twice the size in an hour-long
run, and 190 KB for a latency of an hour.  Bound: a latency above ``MAX_US`` counts in the last
bucket; the maximum and the sum stay exact.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from functools import cache
from math import ceil, floor, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from banksim.measure.figures import Percentiles
from banksim.measure.scores import Z_95, Floats, Ints, gaps

Ms = float | None

#: Three significant digits.
FINE_BITS = 11
#: About 3 % bucket width, for one histogram per timeline point.
COARSE_BITS = 6
#: 71 minutes.
MAX_US = (1 << 32) - 1
#: The first array holds latencies up to 131 ms (fine) or 8.4 s (coarse); the machine type of its cells.
_EXPECTED_US = {FINE_BITS: (1 << 17) - 1, COARSE_BITS: (1 << 23) - 1}
_TYPES = {FINE_BITS: "q", COARSE_BITS: "I"}


class LatencyHistogram:
    """Counts of latencies.  Values go in and come out in milliseconds."""

    __slots__ = ("_cells", "_limit", "_passed", "_sub_bits", "_sum_us", "count", "max_us")

    def __init__(self, sub_bits: int = FINE_BITS) -> None:
        self._sub_bits = sub_bits
        self._limit = 1 << sub_bits
        self._cells = array(_TYPES[sub_bits])
        self._grow(self._bucket_of(_EXPECTED_US[sub_bits]))
        self._passed: Ints | None = None
        self.count = 0
        self.max_us = 0
        self._sum_us = 0

    def add(self, latency_ms: float) -> None:
        """Count one latency.  A negative one (a clock was stepped back) counts as 0."""
        value_us = int(latency_ms * 1000.0 + 0.5)
        if value_us < self._limit:
            bucket = value_us = max(value_us, 0)
        else:
            bucket = self._bucket_of(min(value_us, MAX_US))
            if bucket >= len(self._cells):
                self._grow(bucket)
        self._cells[bucket] += 1
        self.count += 1
        self._sum_us += value_us
        if value_us > self.max_us:
            self.max_us = value_us

    def add_many(self, values_us: Ints) -> None:
        """Count latencies in whole microseconds, as `whole_us` makes them; shape (n,)."""
        if not len(values_us):
            return
        highest = int(values_us.max())
        if (last := self._bucket_of(min(highest, MAX_US))) >= len(self._cells):
            self._grow(last)
        within = np.minimum(values_us, MAX_US)
        # The exponent of a whole number is its length in bits.
        shift = np.maximum(np.frexp(within)[1].astype(np.int64) - self._sub_bits, 0)
        buckets = (shift << (self._sub_bits - 1)) + (within >> shift)
        np.add.at(self._counts, buckets, 1)
        self.count += len(values_us)
        self._sum_us += int(values_us.sum())
        self.max_us = max(self.max_us, highest)

    @property
    def buckets(self) -> dict[int, int]:
        """Counts of the buckets in use."""
        used = np.flatnonzero(self._counts)
        return dict(zip(used.tolist(), self._counts[used].tolist(), strict=True))

    @property
    def mean_ms(self) -> float | None:
        return self._sum_us / self.count / 1000.0 if self.count else None

    @property
    def max_ms(self) -> float | None:
        return self.max_us / 1000.0 if self.count else None

    def percentile(self, percent: float) -> float | None:
        """Latency in ms that ``percent`` % (0..100) of the counted ones do not exceed; None when empty."""
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: Sequence[float]) -> list[float | None]:
        """Several percentiles in ms (nearest rank); None when empty."""
        if not self.count:
            return [None] * len(percents)
        return [*self._at_ranks([rank_of(percent, self.count) for percent in percents])]

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
        bucket = min(self._bucket_of(min(max(int(limit_us), 0), MAX_US)), len(self._cells) - 1)
        if self._middle_us(bucket) > limit_us:
            bucket -= 1
        return int(self._cumulative()[bucket]) if bucket >= 0 else 0

    def merge(self, other: LatencyHistogram) -> None:
        """Add another histogram of the same resolution to this one."""
        if other._sub_bits != self._sub_bits:
            raise ValueError("histograms of different resolution do not add up")
        if len(other._cells) > len(self._cells):
            self._grow(len(other._cells) - 1)
        if other.count:
            self._counts[: len(other._cells)] += other._counts
        self.count += other.count
        self._sum_us += other._sum_us
        self.max_us = max(self.max_us, other.max_us)

    def since(self, earlier: LatencyHistogram | None) -> LatencyHistogram:
        """Without ``earlier``, an older sum or a part of the same; its maximum is exact to a bucket."""
        made = LatencyHistogram(self._sub_bits)
        made.merge(self)
        if earlier is not None:
            made._counts[: len(earlier._cells)] -= earlier._counts
            made.count -= earlier.count
            made._sum_us -= earlier._sum_us
            used = np.flatnonzero(made._counts)
            made.max_us = min(made.max_us, round(made._middle_us(int(used[-1])))) if len(used) else 0
        return made

    def clear(self) -> None:
        """As new, with the memory it has."""
        self._counts[:] = 0
        self.count = self.max_us = self._sum_us = 0
        self._passed = None

    def summary(self) -> Percentiles:
        """Milliseconds, None where nothing was counted."""
        return Percentiles(*self.figures())

    def figures(self) -> tuple[int, Ms, Ms, Ms, Ms, Ms, Ms]:
        """The fields of `Percentiles`, for rows that have more of them."""
        p50, p95, p99, p999 = self.percentiles((50, 95, 99, 99.9))
        return self.count, self.mean_ms, p50, p95, p99, p999, self.max_ms

    def to_state(self) -> dict[str, Any]:
        """Sparse, JSON-able: parallel lists, of the distances between the buckets in use, and of counts."""
        counts = self._counts
        used = counts.nonzero()[0]
        return {
            "bits": self._sub_bits,
            "sum_us": self._sum_us,
            "max_us": self.max_us,
            "gaps": gaps(used),
            "counts": counts[used].tolist(),
        }

    def merge_state(self, state: Mapping[str, Any]) -> None:
        """Add a histogram from `to_state`."""
        if state["bits"] != self._sub_bits:
            raise ValueError("histograms of different resolution do not add up")
        if state["counts"]:
            used = np.cumsum(np.array(state["gaps"], np.int64))
            counts = np.array(state["counts"], self._cells.typecode)
            if used[-1] >= len(self._cells):
                self._grow(int(used[-1]))
            self._counts[used] += counts
            self.count += int(counts.sum())
            self._sum_us += state["sum_us"]
            self.max_us = max(self.max_us, state["max_us"])

    @property
    def _counts(self) -> npt.NDArray[Any]:
        """The cells as an array that shares their memory; not to be kept, since cells may move."""
        return np.frombuffer(self._cells, self._cells.typecode)

    def _cumulative(self) -> Ints:
        """How many are in each bucket or a lower one; added up again only when there are more."""
        passed = self._passed
        if passed is None or int(passed[-1]) != self.count or len(passed) != len(self._cells):
            passed = np.cumsum(self._counts, dtype=np.int64)
            # There are thousands of the coarse ones.
            self._passed = passed if self._sub_bits == FINE_BITS else None
        return passed

    def _at_ranks(self, ranks: Sequence[int]) -> list[float]:
        """Latencies in ms at ranks (1 is the fastest), at most ``count``."""
        found = np.searchsorted(self._cumulative(), ranks)
        return [min(self._middle_us(bucket), float(self.max_us)) / 1000.0 for bucket in found.tolist()]

    def _bucket_of(self, value_us: int) -> int:
        shift = max(value_us.bit_length() - self._sub_bits, 0)
        return (shift << (self._sub_bits - 1)) + (value_us >> shift)

    def _grow(self, bucket: int) -> None:
        """Make room for a bucket, and for all of its doubling."""
        half = self._limit >> 1
        missing = -(-(bucket + 1) // half) * half - len(self._cells)
        self._cells.frombytes(bytes(self._cells.itemsize * missing))

    def _middle_us(self, bucket: int) -> float:
        """The middle of a bucket: at most half its width off."""
        return float(_middles_us(self._sub_bits)[bucket])


@cache
def _middles_us(sub_bits: int) -> Floats:
    """The middle of each bucket there can be, in µs."""
    half = sub_bits - 1
    buckets = np.arange((33 - half) << half)
    shift = np.maximum((buckets >> half) - 1, 0)
    low = (buckets - (shift << half)) << shift
    middles: Floats = low + ((1 << shift) - 1) / 2.0
    return middles


def percentile_table(
    histograms: Sequence[LatencyHistogram], percents: Sequence[float]
) -> list[list[float | None]]:
    """The percentiles (ms) of many histograms of one resolution, a row each: one pass for all of them."""
    if not histograms:
        return []
    counts = np.zeros((len(histograms), max(len(one._cells) for one in histograms)), np.int64)
    for row, one in zip(counts, histograms, strict=True):
        row[: len(one._cells)] = one._counts
    passed = np.cumsum(counts, axis=1, out=counts)
    middles, max_us = _middles_us(histograms[0]._sub_bits), np.array([one.max_us for one in histograms])
    columns = []
    for percent in percents:
        ranks = np.array([rank_of(percent, one.count) for one in histograms])
        bucket = np.minimum((passed < ranks[:, None]).sum(axis=1), counts.shape[1] - 1)
        columns.append((np.minimum(middles[bucket], max_us) / 1000.0).tolist())
    rows = zip(histograms, zip(*columns, strict=True), strict=True)
    return [list(values) if one.count else [None] * len(percents) for one, values in rows]


def rank_of(percent: float, count: int) -> int:
    """The rank (1 is the lowest) of a percentile by nearest rank."""
    return max(1, ceil(percent / 100.0 * count - 1e-9))


def whole_us(latencies_ms: Floats) -> Ints:
    """Latencies in ms as the whole microseconds that `LatencyHistogram.add` counts."""
    return np.maximum((latencies_ms * 1000.0 + 0.5).astype(np.int64), 0)
