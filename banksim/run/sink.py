"""What becomes of transactions, reported to everything that counts, keeps or shows it.

    dispatcher ─ offered, dropped ─┐
    executor ─── started, ended ───┼─► Tee ─► measures, feed, transaction log, feedback, campaigns, …
    clients ──── called ───────────┘

A sink receives results and calls in blocks (a `ResultBlock` or `CallBlock` where they are many); a
campaign's step is a block of one.  Sinks may not wait.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import numpy as np

from banksim.measure.block import LABELS, STATUSES, ResultBlock
from banksim.model import CREDIT_KINDS, At, BankStatus, Ended, Label, Outcome, Planned
from banksim.report.transaction_log import TransactionLog
from banksim.targets import Call
from banksim.world.random import Ints

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Receives each event of each transaction, with its moment."""

    def offered(self, at: At, n: int = 1) -> None:
        """``n`` transactions fell due."""

    def started(self, at: At, n: int = 1) -> None:
        """``n`` transactions are being sent; below zero, so many could not be after all."""

    def dropped(self, at: At, planned: Planned | None, reason: str, n: int = 1) -> None:
        """``n`` transactions will not be sent; ``planned`` is None where they were not planned."""

    def ended(self, at: At, results: Sequence[Ended]) -> None:
        """Transactions that were sent have ended, one way or another."""

    def called(self, at: At, calls: Sequence[Call]) -> None:
        """Calls to a target have returned."""


class Ignore:
    """A sink for nothing.  Others derive from it and override what they are interested in."""

    def offered(self, at: At, n: int = 1) -> None: ...
    def started(self, at: At, n: int = 1) -> None: ...
    def dropped(self, at: At, planned: Planned | None, reason: str, n: int = 1) -> None: ...
    def ended(self, at: At, results: Sequence[Ended]) -> None: ...
    def called(self, at: At, calls: Sequence[Call]) -> None: ...


class Tee:
    """A list of sinks that is itself a sink.

    An event reaches the sinks in the order of the list, without those that ignore its kind.
    """

    def __init__(self, sinks: Iterable[Sink] = ()) -> None:
        self.sinks = list(sinks)
        self._sort()

    def __str__(self) -> str:
        return ", ".join(type(sink).__name__ for sink in self.sinks)

    def add(self, sink: Sink) -> None:
        self.sinks.append(sink)
        self._sort()

    def remove(self, sink: Sink) -> None:
        self.sinks.remove(sink)
        self._sort()

    def offered(self, at: At, n: int = 1) -> None:
        for sink in self._of_offered:
            sink.offered(at, n)

    def started(self, at: At, n: int = 1) -> None:
        for sink in self._of_started:
            sink.started(at, n)

    def dropped(self, at: At, planned: Planned | None, reason: str, n: int = 1) -> None:
        for sink in self._of_dropped:
            sink.dropped(at, planned, reason, n)

    def ended(self, at: At, results: Sequence[Ended]) -> None:
        for sink in self._of_ended:
            sink.ended(at, results)

    def called(self, at: At, calls: Sequence[Call]) -> None:
        for sink in self._of_called:
            sink.called(at, calls)

    def _sort(self) -> None:
        self._of_offered = self._without_those_that_ignore("offered")
        self._of_started = self._without_those_that_ignore("started")
        self._of_dropped = self._without_those_that_ignore("dropped")
        self._of_ended = self._without_those_that_ignore("ended")
        self._of_called = self._without_those_that_ignore("called")

    def _without_those_that_ignore(self, event: str) -> list[Sink]:
        ignored = getattr(Ignore, event)
        return [sink for sink in self.sinks if getattr(type(sink), event) is not ignored]


class LogLines(Ignore):
    """The transaction log of a run."""

    def __init__(self, log: TransactionLog) -> None:
        self._log = log

    def dropped(self, at: At, planned: Planned | None, reason: str, n: int = 1) -> None:  # noqa: ARG002
        if planned is not None:  # what was never planned has no line
            self._log.add_dropped(planned, reason, at.wall_s)

    def ended(self, at: At, results: Sequence[Ended]) -> None:
        for planned, outcome in results:
            self._log.add(planned, outcome, at.wall_s)


