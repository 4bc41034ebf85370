"""Batches fill up or run out of patience, and everybody gets the answer that is theirs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import gevent
import pytest

from banksim.model import Decision, ScoreReply, Transaction
from banksim.targets.bastion import ScoreBatches
from tests.unit.targets.people import transaction


class Scorer:
    def __init__(self, answer_s: float = 0.0) -> None:
        self.batches: list[list[str]] = []
        self._answer_s = answer_s

    def __call__(self, transactions: Sequence[Transaction]) -> list[ScoreReply]:
        self.batches.append([tx.transaction_id for tx in transactions])
        gevent.sleep(self._answer_s)
        return [
            ScoreReply(int(tx.transaction_id) / 100, Decision.APPROVE, (), 1.0, "") for tx in transactions
        ]


def ask(batches: ScoreBatches, numbers: range) -> list[float | None]:
    asking = [gevent.spawn(batches.score, transaction(transaction_id=str(number))) for number in numbers]
    return [greenlet.get(timeout=5).score for greenlet in asking]


def test_a_full_batch_goes_out_at_once() -> None:
    scorer = Scorer()
    started_s = time.monotonic()
    assert ask(ScoreBatches(scorer, 4, wait_s=3.0), range(8)) == [number / 100 for number in range(8)]
    assert time.monotonic() - started_s < 2
    assert [len(batch) for batch in scorer.batches] == [4, 4]


def test_an_incomplete_batch_goes_out_after_its_wait() -> None:
    scorer = Scorer()
    started_s = time.monotonic()
    assert ask(ScoreBatches(scorer, 100, wait_s=0.1), range(3)) == [0.0, 0.01, 0.02]
    assert time.monotonic() - started_s >= 0.1
    assert scorer.batches == [["0", "1", "2"]]


def test_the_next_batch_does_not_wait_for_the_answer_to_the_last() -> None:
    scorer = Scorer(answer_s=0.2)
    started_s = time.monotonic()
    ask(ScoreBatches(scorer, 2, wait_s=0.01), range(10))
    assert time.monotonic() - started_s < 0.8
    assert len(scorer.batches) == 5


def test_a_user_who_is_stopped_takes_nobody_along() -> None:
    batches = ScoreBatches(Scorer(), 3, wait_s=0.1)
    first, second = (
        gevent.spawn(batches.score, transaction(transaction_id=str(number))) for number in (1, 2)
    )
    gevent.sleep(0.02)
    first.kill()
    assert second.get(timeout=5).score == pytest.approx(0.02)


def test_nobody_waits_for_ever() -> None:
    def broken(_: Sequence[Transaction]) -> list[ScoreReply]:
        raise ValueError("a fault of ours")

    reply = ScoreBatches(broken, 1, wait_s=0.0).score(transaction(transaction_id="1"))
    assert (reply.score, reply.decision, reply.error) == (None, Decision.NONE, "the batch was given up")
