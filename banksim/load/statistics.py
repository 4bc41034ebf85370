"""Calls on their way into Locust's own statistics.

Firing Locust's request event for each call costs as much as sending a third of it.  As long
as only Locust listens, calls that went well are collected for the rest of the
current second and entered together, into the same figures that firing would have given.
Once anybody else listens (a plugin, a request logger), and for every call that failed, the
event is fired as usual.

    call ──► fire                       failed, or another listener is there
        └──► lot per name and method ──► entered when the second is over, or after LATEST_S

What it touches of Locust's entries is Locust 2.47's; a test compares it with firing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gevent
import numpy as np
from locust import stats
from locust.env import Environment

from banksim.measure.block import CallBlock
from banksim.model import At
from banksim.run.sink import Ignore
from banksim.targets import Call

#: Wall seconds after which what was collected is entered even if no further call comes.
LATEST_S = 0.5


class CallFailed(Exception):
    """What Locust's failure table shows for a call that went wrong."""


@dataclass(slots=True)
class Lot:
    """Calls of one name that went well, in the current second."""

    latencies_ms: list[float] = field(default_factory=list)
    received_bytes: int = 0


class LocustStatistics(Ignore):
    """Enters calls under names that never vary.  Belongs to one Locust environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._listeners: list[Any] = environment.events.request._handlers
        self._last_s = 0.0
        self._lots: dict[tuple[str, str], Lot] = {}

    def called(self, at: At, calls: Sequence[Call]) -> None:  # noqa: ARG002
        """Calls ended, now."""
        now_s = time.time()
        if int(now_s) != int(self._last_s):
            self.enter()
        # Locust's own listener comes with its runner.
        alone = len(self._listeners) == 1 and self._environment.runner is not None
        if alone and isinstance(calls, CallBlock):  # all went well
            self._last_s = now_s
            for number in np.unique(calls.call).tolist():
                method, name = calls.calls[number]
                these = calls.call == number
                self._collect(
                    name, method, calls.latency_ms[these].tolist(), int(calls.response_bytes[these].sum())
                )
            return
        for call in calls:
            if call.error or not call.sent or not alone:
                self._fire(call)
            else:
                self._last_s = now_s
                self._collect(call.name, call.method, [call.latency_ms], call.response_bytes)

    def _collect(self, name: str, method: str, latencies_ms: Iterable[float], received_bytes: int) -> None:
        lot = self._lots.get((name, method))
        if lot is None:
            if not self._lots:
                gevent.spawn_later(LATEST_S, self.enter)
            lot = self._lots[name, method] = Lot()
        lot.latencies_ms.extend(latencies_ms)
        lot.received_bytes += received_bytes

    def enter(self) -> None:
        """Enter what has been collected."""
        lots, self._lots = self._lots, {}
        for key, lot in lots.items():
            entries = self._environment.stats
            _enter(lot, self._last_s, (entries.total, entries.entries[key]))

    def _fire(self, call: Call) -> None:
        self._environment.events.request.fire(
            request_type=call.method,
            name=call.name,
            response_time=call.latency_ms if call.sent else None,  # Locust counts it without a time
            response_length=call.response_bytes,
            exception=CallFailed(call.error) if call.error else None,
            context={"system": call.system},
        )


def _enter(lot: Lot, last_s: float, entries: tuple[stats.StatsEntry, ...]) -> None:
    """What `StatsEntry.log` does for each call, for all calls of one second and name at once."""
    second, latencies_ms = int(last_s), lot.latencies_ms
    rounded_ms = Counter(map(stats.bucket_response_time, latencies_ms))
    total_ms, shortest_ms, longest_ms = sum(latencies_ms), min(latencies_ms), max(latencies_ms)
    for entry in entries:
        before_s = entry.last_request_timestamp
        if entry.use_response_times_cache and before_s and second > int(before_s):
            entry._cache_response_times(second - 1)
        entry.num_requests += len(latencies_ms)
        entry.num_reqs_per_sec[second] += len(latencies_ms)
        entry.last_request_timestamp = max(before_s or 0.0, last_s)
        entry.total_response_time += total_ms
        known_ms = entry.min_response_time
        entry.min_response_time = shortest_ms if known_ms is None else min(known_ms, shortest_ms)
        entry.max_response_time = max(entry.max_response_time, longest_ms)
        entry.total_content_length += lot.received_bytes
        for value_ms, count in rounded_ms.items():
            entry.response_times[value_ms] += count


# -- What users that are none of ours did, in Locust's own tables -----------------------------------


def failures_beside(environment: Environment) -> int:
    """Requests that failed, and exceptions that left a task, of users that are not banksim's.

    Those of ours are `CallFailed`; on a master errors arrive as text, which begins with that name.
    """
    runner = environment.runner
    if runner is None:
        return 0
    failed: int = sum(
        row.occurrences
        for row in runner.errors.values()
        if CallFailed.__name__ not in (type(row.error).__name__, str(row.error).partition("(")[0])
    )
    raised: int = sum(row["count"] for row in runner.exceptions.values())
    return failed + raised
