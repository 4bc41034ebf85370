"""Small real values and recording fakes for engine tests."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import SimpleNamespace

from banksim.model import (
    AccountRef,
    BankReply,
    BankStatus,
    Channel,
    Decision,
    Kind,
    Label,
    Place,
    Planned,
    ScoreReply,
    Transaction,
    Truth,
)
from banksim.run.queues import Arrival

HOME = Place("Boston", "US", 42.36, -71.06)


def planned(sim_s: float = 0.0, persona: str = "student", fraud: str = "") -> Planned:
    """A small purchase at ``sim_s``; of typology ``fraud`` when one is named."""
    transaction = Transaction(
        transaction_id=f"tx-{sim_s}-{fraud}",
        kind=Kind.PURCHASE,
        account=AccountRef(0),
        amount_cents=1250,
        currency="USD",
        channel=Channel.POS,
        timestamp_s=1_767_571_200.0 + sim_s,
        place=HOME,
        device_id="d",
        description="Card purchase",
    )
    truth = Truth(Label.FRAUD, persona, fraud, "c-1") if fraud else Truth(Label.GENUINE, persona)
    return Planned(transaction, truth, sim_s)


def arrival(late_s: float = 0.0, **kwargs: object) -> Arrival:
    """An arrival that was due ``late_s`` ago."""
    return Arrival(time.monotonic() - late_s, planned(**kwargs))  # type: ignore[arg-type]


@dataclass
class FakeBank:
    reply: BankReply = field(default_factory=lambda: BankReply(BankStatus.POSTED))
    posted: list[Transaction] = field(default_factory=list)

    def post(self, tx: Transaction) -> BankReply:
        self.posted.append(tx)
        return self.reply


@dataclass
class FakeDetector:
    reply: ScoreReply = field(default_factory=lambda: ScoreReply(0.1, Decision.APPROVE))
    scored: list[Transaction] = field(default_factory=list)
    error: BaseException | None = None

    def score(self, tx: Transaction) -> ScoreReply:
        self.scored.append(tx)
        if self.error is not None:
            raise self.error
        return self.reply


def targets(bank: FakeBank | None, detector: FakeDetector | None) -> SimpleNamespace:
    return SimpleNamespace(bank=bank, detector=detector)


class NoFeed:
    def offer(self, *_: object) -> None:
        """Nobody watches."""
