"""Decisions and alerts as detectors of this family write them, and what is no decision at all."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from banksim.model import Decision
from banksim.targets.kafka_events import MAX_EVENT_BYTES, read_alert, read_decision


def test_the_original_descriptions_event() -> None:
    event = {
        "event_type": "fraud_decision",
        "timestamp": "2026-02-20T14:30:01Z",
        "transaction_id": "txn_abc123",
        "fraud_score": 0.23,
        "decision": "approve",
        "risk_factors": [{"factor": "velocity_check", "score": 0.1, "description": "Normal"}],
        "model_version": "v2.1.0",
        "processing_time_ms": 45,
    }
    found = read_decision(orjson.dumps(event))
    assert found is not None
    transaction_id, reply = found
    assert (transaction_id, reply.score, reply.decision, reply.error) == (
        "txn_abc123", 0.23, Decision.APPROVE, "",
    )  # fmt: skip


@pytest.mark.parametrize(("word", "decision"), [("BLOCK", Decision.BLOCK), ("REVIEW", Decision.REVIEW)])
def test_an_envelope(word: str, decision: Decision) -> None:
    data = {"transaction_id": "t", "score": 0.9, "decision": word, "risk_level": "HIGH", "reasons": ["r"]}
    found = read_decision(orjson.dumps({"event_id": "e", "event_type": "fraud.decision", "data": data}))
    assert found is not None
    assert (found[0], found[1].score, found[1].decision, found[1].reasons) == ("t", 0.9, decision, ("r",))


def test_a_score_out_of_range_is_told_as_over_http() -> None:
    found = read_decision(b'{"transaction_id":"t","fraud_score":85,"decision":"block"}')
    assert found is not None
    assert found[1].score is None and "outside 0..1" in found[1].error


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"{}",
        b'{"transaction_id":7}',
        b'{"transaction_id":""}',
        b'{"data":{}}',
        b"\xff",
    ],
)
def test_what_is_no_decision(value: bytes) -> None:
    assert read_decision(value) is None


def test_a_huge_message_is_not_even_parsed() -> None:
    event: dict[str, Any] = {"transaction_id": "t", "decision": "block", "x": "y" * MAX_EVENT_BYTES}
    assert read_decision(orjson.dumps(event)) is None


def test_alerts_name_their_transactions() -> None:
    assert read_alert(b'{"data":{"related_transactions":["a","b",3]}}') == ("a", "b")
    assert read_alert(b'{"transaction_id":"a"}') == ("a",)
    assert read_alert(b'{"alert_id":"x"}') == ()
    assert read_alert(b"nonsense") is None
