"""What became of every arrival, so that nothing is lost without a trace.

    offered ─┬─ dropped                 could not start in time, or stopped before it did
             ├─ in flight               waiting for a seat, or on the wire
             └─ finished ─┬─ completed  the bank answered (a refusal is an answer too)
                          ├─ failed     an error: nothing was booked
                          └─ unknown    no answer: it may have been booked

offered = completed + failed + unknown + dropped + in flight.  ``in flight`` is what is
left over; a negative one is a fault in the caller, and fails the word Load.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Any, Generic, TypeVar

import numpy as np

from banksim.measure.block import CallBlock
from banksim.measure.figures import Percentiles
from banksim.measure.formats import count
from banksim.measure.latency import LatencyHistogram, whole_us
from banksim.measure.trends import Growth
from banksim.model import At, BankStatus, Outcome
from banksim.targets.calls import COMPLETION as METHOD
from banksim.targets.calls import COMPLETION_ERRORS


@dataclass(frozen=True, slots=True)
class CallRow(Percentiles):
    """All calls of one name to one target; latencies in ms.  ``resent``: requests beyond the first ones."""

    target: str
    call: str
    failed: int
    resent: int = 0


@dataclass(frozen=True, slots=True)
class CompletionFigures:
    """Transactions that were accepted first: those completed, and ``missing`` until the deadline.

    ``late`` completions came after it, ``double`` ones again; ``pending``: waited for at the run's end.
    """

    accepted: int
    completed: int
    missing: int
    late: int
    double: int
    pending: int


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One error text and how often it came."""

    target: str
    call: str
    error: str
    count: int


@dataclass(frozen=True, slots=True)
class SingleCall:
    """One call worth a look: among the slowest, or the first failed ones."""

    wall_s: float
    sim_s: float
    target: str
    call: str
    latency_ms: float
    error: str


# -- The slowest calls and the first failed ones, with their moments: where to start looking --------
#
# Which calls are kept depends on the calls alone, never on their order, so workers' lists
# merge into what one process would have kept.  Bound: ``limit`` calls in each list.


#: latency in whole µs, wall second, simulated second, system, name, error (empty when it went well)
Entry = tuple[int, float, float, str, str, str]

LIMIT = 20


