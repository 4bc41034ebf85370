"""Labels sent to the detector afterwards, where the scenario wants that.

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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import gevent
from gevent.pool import Pool

from banksim.measure.block import ResultBlock, take
from banksim.measure.results import Feedback as Figures
from banksim.model import At, Ended, Outcome, Planned
from banksim.run.sink import Ignore
from banksim.scenario.models import DetectorUse
from banksim.schedule.clock import Clock
from banksim.targets import BastionClient
from banksim.world.random import stream

logger = logging.getLogger(__name__)

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
