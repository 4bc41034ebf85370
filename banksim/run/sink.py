"""What becomes of transactions, told to everything that keeps or shows it.

    dispatcher ─ offered, dropped ─┐
    executor ─── started, ended ───┼─► Tee ─► measures, feed, transaction log, Kafka, feedback, …
    clients ──── called ───────────┘

A sink receives results in blocks; a campaign's step is a block of one.  Sinks may not wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from banksim.model import At, Ended, Planned
from banksim.targets import Call


class Sink(Protocol):
    """Receives each event of each transaction, with its moment."""

    def offered(self, at: At, n: int = 1) -> None:
        """``n`` transactions fell due."""

    def started(self, at: At, n: int = 1) -> None:
        """``n`` transactions are being sent."""

    def dropped(self, at: At, planned: Planned | None, reason: str, n: int = 1) -> None:
        """``n`` transactions will not be sent; ``planned`` is None where they were not planned."""

    def ended(self, at: At, results: Sequence[Ended]) -> None:
        """Transactions that were sent have ended, one way or another."""

    def called(self, at: At, call: Call) -> None:
        """A call to a target has returned."""


class Tee:
    """A list of sinks that is itself a sink."""

    def __init__(self, sinks: Iterable[Sink] = ()) -> None:
        self.sinks = list(sinks)

    def __str__(self) -> str:
        return ", ".join(type(sink).__name__ for sink in self.sinks)

    def add(self, sink: Sink) -> None:
        self.sinks.append(sink)

    def remove(self, sink: Sink) -> None:
        self.sinks.remove(sink)

    def offered(self, at: At, n: int = 1) -> None:
        for sink in self.sinks:
            sink.offered(at, n)

    def started(self, at: At, n: int = 1) -> None:
        for sink in self.sinks:
            sink.started(at, n)

    def dropped(self, at: At, planned: Planned | None, reason: str, n: int = 1) -> None:
        for sink in self.sinks:
            sink.dropped(at, planned, reason, n)

    def ended(self, at: At, results: Sequence[Ended]) -> None:
        for sink in self.sinks:
            sink.ended(at, results)

    def called(self, at: At, call: Call) -> None:
        for sink in self.sinks:
            sink.called(at, call)
