"""Bastion's score request and answer: pure functions between our words and the detector's.

The request is built from a `Transaction` alone.  The ground truth is of another type and
never comes near this module, so no field can carry it.

Detectors of this family differ in how they name things, so an answer is read leniently
where the meaning is plain (`action` or `decision`, DECLINE or BLOCK, any case) and not at
all where it is not: a score of 85 may be 0.85 or a fault, so it counts as no score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from banksim.model import Decision, ScoreReply, Transaction
from banksim.model.money import to_units
from banksim.targets.adapters import Names
from banksim.targets.calls import Reply, failure_text

SCORE_FIELDS = ("risk_score", "fraud_score", "score")
DECISION_FIELDS = ("action", "decision")
BATCH_FIELDS = ("results", "scores", "transactions")
REASON_LISTS = ("reasons", "rule_hits", "risk_factors")
MAX_REASONS = 20
MAX_REASON_CHARS = 120

_WORDS = {
    Decision.APPROVE: "APPROVE APPROVED ALLOW ALLOWED ACCEPT ACCEPTED PASS PASSED OK",
    Decision.REVIEW: "REVIEW MANUAL_REVIEW CHALLENGE FLAG FLAGGED HOLD STEP_UP ALERT",
    Decision.BLOCK: "BLOCK BLOCKED DECLINE DECLINED DENY DENIED REJECT REJECTED REFUSE REFUSED",
}
#: The detector's word → ours.
DECISION_WORDS: dict[str, Decision] = {
    word: decision for decision, words in _WORDS.items() for word in words.split()
}


def score_body(tx: Transaction, directory: Names) -> dict[str, Any]:
    """Body of ``POST /score``: amount in whole units, timestamp in unix seconds of simulated time."""
    merchant = tx.merchant
    counterparty = tx.counterparty
    place = tx.place
    return {
        "transaction_id": tx.transaction_id,
        "cif_id": directory.wire_customer_id(tx.account.customer_index),
        "amount": to_units(tx.amount_cents, tx.currency),
        "currency": tx.currency,
        "merchant_id": merchant.merchant_id if merchant else "",
        "merchant_category": merchant.category if merchant else "",
        "channel": tx.channel._value_,  # what `value` gives, without its two calls
        "country": place.country,
        "timestamp": float(tx.timestamp_s),
        "metadata": {
            "transaction_type": tx.kind._value_,
            "description": tx.description,
            "account_id": directory.wire_account_id(tx.account),
            "counterparty_account_id": directory.wire_account_id(counterparty) if counterparty else "",
            "device_id": tx.device_id,
            "latitude": place.latitude,
            "longitude": place.longitude,
            "city": place.city,
            "merchant": merchant.name if merchant else "",
            "merchant_category_code": merchant.category_code if merchant else "",
        },
    }


def read_score(reply: Reply) -> ScoreReply:
    """The detector's answer in our words; ``error`` says what could not be read."""
    if reply.status not in (200, 201) or reply.error:
        return ScoreReply(None, Decision.NONE, (), reply.latency_ms, failure_text(reply), reply.limit)
    return read_answer(reply.data, reply.latency_ms)


def other_transaction(data: Any, asked: bytes) -> str:
    """The id that an answer names when the request lacks it; empty where all is well, or none is named."""
    named = data.get("transaction_id") if isinstance(data, Mapping) else None
    return named if isinstance(named, str) and named.encode("utf-8", "replace") not in asked else ""


