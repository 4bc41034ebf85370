"""Collects transactions that ask for a score into batches.

A batch goes out when it is full, or when its first transaction has waited long enough.  It
is asked for in a greenlet of its own, so that a user who is stopped takes nobody else's
answer along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gevent
from gevent.event import AsyncResult

from banksim.domain import Decision, ScoreReply, Transaction

Waiting = list[tuple[Transaction, AsyncResult]]


class ScoreBatches:
    """``ask`` answers each transaction of a batch, in order."""

    def __init__(
        self, ask: Callable[[Sequence[Transaction]], list[ScoreReply]], size: int, wait_s: float
    ) -> None:
        self._ask = ask
        self._size = size
        self._wait_s = wait_s
        self._waiting: Waiting = []

    def score(self, tx: Transaction) -> ScoreReply:
        """Wait for the batch, and for its answer."""
        answer = AsyncResult()
        batch = self._waiting
        batch.append((tx, answer))
        if len(batch) >= self._size:
            self._send(batch)
        elif len(batch) == 1:
            gevent.spawn_later(self._wait_s, self._send, batch)
        reply: ScoreReply = answer.get()
        return reply

    def _send(self, batch: Waiting) -> None:
        if batch is self._waiting:  # else it was full before its time was over
            self._waiting = []
            gevent.spawn(self._ask_for, batch)

    def _ask_for(self, batch: Waiting) -> None:
        replies: list[ScoreReply] = []
        try:
            replies = self._ask([tx for tx, _ in batch])
        finally:  # nobody waits for ever, whatever happened
            lost = ScoreReply(None, Decision.NONE, (), 0.0, "the batch was given up")
            replies += [lost] * (len(batch) - len(replies))
            for (_, answer), reply in zip(batch, replies, strict=True):
                answer.set(reply)
