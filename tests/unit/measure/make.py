"""Small makers of transactions and outcomes for these tests."""

from __future__ import annotations

from banksim.measure import Measures
from banksim.model import (
    AccountRef,
    At,
    BankReply,
    BankStatus,
    Channel,
    Decision,
    Ended,
    FraudStage,
    Kind,
    Label,
    Outcome,
    Place,
    Planned,
    ScoreReply,
    Transaction,
    Truth,
)
from banksim.targets import Call
from banksim.targets.calls import System

HOME = Place("Springfield", "US", 39.8, -89.6)
START = At(0.0, 0.0)


def planned(
    label: Label = Label.GENUINE,
    amount_cents: int = 1_000,
    sim_s: float = 0.0,
    typology: str = "",
    campaign: str = "",
) -> Planned:
    transaction = Transaction(
        "t", Kind.PURCHASE, AccountRef(1), amount_cents, "USD", Channel.POS, sim_s, HOME, "device", "text"
    )
    stage = FraudStage.HARM if label is Label.FRAUD else FraudStage.NONE
    return Planned(transaction, Truth(label, "salaried", typology, campaign, stage=stage), sim_s)


def fraud(amount_cents: int = 1_000, sim_s: float = 0.0, campaign: str = "c1") -> Planned:
    return planned(Label.FRAUD, amount_cents, sim_s, "card_testing", campaign)


def outcome(
    decision: Decision = Decision.APPROVE,
    score: float | None = 0.1,
    status: BankStatus = BankStatus.POSTED,
    error: str = "",
    lag_ms: float = 1.0,
    service_ms: float = 20.0,
) -> Outcome:
    return Outcome(BankReply(status), ScoreReply(score, decision, error=error), lag_ms, service_ms)


ALERT = outcome(Decision.BLOCK, 0.95)
PASSED = outcome()
MISSING = outcome(Decision.NONE, None, error="timeout")
UNASKED = outcome(Decision.NONE, None)


def end(measures: Measures, plan: Planned, answer: Outcome, at: At = START) -> None:
    """One transaction ended."""
    measures.ended(at, [Ended(plan, answer)])


def call(
    measures: Measures, system: System, name: str, latency_ms: float, error: str | None = None, at: At = START
) -> None:
    """One call to a target has returned."""
    measures.called(at, [Call(system, "POST", name, latency_ms, 200, 0, 0, error)])
