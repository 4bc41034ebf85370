"""What became of every arrival, so that nothing is lost without a trace.

    offered ─┬─ dropped                 could not start in time, or stopped before it did
             ├─ in flight               waiting for a seat, or on the wire
             └─ finished ─┬─ completed  the bank answered (a refusal is an answer too)
                          ├─ failed     an error: nothing was booked
                          └─ unknown    no answer: it may have been booked

offered = completed + failed + unknown + dropped + in flight.  ``in flight`` is what is
left over; a negative one is a fault in the caller, and `problems` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from banksim.domain import BankStatus, Outcome

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

    def problems(self) -> list[str]:
        """Sentences on what does not add up; empty when all is well."""
        found = []
        if self.in_flight < 0:
            found.append(f"{-self.in_flight} more transactions ended than were offered")
        if self.finished > self.started:
            found.append(f"{self.finished - self.started} more transactions ended than were sent")
        return found

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
