"""Carry out one arrival: post it, score it, report it.

Runs in the greenlet of the user who took the arrival.  Whatever happens in between, an
arrival that was taken ends in exactly one count: completed, failed, unknown or dropped.
"""

from __future__ import annotations

import time
from typing import Protocol

from banksim.model import (
    NOT_SCORED,
    NOT_SENT,
    BankReply,
    BankStatus,
    Decision,
    Ended,
    Outcome,
    Planned,
    ScoreReply,
    Transaction,
)
from banksim.run.queues import Arrival
from banksim.run.sink import Sink
from banksim.run.timekeeper import Timekeeper
from banksim.targets import Targets

#: An arrival that could not start for so long is dropped: by then it says nothing about the target any more.
DROP_AFTER_S = 10.0


class Publisher(Protocol):
    """Publishes what the bank has booked, before anything else is done about it."""

    def transaction(self, planned: Planned, reply: BankReply) -> None:
        """The bank has answered.  Returns at once."""


class Executor:
    """Sends what users take from their queues."""

    def __init__(
        self, targets: Targets, flow: str, sink: Sink, timekeeper: Timekeeper, publisher: Publisher
    ) -> None:
        """``flow`` is the scenario's: "post_then_score" or "score_then_post"."""
        self._bank = targets.bank
        self._detector = targets.detector
        self._score_first = flow == "score_then_post"
        self._sink = sink
        self._timekeeper = timekeeper
        self._publisher = publisher
        self.in_flight = 0

    def perform(self, arrival: Arrival) -> None:
        """Carry out an arrival; returns when it is answered, failed or dropped."""
        started_s = time.monotonic()
        lag_s = max(0.0, started_s - arrival.due_wall_s)
        if lag_s > DROP_AFTER_S:
            reason = f"could not start within {DROP_AFTER_S:.0f} s"
            self._sink.dropped(self._timekeeper.now(), arrival.planned, reason)
            return
        self._sink.started(self._timekeeper.now())
        self.in_flight += 1
        try:
            bank, score = self._send(arrival.planned)
        except BaseException as error:
            # Also GreenletExit: the user was killed while the request was in flight.
            bank, score = BankReply(BankStatus.UNKNOWN, f"{type(error).__name__}: {error}"), NOT_SCORED
            raise
        finally:
            self.in_flight -= 1
            service_ms = (time.monotonic() - started_s) * 1000.0
            outcome = Outcome(bank, score, lag_s * 1000.0, service_ms)
            self._sink.ended(self._timekeeper.now(), (Ended(arrival.planned, outcome),))

    def decline(self, arrival: Arrival, reason: str) -> None:
        """Count an arrival that is not carried out as dropped."""
        self._sink.dropped(self._timekeeper.now(), arrival.planned, reason)

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
        self._publisher.transaction(planned, reply)
        return reply

    def _score(self, tx: Transaction) -> ScoreReply:
        return self._detector.score(tx) if self._detector is not None else NOT_SCORED