def read_batch(reply: Reply, transaction_ids: Sequence[str]) -> list[ScoreReply]:
    """Answers to a batch, in the order asked: by id where each answer has one, else by place.

    A whole answer that cannot be read, or one that is missing in it, is an answer with an ``error``.
    """
    rows = reply.data
    if isinstance(rows, Mapping):
        rows = next((rows[key] for key in BATCH_FIELDS if isinstance(rows.get(key), list)), rows)
    problem = ""
    if reply.status not in (200, 201) or reply.error:
        problem = failure_text(reply)
    elif not isinstance(rows, list):
        problem = "the answer is not a list of scores"
    if problem:
        lost = ScoreReply(None, Decision.NONE, (), reply.latency_ms, problem, reply.limit)
        return [lost] * len(transaction_ids)
    by_id = {
        row["transaction_id"]: row
        for row in rows
        if isinstance(row, Mapping) and isinstance(row.get("transaction_id"), str)
    }
    named = len(by_id) == len(rows)
    if not named and len(rows) != len(transaction_ids):
        problem = f"{len(rows)} answers without ids to {len(transaction_ids)} transactions"
    found = []
    for place, transaction_id in enumerate(transaction_ids):
        row = by_id.get(transaction_id) if named or problem else rows[place]
        if row is None:
            text = problem or "the batch's answer lacks this transaction"
            found.append(ScoreReply(None, Decision.NONE, (), reply.latency_ms, text))
        else:
            found.append(read_answer(row, reply.latency_ms))
    return found


def read_alerts(data: Any) -> list[Mapping[str, Any]]:
    """The detector's alerts, out of a list or of an object that holds one."""
    rows = data.get("alerts") if isinstance(data, Mapping) else data
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def is_usable(reply: ScoreReply) -> bool:
    """Whether there is both a score and a decision."""
    return reply.score is not None and reply.decision is not Decision.NONE


def read_answer(data: Any, latency_ms: float) -> ScoreReply:
    """The data of a whole, successful answer to one score."""
    if not isinstance(data, dict):
        return ScoreReply(None, Decision.NONE, (), latency_ms, "the answer is not a JSON object")
    score, score_error = _score(_first(data, SCORE_FIELDS))
    decision, decision_error = _decision(_first(data, DECISION_FIELDS), score is not None)
    error = (
        f"{score_error}; {decision_error}"
        if score_error and decision_error
        else score_error or decision_error
    )
    return ScoreReply(score, decision, _reasons(data), latency_ms, error)


def _first(data: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Value of the first of ``names`` that is there and not null."""
    for name in names:
        value = data.get(name)
        if value is not None:
            return value
    return None


def _score(value: Any) -> tuple[float | None, str]:
    if type(value) is float and 0.0 <= value <= 1.0:  # almost always
        return value, ""
    if value is None:
        return None, "the answer has no score"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, f"score {str(value)[:40]!r} is not a number"
    if not math.isfinite(value) or not 0.0 <= value <= 1.0:
        return None, f"score {value:.6g} is outside 0..1"
    return float(value), ""


def _decision(value: Any, scored: bool) -> tuple[Decision, str]:
    """The contract's word for a missing action is approve; without a score either, there is no decision."""
    if value is None:
        return (Decision.APPROVE, "") if scored else (Decision.NONE, "the answer has no decision")
    decision = DECISION_WORDS.get(value) if isinstance(value, str) else None
    if decision is None and isinstance(value, str):
        decision = DECISION_WORDS.get(value.strip().upper())
    if decision is None:
        return Decision.NONE, f"decision {str(value)[:40]!r} is not known"
    return decision, ""


def _reasons(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The first list of reasons that is not empty; a lone sentence only where there is no list at all."""
    listed = False
    for name in REASON_LISTS:
        entries = data.get(name)
        if isinstance(entries, list):
            listed = True
            if entries:
                return tuple(map(_reason, entries[:MAX_REASONS]))
    if listed:
        return ()
    sentence = _first(data, (*REASON_LISTS, "reason"))
    return (sentence[:MAX_REASON_CHARS],) if isinstance(sentence, str) and sentence else ()


def _reason(entry: Any) -> str:
    if isinstance(entry, dict):
        entry = next((entry[key] for key in ("name", "rule", "reason", "code") if key in entry), entry)
    return str(entry)[:MAX_REASON_CHARS]
