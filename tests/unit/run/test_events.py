"""What is published, when, and what the run says about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import orjson
import pytest

from banksim.kafka import CUSTOMERS, DECISIONS, TRANSACTIONS, EmbeddedBroker, Publisher, TopicReader
from banksim.measure.figures import Confusion
from banksim.model import NOT_SENT, BankReply, BankStatus, Decision, Planned, ScoreReply
from banksim.run import kafka as module
from banksim.run.executor import Executor
from banksim.run.kafka import Brokers, Events
from banksim.run.sink import Tee
from banksim.run.timekeeper import Timekeeper
from banksim.schedule.clock import Clock
from banksim.targets import AccountDirectory, Call
from tests.unit.run.makers import FakeBank, FakeDetector, Kept, Published, arrival, planned, targets
from tests.unit.targets.people import customer

POSTED = BankReply(BankStatus.POSTED)
UNREACHABLE = Brokers(wanted=True, asked_for="k:1", reason="no broker answers at k:1, events are counted …")


def made(brokers: Brokers, has_bank: bool = True, calls: list[Call] | None = None) -> Events:
    directory = AccountDirectory(1)
    directory.add(0, "cust-0", ["acc-0"])
    sink = Kept() if calls is None else Kept(calls=calls)
    return Events(brokers, "flat", directory, has_bank, sink, Timekeeper(Clock(100.0, 1.0)))


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    host = EmbeddedBroker()
    host.start()
    yield host
    host.close()


def test_switched_off_counts_nothing() -> None:
    events = made(Brokers(reason="disabled: --no-kafka"))
    events.start()
    events.transaction(planned(), POSTED)
    events.drain()
    results = events.results()
    assert (results.enabled, results.offered) == (False, 0)
    row = events.status()
    assert (row.name, row.ok, row.detail) == ("Kafka", None, "disabled: --no-kafka")
    events.close()


def test_unreachable_counts_what_was_not_published() -> None:
    events = made(UNREACHABLE)
    events.start()
    events.transaction(planned(), POSTED)
    events.customer(customer(), 0.0)
    results = events.results()
    assert (results.offered, results.unavailable, results.not_published) == (2, 2, 2)
    row = events.status()
    assert (row.ok, row.url, row.detail) == (False, "k:1", UNREACHABLE.reason)


@pytest.mark.parametrize("status", list(BankStatus))
def test_only_what_the_bank_booked_is_an_event(status: BankStatus) -> None:
    events = made(UNREACHABLE)
    events.transaction(planned(), BankReply(status))
    assert events.results().offered == (1 if status is BankStatus.POSTED else 0)


def test_without_a_bank_everything_is_an_event() -> None:
    events = made(UNREACHABLE, has_bank=False)
    events.transaction(planned(), NOT_SENT)
    assert events.results().offered == 1


def test_a_customer_without_accounts_is_no_event() -> None:
    events = made(UNREACHABLE)
    events.customer(customer(index=5), 0.0)
    assert events.results().offered == 0


def _order(flow: str, decision: Decision = Decision.APPROVE) -> list[str]:
    order: list[str] = []
    bank, detector = FakeBank(), FakeDetector(ScoreReply(0.1, decision))
    both = targets(bank, detector)
    bank.post = lambda tx: order.append("post") or POSTED  # type: ignore[method-assign,func-returns-value]
    detector.score = lambda tx: order.append("score") or detector.reply  # type: ignore[method-assign,func-returns-value]

    class Order(Published):
        def transaction(self, planned: Planned, reply: BankReply) -> None:
            order.append(f"publish {reply.status}")

    Executor(
        both,  # type: ignore[arg-type]
        flow,
        Tee(),
        Timekeeper(Clock(100.0, 1.0)),
        Order(),
    ).perform(arrival())
    return order


def test_events_come_right_after_the_banks_answer() -> None:
    assert _order("post_then_score") == ["post", "publish posted", "score"]
    assert _order("score_then_post") == ["score", "post", "publish posted"]
    assert _order("score_then_post", Decision.BLOCK) == ["score"]


def test_events_and_decisions_with_a_broker(broker: EmbeddedBroker) -> None:
    calls: list[Call] = []
    events = made(Brokers(broker.servers, True, "embedded"), calls=calls)
    seen: list[tuple[str, Any]] = []
    reader = TopicReader(
        broker.servers,
        (TRANSACTIONS, CUSTOMERS),
        lambda name, value: seen.append((name, orjson.loads(value))),
    )
    reader.start()
    events.start()
    events.customer(customer(), 0.0)
    for name in ("", "card_testing"):
        events.transaction(planned(fraud=name), POSTED)
    with gevent.Timeout(10):
        while len(seen) < 3:
            gevent.sleep(0.01)
    detector = Publisher(broker.servers, lambda delivery: None)
    detector.start()
    for topic, event in seen:
        if topic == TRANSACTIONS:
            answer = {"transaction_id": event["transaction_id"], "fraud_score": 0.9, "decision": "block"}
            detector.publish(DECISIONS, event["transaction_id"], orjson.dumps(answer))
    detector.publish(DECISIONS, "x", b'{"transaction_id": "of another run", "decision": "block"}')
    detector.publish(DECISIONS, "y", b"nonsense")
    detector.drain(5)
    events.drain()
    with gevent.Timeout(10):
        while events.figures.counts["received"] < 4:
            gevent.sleep(0.01)
    for part in (reader, detector, events):
        part.close()
    results = events.results()
    decisions = results.decisions
    assert (results.delivered, results.waiting, results.not_published) == (3, 0, 0)
    assert [getattr(decisions, n) for n in ("received", "matched", "unmatched", "unreadable")] == [4, 2, 1, 1]
    assert decisions.confusion == Confusion(tp=1, fp=1, tn=0, fn=0)
    assert sorted((call.system, call.name, call.error) for call in calls) == [
        ("kafka", CUSTOMERS, None),
        ("kafka", TRANSACTIONS, None),
        ("kafka", TRANSACTIONS, None),
    ]
    row = events.status()
    assert row.ok is True and row.latency_ms > 0 and "3 events delivered" in row.detail


def test_draining_ends_when_nobody_decides(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_S", 0.05)
    events = made(Brokers(broker.servers, True, "embedded"))
    events.start()
    events.transaction(planned(), POSTED)
    with gevent.Timeout(10):
        events.drain()
    events.close()
    assert events.results().decisions.undecided == 1
    assert events.results().decisions.recall is None
