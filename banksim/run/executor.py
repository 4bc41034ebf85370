"""Carry out one arrival: post it, score it, count it, and tell its campaign.

Runs in the greenlet of the user who took the arrival.  Whatever happens in between, an
arrival that was taken ends in exactly one count: completed, failed, unknown or dropped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from banksim.measure import Measures
from banksim.model import (
    NOT_SCORED,
    NOT_SENT,
    At,
    BankReply,
    BankStatus,
    Decision,
    Ended,
    Outcome,
    Planned,
    ScoreReply,
    Transaction,
)
from banksim.report.transaction_log import TransactionLog
from banksim.run.feed import Feed
from banksim.run.queues import Arrival
from banksim.targets import Targets

logger = logging.getLogger(__name__)

#: An arrival that could not start for so long is dropped: by then it says nothing about the target any more.
DROP_AFTER_S = 10.0

DROPPED = Outcome(
    BankReply(BankStatus.FAILED, "dropped before sending"), NOT_SCORED, lag_ms=0.0, service_ms=0.0
)


class Executor:
    """Sends what users take from their seats."""

    def __init__(
        self,
        targets: Targets,
        measures: Measures,
        feed: Feed,
        flow: str,
        answered: Callable[[Planned, Outcome], None],
        moment: Callable[[], At],
        log: TransactionLog | None = None,
        publish: Callable[[Planned, BankReply], None] | None = None,
        heard: Callable[[Planned, Outcome], None] | None = None,
    ) -> None:
        """``flow`` is the scenario's: "post_then_score" or "score_then_post".

        ``moment`` is the current one of the run.  ``publish`` hears what
        the bank answered before anything else is done about it, ``heard`` what came of it all; neither
        may wait.
        """
        self._bank = targets.bank
        self._detector = targets.detector
        self._measures = measures
        self._feed = feed
        self._score_first = flow == "score_then_post"
        self._answered = answered
        self._moment = moment
        self._log_file = log
        self._publish = publish
        self._heard = heard
        self._tells = logger.isEnabledFor(logging.DEBUG)
        self.in_flight = 0

    def perform(self, arrival: Arrival) -> None:
        """Carry out an arrival; returns when it is answered, failed or dropped."""
        started_s = time.monotonic()
        lag_s = max(0.0, started_s - arrival.due_wall_s)
        if lag_s > DROP_AFTER_S:
            self.drop(arrival.planned, f"could not start within {DROP_AFTER_S:.0f} s")
            return
        self._measures.started(self._moment())
        self.in_flight += 1
        try:
            bank, score = self._send(arrival.planned)
        except BaseException as error:
            # Also GreenletExit: the user was killed with the request under way, so nobody knows.
            bank, score = BankReply(BankStatus.UNKNOWN, f"{type(error).__name__}: {error}"), NOT_SCORED
            raise
        finally:
            self.in_flight -= 1
            ended_s = time.monotonic()
            outcome = Outcome(bank, score, lag_s * 1000.0, (ended_s - started_s) * 1000.0)
            self._finish(arrival, outcome)

    def drop(self, planned: Planned, reason: str) -> None:
        """Count a transaction that will not be sent."""
        at = self._moment()
        self._measures.dropped(at, planned, reason)
        if self._log_file is not None:
            self._log_file.add_dropped(planned, reason, at.wall_s)
        self._answered(planned, DROPPED)

    def _send(self, planned: Planned) -> tuple[BankReply, ScoreReply]:
        tx = planned.transaction
        if not self._score_first:
            return self._post(planned), self._score(tx)
        score = self._score(tx)
        if score.decision is Decision.BLOCK:
            return BankReply(BankStatus.SKIPPED, "declined before posting"), score
        return self._post(planned), score

    def _post(self, planned: Planned) -> BankReply:
        reply = self._bank.post(planned.transaction) if self._bank is not None else NOT_SENT
        if self._publish is not None:
            self._publish(planned, reply)
        return reply

    def _score(self, tx: Transaction) -> ScoreReply:
        return self._detector.score(tx) if self._detector is not None else NOT_SCORED

    def _finish(self, arrival: Arrival, outcome: Outcome) -> None:
        planned = arrival.planned
        at = self._moment()
        self._measures.ended(at, (Ended(planned, outcome),))
        self._feed.offer(planned, outcome, at.wall_s)
        if self._log_file is not None:
            self._log_file.add(planned, outcome, at.wall_s)
        if self._tells:
            self._log(planned, outcome)
        if self._heard is not None:
            self._heard(planned, outcome)
        self._answered(planned, outcome)

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
        if truth.is_fraud and score.decision.is_alert:
            logger.debug("Fraud detected: %s %s score %s", tx.transaction_id, truth.typology, score.score)
