"""Client of the fraud detector: asks for scores.

A score moves no money, so one whose connection was lost may be asked again; at worst the
detector's velocity features count that transaction twice.  What the client is handed is a
`Transaction`, never a `Planned`: the detector learns nothing that a real one would not.

Bastion's score request and answer: pure functions between our words and the detector's.

The request is built from a `Transaction` alone.  The ground truth is of another type and
never comes near this module, so no field can carry it.

Detectors of this family differ in how they name things, so an answer is read leniently
where the meaning is plain (`action` or `decision`, DECLINE or BLOCK, any case) and not at
all where it is not: a score of 85 may be 0.85 or a fault, so it counts as no score.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import gevent
from gevent.event import AsyncResult
from gevent.pool import Pool

from banksim.model import NOT_SCORED, Decision, ScoreReply, Transaction
from banksim.model.money import to_units
from banksim.targets.adapters import Completions, DetectorAdapter, Late, Names
from banksim.targets.auth import NO_LOGIN, Login, SignedIn
from banksim.targets.calls import (
    HEALTH,
    Begun,
    Health,
    Observer,
    Reply,
    Request,
    Transport,
    as_health,
    call_of,
    failure_text,
    ignore_call,
)
from banksim.targets.nexum import AccountDirectory

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


# -- Collects transactions that ask for a score into batches ----------------------------------------
#
# A batch goes out when it is full, or when its first transaction has waited long enough.  It
# is asked for in a greenlet of its own, so that stopping one user does not lose the
# answers of the others.


Waiting = list[tuple[Transaction, AsyncResult]]


class ScoreBatches:
    """``ask`` answers each transaction of a batch, in order."""

    def __init__(
        self, ask: Callable[[Sequence[Transaction]], list[ScoreReply]], size: int, wait_s: float
    ) -> None:
        self._ask = ask
        self._size = size
        self._wait_s = wait_s
        self._waiting: Waiting = []

    def score(self, tx: Transaction) -> ScoreReply:
        """Wait for the batch, and for its answer."""
        answer = AsyncResult()
        batch = self._waiting
        batch.append((tx, answer))
        if len(batch) >= self._size:
            self._send(batch)
        elif len(batch) == 1:
            gevent.spawn_later(self._wait_s, self._send, batch)
        reply: ScoreReply = answer.get()
        return reply

    def _send(self, batch: Waiting) -> None:
        if batch is self._waiting:  # else it was full before its time was over
            self._waiting = []
            gevent.spawn(self._ask_for, batch)

    def _ask_for(self, batch: Waiting) -> None:
        replies: list[ScoreReply] = []
        try:
            replies = self._ask([tx for tx, _ in batch])
        finally:  # no caller waits for ever, whatever happened
            lost = ScoreReply(None, Decision.NONE, (), 0.0, "the batch was given up")
            replies += [lost] * (len(batch) - len(replies))
            for (_, answer), reply in zip(batch, replies, strict=True):
                answer.set(reply)


_log = logging.getLogger(__name__)
NO_REPLY = Reply(0, None, 0.0, "the adapter asks nothing", sent=False)

NAME = "Bastion"
SCORE_PATH = "/score"
#: Tried in this order, once: the first that is there is used from then on.
BATCH_PATHS = ("/score/batch", "/bulk_score")
#: Calls at once for a batch that the detector has no route for.
ALONE_AT_ONCE = 32
FEEDBACK_PATH = "/feedback"


class BastionClient(SignedIn):
    """One detector.  ``directory`` gives customers and accounts their names on the wire."""

    what = "detector"

    def __init__(
        self,
        transport: Transport,
        directory: AccountDirectory,
        *,
        observer: Observer = ignore_call,
        feedback: bool = False,
        batch_size: int = 1,
        batch_wait_s: float = 0.0,
        login: Login | None = None,
        adapter: DetectorAdapter | None = None,
    ) -> None:
        """``feedback`` allows reporting to the detector what was fraud; see `feedback`.

        With a ``batch_size`` above 1 `score` waits up to ``batch_wait_s`` for others to be asked along.
        """
        super().__init__(transport, login or NO_LOGIN)
        self.adapter: DetectorAdapter = adapter or BastionAdapter()
        self.completions: Completions | None = None
        self._directory = directory
        self._observer = observer
        self._feedback = feedback and self.adapter.is_bastion
        self._batch_paths: tuple[str, ...] = BATCH_PATHS
        self._refusal_logged = False
        batched = batch_size > 1 and self.adapter.is_bastion
        self._batches = ScoreBatches(self.score_batch, batch_size, batch_wait_s) if batched else None

    def score(self, tx: Transaction, begun: Begun | None = None) -> ScoreReply:
        """Ask for one score.  Never raises for what the detector does: ``error`` says it.

        ``begun`` is the call's first attempt when that was made elsewhere.
        """
        if self._batches is not None and self._batch_paths:
            return self._batches.score(tx)
        return self._score_alone(tx, begun)

    @property
    def batches(self) -> bool:
        """Whether scores are asked for many at a time."""
        return self._batches is not None and bool(self._batch_paths)

    def _score_alone(self, tx: Transaction, begun: Begun | None = None) -> ScoreReply:
        adapter, score, reply = self.adapter, NOT_SCORED, NO_REPLY
        requests = adapter.score(tx, self._directory)
        for number, request in enumerate(requests, 1):
            reply = self.send(request if begun is None else request._replace(begun=begun))
            awaited = adapter.awaits(reply, tx.transaction_id) if self.completions is not None else ""
            last = number == len(requests)
            score = adapter.read(reply) if last and not awaited else NOT_SCORED
            if (
                adapter.is_bastion
                and is_usable(score)
                and other_transaction(reply.data, tx.transaction_id.encode())
            ):
                problem = "the answer is for another transaction"
                score = ScoreReply(None, Decision.NONE, (), reply.latency_ms, problem)
            failed = not awaited and not (is_usable(score) if last else 200 <= reply.status < 300)
            self.report(request, reply, (score.error or failure_text(reply)) if failed else None)
            if failed and not last:
                return ScoreReply(None, Decision.NONE, (), reply.latency_ms, failure_text(reply), reply.limit)
            if awaited and last and self.completions is not None:
                found, reply = self.completions.wait(awaited, reply, adapter.read_late)
                score = found or ScoreReply(None, Decision.NONE, (), 0.0, reply.error)
                score = replace(score, latency_ms=reply.latency_ms)
        return score

    def score_batch(self, transactions: Sequence[Transaction]) -> list[ScoreReply]:
        """Ask for many scores in one call; one answer for each, in order.

        Detectors name the route differently, or have none: the first call finds out, and without
        a route each transaction is asked for by itself.
        """
        bodies = {"transactions": [score_body(tx, self._directory) for tx in transactions]}
        ids = [tx.transaction_id for tx in transactions]
        while transactions and self._batch_paths:
            path = self._batch_paths[0]
            request = Request("POST", path, path, bodies, repeatable=True)
            reply = self.transport.send(request)
            if reply.status in (404, 405):
                self._batch_paths = tuple(other for other in self._batch_paths if other != path)
                continue
            scores = read_batch(reply, ids)
            self.report(request, reply, next((s.error for s in scores if not is_usable(s)), None))
            return scores
        return Pool(ALONE_AT_ONCE).map(self._score_alone, transactions)  # type: ignore[no-any-return]

    # What else a detector offers.  None of it is load, so the observer is not notified.

    def alerts(self, limit: int = 100) -> list[Mapping[str, Any]]:
        """The detector's newest alerts; none where it has no such route or does not answer."""
        if not self.adapter.is_bastion:
            return []
        reply = self.transport.send(Request("GET", "/alerts", "/alerts", query={"limit": str(limit)}))
        return read_alerts(reply.data)[:limit] if reply.status == 200 else []

    def stats(self) -> Mapping[str, Any] | None:
        """The detector's own figures, None where it has no such route or does not answer."""
        if not self.adapter.is_bastion:
            return None
        reply = self.transport.send(Request("GET", "/stats", "/stats"))
        return reply.data if reply.status == 200 and isinstance(reply.data, Mapping) else None

    def feedback(self, transaction_id: str, is_fraud: bool, notes: str = "") -> bool:
        """Report to the detector what a transaction turned out to be; returns whether it accepted that.

        This hands ground truth to the system under test, so it is off unless asked for.
        """
        if not self._feedback:
            return False
        body = {
            "transaction_id": transaction_id,
            "actual_fraud": is_fraud,
            "analyst_decision": "CONFIRMED_FRAUD" if is_fraud else "FALSE_POSITIVE",
            "confidence": 1.0,
            "notes": notes,
        }
        reply = self.transport.send(Request("POST", FEEDBACK_PATH, FEEDBACK_PATH, body))
        if reply.status == 404:
            self._feedback = False  # it takes no feedback
        return reply.status in (200, 201, 202, 204)

    def health(self) -> Health:
        """One health check.  The observer is not notified: it is no part of the load."""
        return as_health(NAME, self.transport.send(self.adapter.health()))

    def close(self) -> None:
        super().close()
        if self.completions is not None:
            self.completions.close()

    def report(self, request: Request, reply: Reply, error: str | None) -> None:
        if reply.status in (401, 403) and not self._refusal_logged:
            self._refusal_logged = True
            _log.error(
                "The detector at %s does not take our credentials (HTTP %d): nothing is scored. Give a token "
                "that it takes in the environment (BASTION_TOKEN), or start it without authentication.",
                self.address,
                reply.status,
            )
        if reply.limit is None:  # else there was no call
            self._observer(call_of("bastion", request, reply, error))


class BastionAdapter:
    """Bastion's contract, as `bastion_wire` knows it."""

    name = NAME
    late: Late | None = None
    is_bastion = True

    def health(self) -> Request:
        return HEALTH

    def score(self, tx: Transaction, names: Names) -> Sequence[Request]:
        return (Request("POST", SCORE_PATH, SCORE_PATH, score_body(tx, names), repeatable=True),)

    def read(self, reply: Reply) -> ScoreReply:
        return read_score(reply)

    def awaits(self, reply: Reply, transaction_id: str) -> str:  # noqa: ARG002  it is never late
        return ""

    def read_late(self, reply: Reply) -> ScoreReply | None:  # noqa: ARG002
        return None
