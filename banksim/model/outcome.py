"""What the bank and the detector answered.

An outcome may be *unknown*: a money movement whose answer never came may or may not
have been booked, and nobody here pretends to know.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from banksim.model.transaction import Planned, record


class BankStatus(StrEnum):
    """What became of the posting."""

    POSTED = "posted"
    REFUSED = "refused"  # a business answer: insufficient funds, blocked by a rule
    FAILED = "failed"  # an error: nothing was booked
    UNKNOWN = "unknown"  # no answer: it may have been booked
    SKIPPED = "skipped"  # not sent: no bank, or declined before posting


class LocalLimit(StrEnum):
    """What the load generator itself ran out of.  It says nothing about the system under test."""

    FILES = "this machine is out of file descriptors"
    PORTS = "this machine is out of ports"
    MEMORY = "this machine is out of memory for connections"
    RESOLVER = "this machine's name resolver does not answer"


class Decision(StrEnum):
    """The detector's word, in ours.  NONE means nobody scored: shown as "n/a"."""

    APPROVE = "approve"
    REVIEW = "review"
    BLOCK = "block"
    NONE = "n/a"

    @property
    def is_alert(self) -> bool:
        return self in (Decision.REVIEW, Decision.BLOCK)


@record
class BankReply:
    """One posting's answer.  ``detail`` is the refusal or error text, empty when posted.

    ``limit`` is set when it was not sent because the load generator ran out of something.
    """

    status: BankStatus
    detail: str = ""
    latency_ms: float = 0.0
    limit: LocalLimit | None = None


@record
class ScoreReply:
    """One score.  ``score`` is 0..1, None when there was no usable answer (then ``error`` says why).

    ``limit`` is set when it was not asked for because the load generator ran out of something.
    """

    score: float | None
    decision: Decision
    reasons: tuple[str, ...] = ()
    latency_ms: float = 0.0
    error: str = ""
    limit: LocalLimit | None = None


NOT_SENT = BankReply(BankStatus.SKIPPED)
NOT_SCORED = ScoreReply(None, Decision.NONE)


@record
class Outcome:
    """Both answers and the three times, in milliseconds of wall time.

    ``lag_ms`` runs from the intended start to the actual one, ``service_ms`` from the
    actual start to the last answer; their sum is the response time.
    """

    bank: BankReply
    detector: ScoreReply
    lag_ms: float
    service_ms: float

    @property
    def limit(self) -> LocalLimit | None:
        """What the load generator ran out of while it sent this; None when it did not."""
        return self.bank.limit or self.detector.limit

    @property
    def response_ms(self) -> float:
        return self.lag_ms + self.service_ms

    @property
    def approved(self) -> bool:
        """True when, as far as the sender can tell, the money moved and nobody objected."""
        if self.detector.decision is Decision.BLOCK:
            return False
        return self.bank.status in (BankStatus.POSTED, BankStatus.SKIPPED)


class At(NamedTuple):
    """A moment of a run: wall and simulated seconds since simulated time began."""

    wall_s: float
    sim_s: float


class Ended(NamedTuple):
    """A transaction that was sent, and what came of it."""

    planned: Planned
    outcome: Outcome