class Extremes:
    """``slowest``: longest first.  ``failed``: earliest first.  Both sorted, ties by the rest.

    A call that went well in less than ``from_ms`` is none of them and need not be added.
    """

    __slots__ = ("_limit", "_slowest", "failed", "from_ms")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._slowest: list[Entry] = []  # shortest first, so that the one to go is in front
        self.failed: list[tuple[float, Entry]] = []
        self.from_ms = -inf

    def add(self, system: str, name: str, latency_ms: float, error: str, at: At) -> None:
        slowest = self._slowest
        latency_us = int(latency_ms * 1000.0 + 0.5)
        if error or len(slowest) < self._limit or latency_us >= slowest[0][0]:
            entry = (latency_us, at.wall_s, at.sim_s, system, name, error)
            insort(slowest, entry)
            del slowest[: -self._limit]
            self._note_bound()
            if error:
                insort(self.failed, (at.wall_s, entry))
                del self.failed[self._limit :]

    def rows(self) -> list[SingleCall]:
        """The slowest calls, longest first."""
        return [_row(entry) for entry in reversed(self._slowest)]

    def failed_rows(self) -> list[SingleCall]:
        """The first failed calls, earliest first."""
        return [_row(entry) for _, entry in self.failed]

    def merge_state(self, state: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        self._slowest = sorted([*self._slowest, *map(_entry, state["slowest"])])[-self._limit :]
        self._note_bound()
        failed = [(entry[1], entry) for entry in map(_entry, state["failed"])]
        self.failed = sorted([*self.failed, *failed])[: self._limit]

    def _note_bound(self) -> None:
        if len(self._slowest) >= self._limit:
            self.from_ms = (self._slowest[0][0] - 1) / 1000.0  # whole µs, rounded: one less to be sure

    def to_state(self) -> dict[str, list[list[Any]]]:
        return {
            "slowest": [list(entry) for entry in self._slowest],
            "failed": [list(entry) for _, entry in self.failed],
        }


def _entry(values: Sequence[Any]) -> Entry:
    latency_us, wall_s, sim_s, system, name, error = values
    return latency_us, wall_s, sim_s, system, name, error


def _row(entry: Entry) -> SingleCall:
    latency_us, wall_s, sim_s, system, name, error = entry
    return SingleCall(wall_s, sim_s, system, name, latency_us / 1000.0, error)


# -- Counts by a text that others choose, with a bound ----------------------------------------------
#
# Error texts come from outside and may carry an id in every line.  The first ``limit``
# texts get a line of their own, the rest share one, and nothing is lost from the total.


Key = TypeVar("Key", bound=Hashable)


class BoundedCounts(Generic[Key]):
    """A counter that stops making new lines at ``limit``; ``other`` holds what had none."""

    __slots__ = ("_limit", "counts", "other")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.counts: dict[Key, int] = {}
        self.other = 0

    def add(self, key: Key, count: int = 1) -> None:
        if key in self.counts:
            self.counts[key] += count
        elif len(self.counts) < self._limit:
            self.counts[key] = count
        else:
            self.other += count

    @property
    def total(self) -> int:
        return sum(self.counts.values()) + self.other

    def most_common(self) -> list[tuple[Key, int]]:
        """Most frequent first; equals in the order of their text, so that reports repeat."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], str(item[0])))

    def merge(self, items: Iterable[tuple[Key, int]], other: int) -> None:
        for key, number in items:
            self.add(key, number)
        self.other += other


# -- HTTP calls and their errors, by system and name of the call ------------------------------------
#
# Bounds: calls beyond ``max_calls`` names share the name "other" of their system; errors
# beyond ``max_errors`` different texts are counted without theirs.


#: Longer error texts are cut: their start says what happened, their end which id.
MAX_ERROR_CHARACTERS = 200
OTHER = "other"
#: What a system completed later is counted under this word and the call it accepted.
COMPLETION = f"{METHOD} "
#: What ends the name of a completion that never came.
NEVER = " (never came)"


class Calls:
    """Latency and errors per (system, call), and latency per system.  Failed calls count in both."""

    def __init__(self, max_calls: int, max_errors: int) -> None:
        self._max_calls = max_calls
        self.by_call: dict[tuple[str, str], LatencyHistogram] = {}
        self.failed: dict[tuple[str, str], int] = {}
        self.resent: dict[tuple[str, str], int] = {}
        self.growth: defaultdict[str, Growth] = defaultdict(Growth)  # a handful of systems
        self.errors: BoundedCounts[tuple[str, str, str]] = BoundedCounts(max_errors)
        self.extremes = Extremes()

    def add(
        self,
        system: str,
        name: str,
        latency_ms: float,
        error: str | None,
        at: At,
        resent: int = 0,
    ) -> None:
        """Count one call that ended at this moment; it was sent ``resent`` times more than once."""
        text = error[:MAX_ERROR_CHARACTERS] if error else ""
        if text or latency_ms >= self.extremes.from_ms:
            self.extremes.add(system, name, latency_ms, text, at)
        key = (system, name)
        histogram = self.by_call.get(key)
        if histogram is None:
            key, histogram = self._line(key)
        histogram.add(latency_ms)
        if not name.startswith(COMPLETION):
            self.growth[system].add(at.wall_s, 1, round(latency_ms * 1000.0))
        if resent:
            self.resent[key] = self.resent.get(key, 0) + resent
        if text:
            self.failed[key] = self.failed.get(key, 0) + 1
            self.errors.add((system, name, text))

    def add_many(self, calls: CallBlock, at: At) -> None:
        """Count calls that went well and ended about this moment."""
        for place in np.flatnonzero(calls.latency_ms >= self.extremes.from_ms).tolist():
            method, name = calls.calls[calls.call[place]]
            latency_ms = float(calls.latency_ms[place])
            self.extremes.add(calls.system, f"{method} {name}", latency_ms, "", at)
        latencies_us = whole_us(calls.latency_ms)
        if len(latencies_us):
            self.growth[calls.system].add(at.wall_s, len(latencies_us), int(latencies_us.sum()))
        for number in np.unique(calls.call).tolist():
            method, name = calls.calls[number]
            _, histogram = self._line((calls.system, f"{method} {name}"))
            histogram.add_many(latencies_us[calls.call == number])

    def add_unsent(self, system: str, name: str, error: str) -> None:
        """Count a call that was held back: an error, and no latency."""
        self.errors.add((system, name, error[:MAX_ERROR_CHARACTERS]))

    def _line(self, key: tuple[str, str]) -> tuple[tuple[str, str], LatencyHistogram]:
        if key not in self.by_call and len(self.by_call) >= self._max_calls:
            key = (key[0], OTHER)
        return key, self.by_call.setdefault(key, LatencyHistogram())

    def of_system(self, system: str) -> LatencyHistogram:
        """All calls to one system together; what it completed later is a figure of its own."""
        return self._together(lambda owner, name: owner == system and not name.startswith(COMPLETION))

    def completions(self) -> tuple[LatencyHistogram, LatencyHistogram]:
        """From acceptance to completion: all (with the deadline where none came), and those that came."""
        came = self._together(lambda _, name: name.startswith(COMPLETION) and not name.endswith(NEVER))
        both = self._together(lambda _, name: name.startswith(COMPLETION))
        return both, came

    def completion_figures(self) -> CompletionFigures | None:
        """None where no system completes later."""
        both, came = self.completions()
        told = dict.fromkeys(COMPLETION_ERRORS, 0)
        for (_, name, text), times in self.errors.counts.items():
            for what, words in COMPLETION_ERRORS.items():
                told[what] += times if text == words and name.startswith(COMPLETION) else 0
        if not both.count and not any(told.values()):
            return None
        accepted = both.count + told["pending"]
        return CompletionFigures(accepted, came.count, both.count - came.count, **told)

    def _together(self, wanted: Callable[[str, str], bool]) -> LatencyHistogram:
        total = LatencyHistogram()
        for key, histogram in self.by_call.items():
            if wanted(*key):
                total.merge(histogram)
        return total

    @property
    def systems(self) -> list[str]:
        return sorted({system for system, _ in self.by_call})

    def rows(self) -> list[CallRow]:
        """One row per call, the slowest at p99 first."""
        rows = [
            CallRow(*histogram.figures(), *key, self.failed.get(key, 0), self.resent.get(key, 0))
            for key, histogram in self.by_call.items()
        ]
        return sorted(rows, key=lambda row: (-(row.p99 or 0.0), row.target, row.call))

    def error_rows(self) -> list[ErrorRow]:
        """Most frequent errors first; the ones beyond the bound in a last row without target."""
        rows = [ErrorRow(*key, count) for key, count in self.errors.most_common()]
        if self.errors.other:
            rows.append(ErrorRow("", "", "errors with other texts", self.errors.other))
        return rows

    def merge_state(self, state: Mapping[str, Any]) -> None:
        for system, growth in state["growth"].items():
            self.growth[system].merge_state(growth)
        for system, name, failed, resent, histogram in state["calls"]:
            key, mine = self._line((system, name))
            mine.merge_state(histogram)
            if resent:
                self.resent[key] = self.resent.get(key, 0) + resent
            if failed:
                self.failed[key] = self.failed.get(key, 0) + failed
        errors = (((system, name, text), count) for system, name, text, count in state["errors"])
        self.errors.merge(errors, state["other_errors"])
        self.extremes.merge_state(state["extremes"])

    def to_state(self) -> dict[str, Any]:
        return {
            "calls": [
                [*key, self.failed.get(key, 0), self.resent.get(key, 0), histogram.to_state()]
                for key, histogram in self.by_call.items()
            ],
            "growth": {system: growth.to_state() for system, growth in sorted(self.growth.items())},
            "errors": [[*key, count] for key, count in self.errors.counts.items()],
            "other_errors": self.errors.other,
            "extremes": self.extremes.to_state(),
        }


_COUNTS = ("offered", "started", "completed", "refused", "failed", "unknown", "dropped")


class Fate(StrEnum):
    """How a transaction ended."""

    COMPLETED = "completed"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


# Looking a member up in its class takes longer than all the rest for a transaction that went well.
_POSTED, _COMPLETED = BankStatus.POSTED, Fate.COMPLETED


def fate_of(outcome: Outcome) -> Fate:
    """Without a bank the detector's answer decides: an error there is a failure."""
    status = outcome.bank.status
    if status is _POSTED:
        return _COMPLETED
    if status is BankStatus.REFUSED:
        return Fate.REFUSED
    if status is BankStatus.UNKNOWN:
        return Fate.UNKNOWN
    if status is BankStatus.FAILED or outcome.detector.error:
        return Fate.FAILED
    return Fate.COMPLETED


class Tally:
    """Counts of arrivals.  ``refused`` is part of ``completed``."""

    __slots__ = _COUNTS

    def __init__(self) -> None:
        self.offered = 0
        self.started = 0
        self.completed = 0
        self.refused = 0
        self.failed = 0
        self.unknown = 0
        self.dropped = 0

    def end(self, fate: Fate) -> None:
        if fate is _COMPLETED:
            self.completed += 1
        elif fate is Fate.REFUSED:
            self.completed += 1
            self.refused += 1
        elif fate is Fate.FAILED:
            self.failed += 1
        else:
            self.unknown += 1

    @property
    def finished(self) -> int:
        return self.completed + self.failed + self.unknown

    @property
    def in_flight(self) -> int:
        return self.offered - self.finished - self.dropped

    def as_dict(self) -> dict[str, int]:
        return {
            "offered": self.offered,
            "sent": self.started,
            "completed": self.completed,
            "refused": self.refused,
            "failed": self.failed,
            "unknown": self.unknown,
            "dropped": self.dropped,
            "in_flight": self.in_flight,
        }

    def to_state(self) -> list[int]:
        return [getattr(self, name) for name in _COUNTS]

    def merge_state(self, state: Sequence[int]) -> None:
        for name, value in zip(_COUNTS, state, strict=True):
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True, slots=True)
class OtherUsers:
    """Locust users of the locustfile that are none of banksim's, and what failed in users' own code.

    They run in the same processes, so the generator's CPU contains theirs.  ``tolerated``: their failures do
    not fail the run (``--exit-code-on-error 0``).
    """

    classes: list[str]
    failed_requests: int
    exceptions: int
    first_error: str
    tolerated: bool

    @property
    def failures(self) -> int:
        return self.failed_requests + self.exceptions

    def text(self) -> str:
        return (
            f"{count(self.failed_requests)} requests of users beside banksim's failed and "
            f"{count(self.exceptions)} exceptions left a task ({self.first_error})"
        )


@dataclass(frozen=True, slots=True)
class NotOpened:
    """Customers whom the bank did not open, of all ``customers`` that it was asked for."""

    customers: int
    failed: int
    first_error: str

    @classmethod
    def of(cls, before: NotOpened | None, joining: Mapping[str, int] | None) -> NotOpened | None:
        """Those from before the run and those who were to join in it; None if there are none."""
        joining = joining or {}
        if before is None and not joining.get("failed"):
            return None
        known = before or cls(0, 0, "")
        more = sum(joining.values())
        return cls(known.customers + more, known.failed + joining.get("failed", 0), known.first_error)

    def text(self) -> str:
        error = f" ({self.first_error})" if self.first_error else ""
        return f"{count(self.failed)} of {count(self.customers)} customers could not be opened{error}"
