"""Small real values and recording fakes for engine tests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

from banksim.activity.block import Block
from banksim.measure.results import FeedItem
from banksim.model import (
    AccountRef,
    At,
    BankReply,
    BankStatus,
    Channel,
    Decision,
    Ended,
    Kind,
    Label,
    Place,
    Planned,
    ScoreReply,
    Transaction,
    Truth,
)
from banksim.run.dispatcher import Arrival, UserQueues
from banksim.run.sink import Ignore
from banksim.targets import Call

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
    return Arrival(time.monotonic() - late_s, planned(**kwargs), NOBODY)  # type: ignore[arg-type]


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


class NotPerformed:
    def perform(self, arrival: Arrival) -> None:
        raise AssertionError("no user takes it in this test")


NOBODY = NotPerformed()


class Backlog:
    """What waits in some queues, and what users took from them."""

    def __init__(self, queues: UserQueues) -> None:
        self._queues = queues

    @property
    def waiting(self) -> int:
        return self._queues.waiting

    @property
    def begun(self) -> int:
        return self._queues.taken


class RowsPut:
    """Keeps the rows that need no user."""

    def __init__(self) -> None:
        self.planned: list[Planned] = []

    def put(self, at: At, block: Block, positions: Sequence[int]) -> None:
        self.planned += [block.planned(position) for position in positions]


@dataclass
class Published:
    """Keeps what the bank answered, as events would."""

    replies: list[BankReply] = field(default_factory=list)
    wanted: bool = True

    def transaction(self, planned: Planned, reply: BankReply) -> None:
        self.replies.append(reply)


@dataclass
class Kept(Ignore):
    """A sink that keeps what it is told."""

    dropped_for: list[str] = field(default_factory=list)
    results: list[Ended] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def dropped(self, at: At, planned: Planned | None, reason: str, n: int = 1) -> None:
        self.dropped_for += [reason] * n

    def ended(self, at: At, results: Sequence[Ended]) -> None:
        self.results += results

    def called(self, at: At, calls: Sequence[Call]) -> None:
        self.calls += calls


def feed_item(seq: int, transaction_id: str) -> FeedItem:
    """A genuine purchase as the feed has it."""
    return FeedItem(
        seq=seq,
        transaction_id=transaction_id,
        sim_time="2026-01-05T09:00:00+00:00",
        customer="Ana Martinez",
        kind="purchase",
        amount="12.50",
        currency="USD",
        merchant="Blue Door Books",
        channel="pos",
        score=0.1,
        decision="approve",
        reasons=["velocity"],
        truth="genuine",
        typology="",
        bank="posted",
        response_ms=2.5,
        ended_at_ms=1_767_600_000_000.0,
    )
