"""What becomes of transactions, reported to everything that counts, keeps or shows it.

    dispatcher ─ offered, dropped ─┐
    executor ─── started, ended ───┼─► Tee ─► measures, feed, transaction log, feedback, campaigns, …
    clients ──── called ───────────┘

A sink receives results and calls in blocks (a `ResultBlock` or `CallBlock` where they are many); a
campaign's step is a block of one.  Sinks may not wait.

The feed: a bounded sample of what just happened, to watch on a page.

Every alert and every fraud is kept as long as there is room; genuine transactions fill what is
left.  Room comes evenly over each second, so that the sample of a busy bank flows and does not
come in gusts.  The counts say how many were seen and how many of them are shown, so a sample never
looks like the whole.

Labels sent to the detector afterwards, where the scenario wants that.

As in a bank: investigators look at every alert, and victims report fraud that raised none,
each after a delay (log-normal; calibration: median 7 days, sigma 1, indicative).  Genuine
transactions without an alert get no label.  What is due after the end of the
run is never sent, so in a short run little is, unless the scenario shortens the delay.

This reveals ground truth to the system under test, on purpose and never before the fact: a
label exists only after the transaction has been answered.
"""

from __future__ import annotations

import heapq
import logging
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final, Protocol

import gevent
import numpy as np
from gevent.pool import Pool

from banksim.measure.block import LABELS, STATUSES, ResultBlock, take
from banksim.measure.results import Feedback as Figures
from banksim.measure.results import FeedItem
from banksim.model import CREDIT_KINDS, At, BankStatus, Ended, Label, Outcome, Planned, money
from banksim.report.transaction_log import TransactionLog
from banksim.scenario.models import DetectorUse
from banksim.schedule.clock import Clock
from banksim.targets import BastionClient, Call
from banksim.world import World
from banksim.world.random import Ints, stream

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


#: Items added per wall second: more than anyone can read, few enough to send to every browser.
ITEMS_PER_SECOND = 40
#: Of those, kept free for alerts and fraud.
RESERVED_PER_SECOND = 15
#: Room that was not used is kept for so long: a burst after a quiet moment is shown whole.
SAVED_S = 1.0
#: A page that shows the feed reads it much more often.
FOLLOWED_S = 0.08


class Room:
    """Places that come free ``per_second``, one after the other."""

    def __init__(self, per_second: float) -> None:
        self._every_s = 1.0 / per_second if per_second > 0 else float("inf")
        self._used_until_s = 0.0

    def take(self, now_s: float) -> bool:
        """Take a place if there is one."""
        if self._used_until_s > now_s + SAVED_S - self._every_s:
            return False
        self._used_until_s = max(self._used_until_s, now_s) + self._every_s
        return True