class LastCalls(Ignore):
    """The last call to each target, by name."""

    def __init__(self) -> None:
        self.by_target: dict[str, Call] = {}

    def called(self, at: At, calls: Sequence[Call]) -> None:  # noqa: ARG002
        self.by_target[calls[-1].system] = calls[-1]


class CustomerCounts(Ignore):
    """What each customer did: a row of ``table`` by index, with the columns of COLUMNS.

    ``spent_cents`` is what the bank booked out of their accounts, alerts those on their transactions,
    ``fraud`` the fraudulent ones among them.  Those beyond MOST_CUSTOMERS are only counted, in ``beyond``.
    """

    COLUMNS: Final = ("transactions", "spent_cents", "alerts", "fraud")
    MOST_CUSTOMERS: Final = 200_000
    _POSTED: Final = STATUSES.index(BankStatus.POSTED)
    _FRAUD: Final = LABELS.index(Label.FRAUD)

    def __init__(self, customers: int) -> None:
        self.table = np.zeros((min(customers, self.MOST_CUSTOMERS), len(self.COLUMNS)), np.int64)
        self.beyond = 0

    def ended(self, at: At, results: Sequence[Ended]) -> None:  # noqa: ARG002
        if isinstance(results, ResultBlock) and results.customer is not None:
            spent = np.zeros(len(results), np.int64) if results.spent_cents is None else results.spent_cents
            spent = np.where(results.status == self._POSTED, spent, 0)
            fraud = results.label == self._FRAUD
            rows = np.column_stack([np.ones(len(results), np.int64), spent, results.alert, fraud])
            self._add(results.customer, rows.astype(np.int64))
            return
        for planned, outcome in results:
            tx = planned.transaction
            index = tx.account.customer_index
            if index >= len(self.table):
                self.beyond += 1
                continue
            row = self.table[index]
            row[0] += 1
            if outcome.bank.status is BankStatus.POSTED and tx.kind not in CREDIT_KINDS:
                row[1] += tx.amount_cents
            row[2] += outcome.alert
            row[3] += planned.truth.is_fraud

    def most(self, column: str, start: int, number: int) -> list[int]:
        """Indices of customers who acted, those with the most of ``column`` first, then by index."""
        acted = np.flatnonzero(self.table[:, 0])
        order = np.argsort(-self.table[acted, self.COLUMNS.index(column)], kind="stable")
        found: list[int] = acted[order[start : start + number]].tolist()
        return found

    def _add(self, customers: Ints, rows: Ints) -> None:
        known = customers < len(self.table)
        self.beyond += int(np.count_nonzero(~known))
        np.add.at(self.table, customers[known], rows[known])


class DebugLines(Ignore):
    """Each transaction as a line of log, for --verbose."""

    def ended(self, at: At, results: Sequence[Ended]) -> None:  # noqa: ARG002
        for planned, outcome in results:
            self._log(planned, outcome)

    def _log(self, planned: Planned, outcome: Outcome) -> None:
        tx, truth, score = planned.transaction, planned.truth, outcome.detector
        logger.debug(
            "Transaction processed: %s %s %.2f %s of customer %d (%s), bank %s, score %s %s, %.1f ms",
            tx.transaction_id,
            tx.kind,
            tx.amount_cents / 100,
            tx.currency,
            tx.account.customer_index,
            f"{truth.label}: {truth.campaign_id}" if truth.campaign_id else truth.label,
            f"{outcome.bank.status} {outcome.bank.detail}".rstrip(),
            score.score,
            score.decision,
            outcome.service_ms,
        )
        if truth.is_fraud and outcome.alert:
            logger.debug("Fraud detected: %s %s score %s", tx.transaction_id, truth.typology, score.score)
