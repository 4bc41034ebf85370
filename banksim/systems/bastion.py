"""Client of the fraud detector: asks for scores.

A score moves no money, so one whose connection was lost may be asked again; at worst the
detector's velocity features count that transaction twice.  What the client is handed is a
`Transaction`, never a `Planned`: the detector learns nothing that a real one would not.
"""

from __future__ import annotations

from banksim.domain import Decision, ScoreReply, Transaction
from banksim.systems.bastion_wire import read_score, score_body
from banksim.systems.calls import Call, Observer, ignore_call
from banksim.systems.directory import AccountDirectory
from banksim.systems.health import Health, as_health, check_health
from banksim.systems.transport import Transport

NAME = "Bastion"
SCORE_PATH = "/score"


class BastionClient:
    """One detector.  ``directory`` gives customers and accounts their names on the wire."""

    def __init__(
        self, transport: Transport, directory: AccountDirectory, *, observer: Observer = ignore_call
    ) -> None:
        self._transport = transport
        self._directory = directory
        self._observer = observer

    @property
    def address(self) -> str:
        return self._transport.address

    def score(self, tx: Transaction) -> ScoreReply:
        """Ask for one score.  Never raises for what the detector does: ``error`` says it."""
        body = score_body(tx, self._directory)
        reply = self._transport.call("POST", SCORE_PATH, SCORE_PATH, body, repeatable=True)
        score = read_score(reply)
        usable = score.score is not None and score.decision is not Decision.NONE
        self._observer(
            Call(
                system="bastion",
                method="POST",
                name=SCORE_PATH,
                latency_ms=reply.latency_ms,
                status=reply.status or None,
                request_bytes=reply.request_bytes,
                response_bytes=reply.response_bytes,
                error=None if usable else score.error,
                sent=reply.attempts > 0,
            )
        )
        return score

    def health(self) -> Health:
        """One health check.  It is not told to the observer: it is no part of the load."""
        return as_health(NAME, check_health(self._transport))

    def close(self) -> None:
        self._transport.close()