@dataclass(frozen=True, slots=True)
class ShownOf:
    """How many transactions were seen, and how many of those are in the sample."""

    sampled: int
    seen: int


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Items in the order of their numbers, oldest first, and the number to ask from next."""

    next: int
    shown_of: ShownOf
    items: list[FeedItem]


class FeedView(Protocol):
    """A feed as its readers see it: items numbered from 0, so that they can ask for what is new."""

    def since(self, sequence: int) -> FeedPage:
        """Items numbered ``sequence`` or later."""
        ...

    def items(self) -> list[FeedItem]:
        """All that are kept, oldest first."""
        ...


class EmptyFeed:
    """The feed of a run that has not begun."""

    seen = 0

    def since(self, sequence: int) -> FeedPage:
        return FeedPage(sequence, ShownOf(0, 0), [])

    def items(self) -> list[FeedItem]:
        return []


class Feed(Ignore):
    """The last ``max_items`` sampled transactions of this process."""

    def __init__(self, world: World, max_items: int = 500, per_second: int = ITEMS_PER_SECOND) -> None:
        """``per_second``: items taken per wall second; processes that share a run share these too."""
        self._world = world
        reserved = per_second * RESERVED_PER_SECOND // ITEMS_PER_SECOND
        self._room, self._reserved = Room(per_second - reserved), Room(reserved)
        self._items: deque[FeedItem] = deque(maxlen=max_items)
        self._sequence = 0
        self._read_s = -FOLLOWED_S
        self.seen = 0

    @property
    def followed(self) -> bool:
        """Whether somebody read it a moment ago."""
        return time.monotonic() - self._read_s < FOLLOWED_S

    def ended(self, at: At, results: Sequence[Ended]) -> None:
        if isinstance(results, ResultBlock):
            self._offer_some(results, at.wall_s)
            return
        for planned, outcome in results:
            self._offer(planned, outcome, at.wall_s)

    def _offer_some(self, block: ResultBlock, wall_s: float) -> None:
        """The same for many genuine ones at once: an object is made only of what is taken."""
        self.seen += len(block)
        alerts, place = set(np.flatnonzero(block.alert).tolist()), 0
        while place < len(block) and self._room.take(wall_s):
            self._add(*block[place])
            alerts.discard(place)
            place += 1
        for place in sorted(alerts):
            if not self._reserved.take(wall_s):
                return
            self._add(*block[place])

    def _offer(self, planned: Planned, outcome: Outcome, wall_s: float) -> None:
        """Consider one finished transaction for the feed; cheap when it is not taken."""
        self.seen += 1
        if not self._room.take(wall_s):
            notable = planned.truth.is_fraud or outcome.alert
            if not (notable and self._reserved.take(wall_s)):
                return
        self._add(planned, outcome)

    def _add(self, planned: Planned, outcome: Outcome) -> None:
        self._items.append(self._item(planned, outcome))
        self._sequence += 1

    def since(self, sequence: int) -> FeedPage:
        self._read_s = time.monotonic()
        first = max(0, len(self._items) - max(0, self._sequence - sequence))
        return FeedPage(
            self._sequence, ShownOf(self._sequence, self.seen), list(islice(self._items, first, None))
        )

    def items(self) -> list[FeedItem]:
        return list(self._items)

    def _item(self, planned: Planned, outcome: Outcome) -> FeedItem:
        tx, truth, score = planned.transaction, planned.truth, outcome.detector
        customer = self._world.population.customer(tx.account.customer_index)
        moment = datetime.fromtimestamp(tx.timestamp_s, UTC)
        return FeedItem(
            seq=self._sequence,
            transaction_id=tx.transaction_id,
            sim_time=moment.isoformat(timespec="seconds"),
            customer=customer.display_name,
            kind=str(tx.kind),
            amount=money.to_wire(tx.amount_cents, tx.currency),
            currency=tx.currency,
            merchant=tx.merchant.name if tx.merchant else tx.description,
            channel=str(tx.channel),
            score=score.score,
            decision=str(score.decision),
            reasons=list(score.reasons[:5]),
            truth=str(truth.label),
            typology=truth.typology if truth.label is not Label.GENUINE else "",
            bank=str(outcome.bank.status),
            response_ms=round(outcome.response_ms, 1),
            ended_at_ms=round(time.time() * 1000.0),
            campaign=truth.campaign_id,
            account=tx.account.customer_index,
            bank_detail=outcome.bank.detail,
            bank_ms=round(outcome.bank.latency_ms, 2),
            detector_ms=round(score.latency_ms, 2),
            detector_error=score.error,
        )


#: Labels that wait for their moment; more are counted and never sent.
MAX_WAITING = 100_000
CONCURRENCY = 8
LOOK_EVERY_S = 0.05


class Feedback(Ignore):
    """Labels of one process's transactions on their way to the detector."""

    name = "feedback"

    def __init__(self, use: DetectorUse, detector: BastionClient, clock: Clock, seed: int) -> None:
        self._use = use
        self._detector = detector
        self._clock = clock
        self._seed = seed
        self._waiting: list[tuple[float, str, bool]] = []
        self._pool = Pool(CONCURRENCY)
        self._reported_refusal = False
        self.counts = dict.fromkeys(
            ("fraud", "false_positives", "accepted", "refused", "later", "not_kept"), 0
        )

    def ended(self, at: At, results: Sequence[Ended]) -> None:  # noqa: ARG002
        if isinstance(results, ResultBlock):  # all genuine
            results = take(results, results.alert)
        for planned, outcome in results:
            self._take(planned, outcome)

    def _take(self, planned: Planned, outcome: Outcome) -> None:
        is_fraud, alert = planned.truth.is_fraud, outcome.detector.decision.is_alert
        if outcome.detector.score is None or not (is_fraud or alert):
            return
        due_s = planned.sim_s + self._delay_s(planned.transaction.transaction_id)
        if due_s >= self._clock.duration_s:
            self.counts["later"] += 1
        elif len(self._waiting) >= MAX_WAITING:
            self.counts["not_kept"] += 1
        else:
            heapq.heappush(self._waiting, (due_s, planned.transaction.transaction_id, is_fraud))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Labels are sent as they fall due while this lasts."""
        sending = gevent.spawn(self.run)
        try:
            yield
        finally:
            sending.kill()

    def run(self) -> None:
        """Send what is due, until killed."""
        while True:
            now_s = self._clock.sim_at(time.monotonic())
            while self._waiting and self._waiting[0][0] <= now_s:
                self._pool.wait_available()  # killed here, it has taken no label yet
                _, transaction_id, is_fraud = heapq.heappop(self._waiting)
                self._pool.spawn(self._send, transaction_id, is_fraud)
            gevent.sleep(LOOK_EVERY_S)

    def figures(self) -> Figures:
        return Figures(**self.counts, not_sent=len(self._waiting))

    def _delay_s(self, transaction_id: str) -> float:
        # From its own stream, so that it does not hang on the order of answers.
        drawn = stream(self._seed, "feedback", transaction_id).gauss(0.0, self._use.feedback_sigma)
        return self._use.feedback_delay_hours * 3600.0 * math.exp(drawn)

    def _send(self, transaction_id: str, is_fraud: bool) -> None:
        accepted = self._detector.feedback(transaction_id, is_fraud)
        self.counts["fraud" if is_fraud else "false_positives"] += 1
        self.counts["accepted" if accepted else "refused"] += 1
        if not accepted and not self._reported_refusal:
            self._reported_refusal = True
            logger.warning("The detector at %s does not take feedback", self._detector.address)
