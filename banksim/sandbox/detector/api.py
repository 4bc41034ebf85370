"""The stand-in fraud detector over HTTP, without the network: requests in, answers out.

What: a score of 0..1 with named reasons from streaming features and weighted rules, in the union of
the reply fields that clients of such detectors read.  It scores without labels and learns from none.

Repeating a request returns the first score and counts nothing twice, so a client may retry after a
timeout.  Bounded: scored ids, alerts, and all memory of the features.

Feedback is counted, so that `/stats` can report how much of the reported fraud was flagged; the rules
stay as they are.

Not handled: cases, explanations, changing rules over HTTP (404); sign-in.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Annotated, Any

from pydantic import BaseModel, Field

from banksim.sandbox.detector.model import BLOCK_FROM, MODEL_VERSION, REVIEW_FROM, RULES, FraudModel, Score
from banksim.sandbox.http import Query, Refusal, Reply, read

MAX_ALERTS = 1_000
MAX_BATCH = 1_000


class Batch(BaseModel):
    """The body of ``POST /score/batch``; each entry is checked by itself."""

    transactions: Annotated[list[Any], Field(max_length=MAX_BATCH)]


class Feedback(BaseModel):
    transaction_id: str
    actual_fraud: bool


class AlertsPage(BaseModel):
    skip: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_ALERTS)] = 100


class DetectorApi:
    """``handle(method, path, query, body) -> (status, JSON-able)``."""

    def __init__(self, model: FraudModel | None = None) -> None:
        self.model = FraudModel() if model is None else model
        self._lock = Lock()
        self._started_s = time.monotonic()
        self._decisions = {"APPROVE": 0, "REVIEW": 0, "BLOCK": 0}
        self._spent_ms = 0.0
        #: labels received: fraud that was flagged, fraud that passed, false positives, forgotten transactions
        self._feedback = dict.fromkeys(("caught", "missed", "false_positives", "forgotten"), 0)
        self._alerts: deque[dict[str, object]] = deque(maxlen=MAX_ALERTS)
        self._routes: dict[str, dict[str, Callable[[Query, Any], Reply]]] = {
            "/health": {"GET": self._health},
            "/score": {"POST": self._score},
            "/score/batch": {"POST": self._batch},
            "/stats": {"GET": self._stats},
            "/alerts": {"GET": self._list_alerts},
            "/rules": {"GET": self._rules},
            "/feedback": {"POST": self._take_feedback},
        }

    def handle(self, method: str, path: str, query: Query, body: Any = None) -> Reply:
        """Answer one request; ``body`` is the parsed JSON, None when there was none."""
        route = self._routes.get(path)
        if route is None:
            return 404, {"detail": "Not Found"}
        if method not in route:
            return 405, {"detail": "Method Not Allowed"}
        with self._lock:
            try:
                return route[method](query, body)
            except Refusal as refusal:
                return refusal.reply

    def _score(self, _query: Query, body: Any) -> Reply:
        return 200, self._score_one(body)

    def _batch(self, _query: Query, body: Any) -> Reply:
        return 200, [self._score_one(entry) for entry in read(Batch, body).transactions]

    def _score_one(self, body: Any) -> dict[str, object]:
        started_s = time.perf_counter()
        repeated = self.model.repeated
        score = self.model.score(body)
        spent_ms = (time.perf_counter() - started_s) * 1000
        if self.model.repeated == repeated:
            self._count(score, spent_ms)
        return {
            "transaction_id": score.transaction_id,
            "risk_score": score.risk_score,
            "action": score.action,
            "reasons": list(score.reasons),
            "reason": f"Risk score: {score.risk_score:.3f}",
            "rule_hits": list(score.reasons),
            "model_scores": score.model_scores,
            "features": score.features.as_json(),
            "processing_time_ms": round(spent_ms, 3),
            "model_version": MODEL_VERSION,
            "timestamp": datetime.now(UTC).isoformat(),
        }

    def _count(self, score: Score, spent_ms: float) -> None:
        self._decisions[score.action] += 1
        self._spent_ms += spent_ms
        if score.action != "APPROVE":
            self._alerts.append(
                {
                    "transaction_id": score.transaction_id,
                    "risk_score": score.risk_score,
                    "action": score.action,
                    "reasons": list(score.reasons),
                    "amount": score.features.amount,
                    "event_time": score.event_time_s,
                }
            )

    def _health(self, _query: Query, _body: Any) -> Reply:
        return 200, {"status": "healthy", "service": "fraud_detector", "model_version": MODEL_VERSION}

    def _stats(self, _query: Query, _body: Any) -> Reply:
        processed = sum(self._decisions.values())
        flagged = processed - self._decisions["APPROVE"]
        reported = self._feedback["caught"] + self._feedback["missed"]
        return 200, {
            "transactions_processed": processed,
            "repeated_requests": self.model.repeated,
            "restarts": self.model.restarts,
            "average_processing_time_ms": round(self._spent_ms / processed, 4) if processed else None,
            "rules_active": len(RULES),
            "model_version": MODEL_VERSION,
            "uptime_seconds": round(time.monotonic() - self._started_s, 3),
            "decisions": dict(self._decisions),
            "alert_rate": flagged / processed if processed else None,
            "feedback": dict(self._feedback),
            # Known only from feedback, which reports genuine transactions only when they were flagged.
            "fraud_detection_rate": self._feedback["caught"] / reported if reported else None,
            "false_positive_rate": None,
            "memory": self.model.memory.sizes(),
        }

    def _take_feedback(self, _query: Query, body: Any) -> Reply:
        given = read(Feedback, body)
        score = self.model.remembered(given.transaction_id)
        if score is None:
            self._feedback["forgotten"] += 1
        elif not given.actual_fraud:
            self._feedback["false_positives"] += score.action != "APPROVE"
        else:
            self._feedback["missed" if score.action == "APPROVE" else "caught"] += 1
        return 200, {"status": "ok", "transaction_id": given.transaction_id}

    def _list_alerts(self, query: Query, _body: Any) -> Reply:
        page = read(AlertsPage, query, "query")
        newest_first = list(reversed(self._alerts))
        shown = newest_first[page.skip : page.skip + page.limit]
        return 200, {"alerts": shown, "total": len(newest_first)}

    def _rules(self, _query: Query, _body: Any) -> Reply:
        rules = [
            {
                "name": rule.name,
                "priority": number,
                "action": "score",
                "reason": rule.text,
                "enabled": True,
                "score_adjustment": rule.weight,
                "conditions": [],
            }
            for number, rule in enumerate(RULES, start=1)
        ]
        return 200, {"rules": rules, "thresholds": {"review": REVIEW_FROM, "block": BLOCK_FROM}}
