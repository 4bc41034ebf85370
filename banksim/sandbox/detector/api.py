"""The stand-in fraud detector: `FraudModel` scores, `DetectorApi` answers requests.

What: a score of 0..1 with named reasons from streaming features and weighted rules, in the union of
the reply fields that clients of such detectors read.  It scores without labels and learns from none.

Sending the same request again answers with the first score and counts nothing twice, so a client may
retry after a timeout.  Kept bounded: scored ids, alerts, and all memory of the features.

Feedback is counted, so that `/stats` can say how much of the fraud it was told about it had flagged;
its rules stay as they are.

Not handled: cases, explanations, changing rules over HTTP (404); sign-in.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from banksim.sandbox.bank.values import Fields, Refusal, Reply, query_integer
from banksim.sandbox.detector.features import (
    FeatureReader,
    Features,
    ScoreRequest,
    read_batch,
    read_score_request,
)
from banksim.sandbox.detector.learning import learn
from banksim.sandbox.detector.memory import Memory
from banksim.sandbox.detector.rules import BLOCK_FROM, REVIEW_FROM, RULES, judge

MODEL_VERSION = "banksim-rules-1"
MAX_REMEMBERED_SCORES = 10_000
MAX_ALERTS = 1_000
MAX_BATCH = 1_000
ALERTS_PAGE = 100
#: Simulated seconds behind the newest; at high speeds single late arrivals are ordinary.
LATE_S = 3_600.0
RESTART_AFTER = 20


@dataclass(frozen=True, slots=True)
class Score:
    """``risk_score`` 0..1 (4 decimals), ``action`` APPROVE, REVIEW or BLOCK, ``reasons`` strongest first."""

    transaction_id: str
    risk_score: float
    action: str
    reasons: tuple[str, ...]
    model_scores: dict[str, float]
    features: Features
    event_time_s: float


class FraudModel:
    """Scores one transaction at a time, in the order they come.

    A new run starts its simulated time over, and the same seed repeats ids of shops and devices.  So
    when `RESTART_AFTER` requests in a row lie more than `LATE_S` in the past, all memory is dropped.
    """

    def __init__(self, memory: Memory | None = None, max_remembered: int = MAX_REMEMBERED_SCORES) -> None:
        self._reader = FeatureReader(Memory() if memory is None else memory)
        self._remembered: OrderedDict[str, tuple[ScoreRequest, Score]] = OrderedDict()
        self._max_remembered = max_remembered
        self._late_in_a_row = 0
        self.repeated = 0
        self.restarts = 0

    @property
    def memory(self) -> Memory:
        return self._reader.memory

    def score(self, body: Any) -> Score:
        """Score one request body.  Raises Refusal(422) when it is malformed."""
        request = read_score_request(body)
        time_s = self._moment(request)
        first = self._remembered.get(request.transaction_id)
        if first is not None and first[0] == request and not self._late_in_a_row:
            self.repeated += 1
            return first[1]
        features = self._reader.extract(request, time_s)
        verdict = judge(features)
        learn(self.memory, request, time_s, features, verdict.score)
        score = Score(
            request.transaction_id,
            round(verdict.score, 4),
            verdict.action,
            verdict.hits,
            verdict.models,
            features,
            time_s,
        )
        self._remember(request, score)
        return score

    def remembered(self, transaction_id: str) -> Score | None:
        """The score it gave, as long as it remembers it."""
        found = self._remembered.get(transaction_id)
        return found[1] if found is not None else None

    def _moment(self, request: ScoreRequest) -> float:
        """Event time of ``request``; without one, the latest seen.  Starts over when a new run began."""
        now_s = self.memory.pace.now_s
        if request.time_s is None:
            return max(now_s, 0.0)
        self._late_in_a_row = self._late_in_a_row + 1 if request.time_s < now_s - LATE_S else 0
        if self._late_in_a_row >= RESTART_AFTER:
            self._reader = FeatureReader(Memory(self.memory.scale))
            self._remembered.clear()
            self._late_in_a_row = 0
            self.restarts += 1
        return request.time_s

    def _remember(self, request: ScoreRequest, score: Score) -> None:
        if not request.transaction_id:
            return
        self._remembered[request.transaction_id] = (request, score)
        if len(self._remembered) > self._max_remembered:
            self._remembered.popitem(last=False)


class DetectorApi:
    """``handle(method, path, query, body) -> (status, JSON-able)``."""

    def __init__(self, model: FraudModel | None = None) -> None:
        self.model = FraudModel() if model is None else model
        self._lock = Lock()
        self._started_s = time.monotonic()
        self._decisions = {"APPROVE": 0, "REVIEW": 0, "BLOCK": 0}
        self._spent_ms = 0.0
        #: labels heard of: fraud it had flagged, fraud it had passed, false alerts, what it forgot
        self._feedback = dict.fromkeys(("caught", "missed", "false_alerts", "forgotten"), 0)
        self._alerts: deque[dict[str, Any]] = deque(maxlen=MAX_ALERTS)
        self._routes: dict[str, dict[str, Callable[[Mapping[str, str], Any], Reply]]] = {
            "/health": {"GET": self._health},
            "/score": {"POST": self._score},
            "/score/batch": {"POST": self._batch},
            "/stats": {"GET": self._stats},
            "/alerts": {"GET": self._list_alerts},
            "/rules": {"GET": self._rules},
            "/feedback": {"POST": self._take_feedback},
        }

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> Reply:
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

    def _score(self, _query: Mapping[str, str], body: Any) -> Reply:
        return 200, self._score_one(body)

    def _batch(self, _query: Mapping[str, str], body: Any) -> Reply:
        return 200, [self._score_one(entry) for entry in read_batch(body, MAX_BATCH)]

    def _score_one(self, body: Any) -> dict[str, Any]:
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

    def _health(self, _query: Mapping[str, str], _body: Any) -> Reply:
        return 200, {"status": "healthy", "service": "fraud_detector", "model_version": MODEL_VERSION}

    def _stats(self, _query: Mapping[str, str], _body: Any) -> Reply:
        processed = sum(self._decisions.values())
        flagged = processed - self._decisions["APPROVE"]
        told = self._feedback["caught"] + self._feedback["missed"]
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
            # Known only by what it was told afterwards; of honest transactions it hears the alerts alone.
            "fraud_detection_rate": self._feedback["caught"] / told if told else None,
            "false_positive_rate": None,
            "memory": self.model.memory.sizes(),
        }

    def _take_feedback(self, _query: Mapping[str, str], body: Any) -> Reply:
        fields = Fields(body)
        transaction_id = fields.text("transaction_id")
        is_fraud = fields.boolean("actual_fraud")
        fields.check()
        score = self.model.remembered(transaction_id)
        if score is None:
            self._feedback["forgotten"] += 1
        elif not is_fraud:
            self._feedback["false_alerts"] += score.action != "APPROVE"
        else:
            self._feedback["missed" if score.action == "APPROVE" else "caught"] += 1
        return 200, {"status": "ok", "transaction_id": transaction_id}

    def _list_alerts(self, query: Mapping[str, str], _body: Any) -> Reply:
        limit = query_integer(query, "limit", ALERTS_PAGE, 1, MAX_ALERTS)
        skip = query_integer(query, "skip", 0, 0)
        newest_first = list(reversed(self._alerts))
        return 200, {"alerts": newest_first[skip : skip + limit], "total": len(newest_first)}

    def _rules(self, _query: Mapping[str, str], _body: Any) -> Reply:
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
