"""The stand-in detector reads both forms of event and answers in the form it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import orjson
import pytest

from banksim.kafka import ALERTS, DECISIONS, TRANSACTIONS, EmbeddedBroker, Publisher, TopicReader
from banksim.model import BanksimError
from banksim.sandbox.detector.kafka import (
    DetectorBridge,
    alert_event,
    decision_event,
    open_kafka_side,
    request_of,
)
from banksim.sandbox.detector.model import MODEL_VERSION, FraudModel
from tests.integration.commands import free_port

FLAT: dict[str, Any] = {
    "event_type": "transaction_created",
    "timestamp": "2026-01-05T12:00:00.000Z",
    "transaction_id": "t-1",
    "customer_id": "c-1",
    "account_id": "a-1",
    "amount": 12.5,
    "currency": "USD",
    "transaction_type": "transfer",
    "merchant": "",
    "location": {"latitude": 42.0, "longitude": -71.0, "city": "Boston", "country": "US"},
    "metadata": {"channel": "mobile", "device_id": "d-1", "counterparty_account_id": "a-2"},
}
ENVELOPE: dict[str, Any] = {
    "event_id": "e-1",
    "event_type": "transaction.processed",
    "timestamp": "2026-01-05T12:00:00.000Z",
    "data": {
        "transaction_id": "t-1",
        "amount": "12.50",
        "currency": "USD",
        "from_account_id": "a-1",
        "to_account_id": "a-2",
        "customer_id": "c-1",
        "transaction_type": "transfer",
        "channel": "mobile",
        "timestamp": "2026-01-05T12:00:00.000Z",
        "metadata": {"device_id": "d-1", "location": FLAT["location"]},
    },
}


def test_both_forms_ask_the_same() -> None:
    flat, enveloped = request_of(FLAT), request_of(ENVELOPE)
    flat.pop("merchant_id", None)
    enveloped.pop("merchant_id", None)
    assert flat == enveloped
    assert flat["timestamp"] == 1_767_614_400.0
    assert flat["metadata"]["counterparty_account_id"] == "a-2"


def test_a_deposit_reaches_the_customers_own_account() -> None:
    data = {**ENVELOPE["data"], "from_account_id": None, "to_account_id": "a-1"}
    asked = request_of({**ENVELOPE, "data": data})
    assert (asked["metadata"]["account_id"], asked["metadata"]["counterparty_account_id"]) == ("a-1", "")


def test_the_decision_has_the_original_descriptions_fields() -> None:
    score = FraudModel().score(request_of(FLAT))
    event = decision_event(score, 1.5, enveloped=False)
    assert list(event) == [
        "event_type", "timestamp", "transaction_id", "fraud_score", "decision", "risk_factors",
        "model_version", "processing_time_ms",
    ]  # fmt: skip
    assert (event["transaction_id"], event["decision"], event["model_version"]) == (
        "t-1",
        "approve",
        MODEL_VERSION,
    )
    assert 0.0 <= event["fraud_score"] <= 1.0


def test_risk_factors_say_which_rules_spoke() -> None:
    model = FraudModel()
    for number in range(60):
        model.score(request_of({**FLAT, "transaction_id": f"t-{number}"}))
    score = model.score(request_of({**FLAT, "transaction_id": "last"}))
    factors = decision_event(score, 0.0, enveloped=False)["risk_factors"]
    assert [f["factor"] for f in factors] == list(score.reasons) != []
    assert all(set(f) == {"factor", "score", "description"} and 0 < f["score"] <= 1 for f in factors)


def test_an_envelope_is_answered_in_an_envelope() -> None:
    score = FraudModel().score(request_of(ENVELOPE))
    event = decision_event(score, 0.0, enveloped=True)
    assert event["event_type"] == "fraud.decision" and event["event_id"]
    assert set(event["data"]) == {"transaction_id", "score", "decision", "risk_level", "reasons"}
    alert = alert_event(score, "c-1", enveloped=True)
    assert set(alert["data"]) == {
        "alert_id", "customer_id", "alert_type", "severity", "description", "related_transactions",
    }  # fmt: skip


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    host = EmbeddedBroker()
    yield host.start()
    host.close()


def test_one_decision_for_each_transaction(servers: str) -> None:
    heard: list[tuple[str, Any]] = []
    bridge = DetectorBridge(servers)
    bridge.start()
    reader = TopicReader(
        servers, (DECISIONS, ALERTS), lambda name, value: heard.append((name, orjson.loads(value)))
    )
    reader.start()
    sender = Publisher(servers, lambda delivery: None)
    sender.start()
    bad = [
        b"{",
        b"[]",
        b"3",
        b'{"data": 3}',
        b"{}",
        b'{"transaction_id": "x", "amount": "x"}',
        b'{"transaction_id": "x", "timestamp": "yesterday"}',
        b'{"transaction_id": "x", "amount": -1}',
    ]
    for number in range(100):
        sender.publish(TRANSACTIONS, str(number), orjson.dumps({**FLAT, "transaction_id": f"t-{number}"}))
    for number, value in enumerate(bad):
        sender.publish(TRANSACTIONS, f"bad{number}", value)
    with gevent.Timeout(10):
        while bridge.counts.decided < 100 or bridge.counts.received < 100 + len(bad):
            gevent.sleep(0.01)
        while sum(name == DECISIONS for name, _ in heard) < 100:
            gevent.sleep(0.01)
    for part in (sender, reader, bridge):
        part.close()
    decided = [event["transaction_id"] for name, event in heard if name == DECISIONS]
    assert sorted(decided) == sorted(f"t-{number}" for number in range(100))
    assert bridge.counts.lost == 0
    assert bridge.counts.refused == len(bad)


def test_a_detector_that_was_asked_to_decide_there_needs_a_broker() -> None:
    with pytest.raises(BanksimError, match="--kafka-servers: no broker answers"):
        open_kafka_side(f"127.0.0.1:{free_port()}", lambda line: None)
