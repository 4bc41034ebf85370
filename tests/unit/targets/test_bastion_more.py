"""The detector's client beyond single scores: batches by whichever route, alerts, figures, feedback."""

from __future__ import annotations

from typing import Any

import pytest

from banksim.model import Decision
from banksim.sandbox import DetectorApi
from banksim.targets import AccountDirectory, BastionClient, InProcessTransport, Reply
from tests.unit.targets.people import Notebook, ScriptedTransport, transaction

THREE = [transaction(transaction_id=f"tx-{number}") for number in range(3)]
MISSING = Reply(404, {"detail": "Not Found"}, 1.0)


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {"transaction_id": f"tx-{number}", "risk_score": number / 10, "action": "APPROVE", **changes}


def client(*script: Reply, **options: Any) -> tuple[BastionClient, ScriptedTransport, Notebook]:
    to, notebook = ScriptedTransport(*script), Notebook()
    return BastionClient(to, AccountDirectory(), observer=notebook, **options), to, notebook


def test_a_batch_at_the_stand_in_answers_as_single_scores_do() -> None:
    batch = BastionClient(InProcessTransport(DetectorApi()), AccountDirectory()).score_batch(THREE)
    alone = BastionClient(InProcessTransport(DetectorApi()), AccountDirectory())
    assert [reply.score for reply in batch] == [alone.score(tx).score for tx in THREE]
    assert all(reply.error == "" for reply in batch)


@pytest.mark.parametrize(
    "data",
    [
        [row(0), row(1), row(2)],
        [row(2), row(0), row(1)],  # in any order, as long as there are ids
        {"results": [row(0), row(1), row(2)]},
        [{"score": number / 10, "decision": "allow"} for number in range(3)],  # without ids: by place
    ],
)
def test_forms_of_a_batchs_answer(data: Any) -> None:
    bastion, to, notebook = client(Reply(200, data, 7.0))
    assert [reply.score for reply in bastion.score_batch(THREE)] == [0.0, 0.1, 0.2]
    assert [path for _, path, _ in to.asked] == ["/score/batch"]
    assert to.repeatable == [True]
    assert [(call.name, call.error) for call in notebook.calls] == [("/score/batch", None)]


def test_the_route_is_found_once() -> None:
    answer = Reply(200, [row(0), row(1), row(2)], 1.0)
    bastion, to, _ = client(MISSING, answer)
    bastion.score_batch(THREE)
    bastion.score_batch(THREE)
    assert [path for _, path, _ in to.asked] == ["/score/batch", "/bulk_score", "/bulk_score"]


def test_without_a_route_each_is_asked_for_by_itself() -> None:
    bastion, to, notebook = client(MISSING, MISSING, Reply(200, {"score": 0.1, "decision": "allow"}, 1.0))
    assert [reply.score for reply in bastion.score_batch(THREE)] == [0.1, 0.1, 0.1]
    assert [path for _, path, _ in to.asked] == ["/score/batch", "/bulk_score", *["/score"] * 3]
    assert len(notebook.calls) == 3, "looking for a route is no load"


@pytest.mark.parametrize(
    ("reply", "errors"),
    [
        (Reply(500, None, 1.0), ["HTTP 500"] * 3),
        (Reply(200, "text", 1.0), ["the answer is not a list of scores"] * 3),
        (Reply(200, [row(0), row(2)], 1.0), ["", "the batch's answer lacks this transaction", ""]),
        (Reply(200, [{"score": 0.5}], 1.0), ["1 answers without ids to 3 transactions"] * 3),
        (Reply(200, [row(0), row(1, risk_score=85), row(2)], 1.0), ["", "score 85 is outside 0..1", ""]),
        (Reply(200, [row(0), 3, row(2)], 1.0), ["", "the answer is not a JSON object", ""]),
    ],
)
def test_a_batch_that_cannot_be_read(reply: Reply, errors: list[str]) -> None:
    bastion, _, notebook = client(reply)
    scores = bastion.score_batch(THREE)
    assert [score.error for score in scores] == errors
    assert [score.score is None for score in scores] == [bool(error) for error in errors]
    assert notebook.calls[0].error is not None


def test_an_empty_batch_asks_nothing() -> None:
    bastion, to, _ = client(MISSING)
    assert bastion.score_batch([]) == []
    assert to.asked == []


def test_alerts_and_figures_of_the_stand_in() -> None:
    bastion = BastionClient(InProcessTransport(DetectorApi()), AccountDirectory())
    bastion.score_batch(THREE)
    stats = bastion.stats()
    assert stats is not None
    assert stats["transactions_processed"] == 3
    assert len(bastion.alerts()) == 3 - stats["decisions"]["APPROVE"]


@pytest.mark.parametrize("data", [{"alerts": [{"id": "a"}, 3]}, [{"id": "a"}]])
def test_forms_of_alerts(data: Any) -> None:
    assert client(Reply(200, data, 1.0))[0].alerts() == [{"id": "a"}]


def test_a_detector_without_the_routes_has_nothing_to_tell() -> None:
    bastion, _, notebook = client(MISSING)
    assert (bastion.alerts(), bastion.stats()) == ([], None)
    assert notebook.calls == []


def test_feedback_is_off_unless_asked_for_and_ends_where_nobody_takes_it() -> None:
    bastion, to, _ = client(Reply(200, {}, 1.0))
    assert bastion.feedback("tx-1", True) is False
    assert to.asked == []
    bastion, to, _ = client(Reply(200, {}, 1.0), MISSING, feedback=True)
    assert bastion.feedback("tx-1", True, "called the customer") is True
    assert to.asked[0][2] == {
        "transaction_id": "tx-1",
        "actual_fraud": True,
        "analyst_decision": "CONFIRMED_FRAUD",
        "confidence": 1.0,
        "notes": "called the customer",
    }
    assert bastion.feedback("tx-2", False) is False
    assert bastion.feedback("tx-3", False) is False
    assert len(to.asked) == 2


def test_a_score_still_is_what_it_was() -> None:
    bastion, _, _ = client(Reply(200, {**row(3), "transaction_id": THREE[0].transaction_id}, 1.0))
    reply = bastion.score(THREE[0])
    assert (reply.score, reply.decision) == (0.3, Decision.APPROVE)
