"""The detector's client: a golden request, and every way an answer may look."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import orjson
import pytest

from banksim.model import AccountRef, Decision, Kind, Truth
from banksim.targets import AccountDirectory, BastionClient, HttpTransport, Reply
from banksim.targets.bastion import DECISION_WORDS, score_body
from tests.unit.targets.odd_servers import odd_server
from tests.unit.targets.people import SHOP, Notebook, ScriptedTransport, transaction


def known() -> AccountDirectory:
    directory = AccountDirectory(seed=5)
    directory.add(0, "cust-0", ["acc-0"])
    directory.add(1, "cust-1", ["acc-1"])
    return directory


def answer(data: Any, status: int = 200, error: str = "") -> Any:
    to, notebook = ScriptedTransport(Reply(status, data, 4.0, error)), Notebook()
    reply = BastionClient(to, known(), observer=notebook).score(transaction())
    assert to.repeatable == [True]
    assert len(notebook.calls) == 1
    assert (notebook.calls[0].error is None) == (reply.error == "")
    return reply


def test_golden_body_of_a_purchase() -> None:
    assert score_body(transaction(merchant=SHOP), known()) == {
        "transaction_id": "tx-1",
        "cif_id": "cust-0",
        "amount": 12.5,
        "currency": "USD",
        "merchant_id": "m-1",
        "merchant_category": "grocery",
        "channel": "pos",
        "country": "US",
        "timestamp": 1_767_571_200.25,
        "metadata": {
            "transaction_type": "purchase",
            "description": "Groceries",
            "account_id": "acc-0",
            "counterparty_account_id": "",
            "device_id": "device-1",
            "latitude": 42.36,
            "longitude": -71.06,
            "city": "Boston",
            "merchant": "Corner Grocery",
            "merchant_category_code": "5411",
        },
    }


def test_golden_body_of_a_transfer_without_a_bank() -> None:
    body = score_body(transaction(Kind.TRANSFER, currency="JPY"), AccountDirectory(seed=5))
    metadata = body["metadata"]
    assert (body["amount"], body["merchant_id"], body["merchant_category"]) == (1250.0, "", "")
    ids = [body["cif_id"], metadata["account_id"], metadata["counterparty_account_id"]]
    assert len(set(ids)) == 3
    assert all(len(text) == 36 and text.count("-") == 4 for text in ids)
    again = score_body(transaction(Kind.TRANSFER), AccountDirectory(seed=5))
    assert again["cif_id"] == body["cif_id"], "the same customer keeps the same name"
    other_seed = score_body(transaction(Kind.TRANSFER), AccountDirectory(seed=6))
    assert other_seed["cif_id"] != body["cif_id"]


def test_body_is_json_numbers_and_text_only() -> None:
    body = orjson.loads(orjson.dumps(score_body(transaction(), known())))
    assert isinstance(body["amount"], float)
    assert isinstance(body["timestamp"], float)


def test_no_word_of_the_truth_is_a_field_of_the_body() -> None:
    body = score_body(transaction(Kind.TRANSFER, merchant=SHOP), known())
    fields = {*body, *body["metadata"]}
    assert fields.isdisjoint({field.name for field in dataclasses.fields(Truth)})
    assert not [name for name in fields if "fraud" in name or "label" in name or "persona" in name]


@pytest.mark.parametrize(
    ("words", "decision"),
    [
        ("APPROVE approve Approved ALLOW Accept ACCEPTED pass OK", Decision.APPROVE),
        ("REVIEW review CHALLENGE Flag FLAGGED hold step_up MANUAL_REVIEW", Decision.REVIEW),
        ("BLOCK block DECLINE decline Declined DENY denied REJECT rejected", Decision.BLOCK),
    ],
)
def test_decision_words(words: str, decision: Decision) -> None:
    for word in words.split():
        assert answer({"risk_score": 0.5, "action": word}).decision is decision
        assert answer({"score": 0.5, "decision": f" {word} "}).decision is decision


def test_every_decision_word_is_upper_case_and_means_something() -> None:
    assert set(DECISION_WORDS.values()) == {Decision.APPROVE, Decision.REVIEW, Decision.BLOCK}
    assert all(word == word.upper() for word in DECISION_WORDS)


SCORES = [
    # answer → score, decision, error
    ({"risk_score": 0.93, "action": "BLOCK"}, 0.93, Decision.BLOCK, ""),
    ({"fraud_score": 0, "decision": "approve"}, 0.0, Decision.APPROVE, ""),
    ({"score": 1}, 1.0, Decision.APPROVE, ""),  # a missing action means approve
    ({"risk_score": 0.2, "score": 0.9}, 0.2, Decision.APPROVE, ""),  # the contract's own field first
    ({"risk_score": None, "score": 0.9, "action": None, "decision": "DENY"}, 0.9, Decision.BLOCK, ""),
    ({"risk_score": 85, "action": "REVIEW"}, None, Decision.REVIEW, "score 85 is outside 0..1"),
    ({"risk_score": 1.0001, "action": "BLOCK"}, None, Decision.BLOCK, "score 1.0001 is outside 0..1"),
    ({"risk_score": -0.1}, None, Decision.NONE, "score -0.1 is outside 0..1; the answer has no decision"),
    ({"risk_score": float("nan"), "action": "BLOCK"}, None, Decision.BLOCK, "score nan is outside 0..1"),
    ({"risk_score": "0.9", "action": "BLOCK"}, None, Decision.BLOCK, "score '0.9' is not a number"),
    ({"risk_score": True, "action": "BLOCK"}, None, Decision.BLOCK, "score 'True' is not a number"),
    ({"action": "BLOCK"}, None, Decision.BLOCK, "the answer has no score"),
    ({"risk_score": 0.4, "action": "MAYBE"}, 0.4, Decision.NONE, "decision 'MAYBE' is not known"),
    ({"risk_score": 0.4, "action": 3}, 0.4, Decision.NONE, "decision '3' is not known"),
    ({}, None, Decision.NONE, "the answer has no score; the answer has no decision"),
    (None, None, Decision.NONE, "the answer is not a JSON object"),
    ([{"risk_score": 0.4}], None, Decision.NONE, "the answer is not a JSON object"),
]


@pytest.mark.parametrize(("data", "score", "decision", "error"), SCORES, ids=str)
def test_answers(data: Any, score: float | None, decision: Decision, error: str) -> None:
    reply = answer(data)
    assert (reply.score, reply.decision, reply.error) == (score, decision, error)
    assert reply.latency_ms == 4.0


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({"reasons": ["velocity", "amount"]}, ("velocity", "amount")),
        ({"rule_hits": ["velocity"], "reason": "Risk score: 0.9"}, ("velocity",)),
        ({"reasons": [], "risk_factors": [{"name": "new_device", "weight": 1}]}, ("new_device",)),
        ({"reason": "Risk score: 0.930"}, ("Risk score: 0.930",)),
        ({"reasons": [], "reason": "Risk score: 0.022"}, ()),  # nothing hit: the sentence is no reason
        ({"reasons": "velocity"}, ("velocity",)),
        ({"reasons": [7, None]}, ("7", "None")),
        ({"reasons": {"a": 1}}, ()),
        ({}, ()),
    ],
)
def test_reasons(fields: dict[str, Any], reasons: tuple[str, ...]) -> None:
    assert answer({"risk_score": 0.5, **fields}).reasons == reasons


def test_reasons_are_bounded() -> None:
    reasons = answer({"risk_score": 0.5, "reasons": ["x" * 1000] * 1000}).reasons
    assert (len(reasons), len(reasons[0])) == (20, 120)


@pytest.mark.parametrize(
    ("status", "data", "error", "text"),
    [
        (500, "Internal Server Error", "", "HTTP 500: Internal Server Error"),
        (404, {"detail": "Not Found"}, "", "HTTP 404: Not Found"),
        (0, None, "connection refused", "connection refused"),
        (200, "<html>", "the answer is not JSON", "HTTP 200: the answer is not JSON"),
        (204, None, "", "HTTP 204"),
    ],
)
def test_no_usable_answer(status: int, data: Any, error: str, text: str) -> None:
    reply = answer(data, status, error)
    assert (reply.score, reply.decision, reply.error) == (None, Decision.NONE, text)


def test_created_is_as_good_as_ok() -> None:
    assert answer({"risk_score": 0.1, "action": "APPROVE"}, 201).score == 0.1


def test_over_http() -> None:
    with odd_server(lambda c: c.serve(b'{"risk_score":0.7,"action":"DECLINE"}')) as seen:
        notebook = Notebook()
        to = HttpTransport(seen.url, rng=random.Random(1))
        client = BastionClient(to, known(), observer=notebook)
        reply = client.score(transaction())
        health = client.health()
        client.close()
    assert (reply.score, reply.decision) == (0.7, Decision.BLOCK)
    assert health.ok
    assert orjson.loads(seen.bodies()[0]) == score_body(transaction(), known())
    (call,) = notebook.calls
    assert (call.system, call.name, call.status, call.error) == ("bastion", "/score", 200, None)
    assert call.request_bytes == len(seen.requests[0])
    assert call.response_bytes > 30
    assert AccountRef(0) == transaction().account
