"""The run as a curve: what happened in each stretch of wall time.

Buckets are numbered from wall second 0 of the run, and all of one length.  When more than
``max_points`` of them are in use, neighbours 2k and 2k+1 are added together and the length
doubles, so a run of any length stays visible whole and in bounded memory:

    0 1 2 3 4 5 6 7      length 1 s, full
    └┬┘ └┬┘ └┬┘ └┬┘
     0   1   2   3       length 2 s, half full

The final length depends only on which moments were seen, not on their order, so workers'
timelines merge into what one process would have kept.  Stretches without any event (a
pause) have no bucket.  What the generator itself used is kept as the highest of the stretch
and, once merged, of the busiest process.  Percentiles per point come from coarse histograms (1.6 %).

Percentiles of a bucket are worked out once and kept until it changes, so asking for points costs what
changed since the last time.  Memory: 5 KB per bucket; `reserve` takes that of all of them at once, so
that a run's memory is flat from its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from operator import attrgetter
from typing import Any

from banksim.measure.figures import TimelinePoint
from banksim.measure.latency import COARSE_BITS, LatencyHistogram, percentile_table
from banksim.model import At

COUNTS = (
    "offered",
    "sent",
    "completed",
    "failed",
    "unknown",
    "dropped",
    "scored",
    "genuine",
    "fraud_sent",
    "fraud_alerted",
    "false_positives",
    "resent",
    "timeouts",
    "http_errors",
)
_COUNTS = attrgetter(*COUNTS)


class Bucket:
    """Counts of one stretch; ``sim_s`` is the simulated moment of its first event.

    The last three of `COUNTS` are of calls, the others of transactions.

    ``genuine`` and ``fraud_sent`` count finished transactions by truth, ``tried`` fraud and those of it
    that were alerted by typology.  ``percentiles_ms`` are those of a point; None when they are out of date.
    """

    __slots__ = (*COUNTS, "lag", "percentiles_ms", "resources", "response", "sim_s", "tried")

    def __init__(self, sim_s: float) -> None:
        self.response = LatencyHistogram(COARSE_BITS)
        self.lag = LatencyHistogram(COARSE_BITS)
        self._zero(sim_s)

    def _zero(self, sim_s: float) -> None:
        self.sim_s = sim_s
        self.offered = 0
        self.sent = 0
        self.completed = 0
        self.failed = 0
        self.unknown = 0
        self.dropped = 0
        self.scored = 0
        self.genuine = 0
        self.fraud_sent = 0
        self.fraud_alerted = 0
        self.false_positives = 0
        self.resent = 0
        self.timeouts = 0
        self.http_errors = 0
        self.tried: dict[str, list[int]] = {}
        self.resources: list[float] | None = None
        self.percentiles_ms: tuple[float | None, ...] | None = None

    def restart(self, sim_s: float) -> Bucket:
        """As new, with the memory it has."""
        self._zero(sim_s)
        self.response.clear()
        self.lag.clear()
        return self

    def use(self, resources: Sequence[float]) -> None:
        """Note CPU in % of one core, memory in bytes, network bytes a second; the highest of each is kept."""
        self.resources = list(map(max, self.resources, resources)) if self.resources else list(resources)

    def count_fraud(self, typology: str, number: int, alerted: int) -> None:
        known = self.tried.setdefault(typology, [0, 0])
        known[0] += number
        known[1] += alerted

    def merge(self, other: Bucket) -> None:
        self.percentiles_ms = None
        for name, (number, alerted) in other.tried.items():
            self.count_fraud(name, number, alerted)
        self.sim_s = min(self.sim_s, other.sim_s)
        for name, mine, more in zip(COUNTS, _COUNTS(self), _COUNTS(other), strict=True):
            setattr(self, name, mine + more)
        self.response.merge(other.response)
        self.lag.merge(other.lag)
        if other.resources:
            self.use(other.resources)

    def to_state(self) -> list[Any]:
        counts = list(_COUNTS(self))
        return [self.sim_s, counts, self.response.to_state(), self.lag.to_state(), self.resources, self.tried]

    def merge_state(self, state: Sequence[Any]) -> None:
        """Add a bucket from `to_state`."""
        sim_s, counts, response, lag, resources, tried = state
        self.percentiles_ms = None
        for name, (number, alerted) in tried.items():
            self.count_fraud(name, number, alerted)
        self.sim_s = min(self.sim_s, sim_s)
        for name, mine, more in zip(COUNTS, _COUNTS(self), counts, strict=True):
            setattr(self, name, mine + more)
        self.response.merge_state(response)
        self.lag.merge_state(lag)
        if resources:
            self.use(resources)


class Timeline:
    """Buckets of ``interval_s`` wall seconds, at most ``max_points``; ``interval_s`` grows by doubling."""

    def __init__(self, interval_s: float = 1.0, max_points: int = 2_000) -> None:
        if interval_s <= 0 or max_points < 2:
            raise ValueError("a timeline needs an interval above 0 and at least 2 points")
        self.interval_s = interval_s
        self._max_points = max_points
        self.buckets: dict[int, Bucket] = {}
        self._last_index = -1
        self._last: Bucket | None = None
        self._spare: list[Bucket] = []
        # Kept, so that a long run does not have to look through all of its buckets every second.
        self._first_index = self._newest_index = 0
        self._most_sent = 0

    def reserve(self) -> None:
        """Take the memory of all buckets there can be: one more is in use before neighbours are merged."""
        self._spare += [Bucket(0.0) for _ in range(self._max_points + 1 - len(self.buckets))]

    def at(self, at: At) -> Bucket:
        """The bucket of a moment, made when it is new."""
        wall_s, sim_s = at
        index = int(wall_s / self.interval_s)
        bucket = self._last
        if bucket is None or index != self._last_index:
            if bucket is not None:
                self._most_sent = max(self._most_sent, bucket.sent)
            bucket = self.buckets.get(index)
            if bucket is None:
                bucket = self._add(index, self._spare.pop().restart(sim_s) if self._spare else Bucket(sim_s))
                if len(self.buckets) > self._max_points:
                    # Scattered buckets may need several doublings before two fall together.
                    while len(self.buckets) > self._max_points:
                        self._coarsen()
                    return self.at(at)
            self._last_index, self._last = index, bucket
        if sim_s < bucket.sim_s:
            bucket.sim_s = sim_s
        bucket.percentiles_ms = None
        return bucket

    def _add(self, index: int, bucket: Bucket) -> Bucket:
        if not self.buckets:
            self._first_index = self._newest_index = index
        self._first_index = min(self._first_index, index)
        self._newest_index = max(self._newest_index, index)
        self.buckets[index] = bucket
        return bucket

    def since(self, from_s: float) -> list[tuple[int, Bucket]]:
        """Buckets that end after wall second ``from_s``, in order, with their numbers."""
        first = max(int(from_s / self.interval_s), self._first_index)
        if self._newest_index - first < len(self.buckets):
            indices: Iterable[int] = range(first, self._newest_index + 1)
        else:
            indices = sorted(index for index in self.buckets if index >= first)
        return [
            (index, self.buckets[index])
            for index in indices
            if index in self.buckets and (index + 1) * self.interval_s > from_s
        ]

    def points(self, from_s: float = 0.0) -> list[TimelinePoint]:
        """Rows for charts and CSV, in order, from wall second ``from_s`` on."""
        chosen = self.since(from_s)
        changed = [bucket for _, bucket in chosen if bucket.percentiles_ms is None]
        responses = percentile_table([bucket.response for bucket in changed], (50, 95, 99))
        lags = percentile_table([bucket.lag for bucket in changed], (99,))
        for bucket, response, lag in zip(changed, responses, lags, strict=True):
            bucket.percentiles_ms = (*response, *lag)
        return [self._point(index, bucket) for index, bucket in chosen]

    def window(self, now_s: float, length_s: float) -> tuple[Bucket, float] | None:
        """What happened in the last ``length_s`` full seconds before ``now_s``, and how long that is.

        The bucket that is still filling is left out, unless it is the only one.
        """
        if not self.buckets:
            return None
        current = int(now_s / self.interval_s)
        first = max(self._first_index, current - max(1, round(length_s / self.interval_s)))
        if first >= current:
            first, end, covered_s = current, current + 1, now_s - current * self.interval_s
        else:
            end, covered_s = current, (current - first) * self.interval_s
        total = Bucket(inf)
        for index in range(first, end):
            if index in self.buckets:
                total.merge(self.buckets[index])
        return (total, covered_s) if covered_s > 0 else None

    def peak_tps(self) -> float | None:
        """Highest number sent per wall second in any bucket; None when nothing was sent."""
        most = max(self._most_sent, self._last.sent if self._last is not None else 0)
        return most / self.interval_s if most else None

    def merge_state(self, state: Mapping[str, Any]) -> None:
        """Add another timeline; the finer of the two is coarsened first."""
        while self.interval_s < state["interval_s"] * (1 - 1e-9):
            self._coarsen()
        factor = round(self.interval_s / state["interval_s"])
        if abs(factor * state["interval_s"] - self.interval_s) > 1e-9 * self.interval_s:
            raise ValueError("timelines with unrelated intervals do not add up")
        for index, values in state["buckets"]:
            mine = self.buckets.get(index // factor) or self._add(index // factor, Bucket(inf))
            mine.merge_state(values)
            self._most_sent = max(self._most_sent, mine.sent)
        while len(self.buckets) > self._max_points:
            self._coarsen()

    def renewed(self, parts: Mapping[int, Iterable[Sequence[Any]]]) -> Timeline | None:
        """A copy in which these buckets are the sums of their ``parts``, states that include what was before.

        Other buckets are shared, so nothing may be counted into either.  None when there is no room for more.
        """
        if len(self.buckets.keys() | parts.keys()) > self._max_points:
            return None
        made = Timeline(self.interval_s, self._max_points)
        made.buckets, made._most_sent = dict(self.buckets), self._most_sent
        made._first_index, made._newest_index = self._first_index, self._newest_index
        for index, states in parts.items():
            bucket = made._add(index, Bucket(inf))
            for state in states:
                bucket.merge_state(state)
            made._most_sent = max(made._most_sent, bucket.sent)
        return made

    def to_state(self, from_s: float = 0.0) -> dict[str, Any]:
        """Buckets that end after wall second ``from_s``."""
        buckets = [[index, bucket.to_state()] for index, bucket in self.since(from_s)]
        return {"interval_s": self.interval_s, "buckets": buckets}

    def _coarsen(self) -> None:
        finer, self.buckets = self.buckets, {}
        for index, bucket in finer.items():
            mine = self.buckets.get(index // 2)
            if mine is None:
                self._add(index // 2, bucket)
            else:
                mine.merge(bucket)
                self._spare.append(bucket)
        self.interval_s *= 2
        self._last = None
        self._most_sent = max(bucket.sent for bucket in self.buckets.values()) if self.buckets else 0

    def _point(self, index: int, bucket: Bucket) -> TimelinePoint:
        # Of calls, not of transactions: they stand last.
        rest: list[Any] = [*(bucket.resources or (None, None, None))]
        rest += [bucket.resent, bucket.timeouts, bucket.http_errors]
        return TimelinePoint(
            index * self.interval_s,
            bucket.sim_s,
            self.interval_s,
            *(getattr(bucket, name) for name in COUNTS[:-3]),
            *(bucket.percentiles_ms or (None,) * 4),
            *rest,
        )
