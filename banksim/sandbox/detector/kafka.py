"""The stand-in detector on Kafka: reads transactions, writes decisions and alerts.

It scores with a model of its own, so its decisions do not depend on requests over HTTP.  Both forms
of event are read (fields at the top, or an envelope with `data`), and the answer has the form of the
event.

    nexum.transactions ──► score ──► bastion.fraud.decisions, one for each transaction
                                └──► bastion.fraud.alerts, for BLOCK decisions

Not handled: state across restarts, several detectors sharing the topic.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from banksim.kafka import (
    ALERTS,
    DECISIONS,
    EMBEDDED,
    TRANSACTIONS,
    Delivery,
    EmbeddedBroker,
    Publisher,
    TopicReader,
    broker_problem,
)
from banksim.model import BanksimError
from banksim.sandbox.detector.model import (
    BLOCK_FROM,
    MODEL_VERSION,
    REASON_FROM,
    REVIEW_FROM,
    RULES,
    FraudModel,
    Score,
)
from banksim.sandbox.http import Refusal

logger = logging.getLogger(__name__)

DRAIN_S = 2.0
#: Under this name Kafka's own tools show how far the stand-in has read.
GROUP = "bastion-fraud-detection"
Event = dict[str, object]


@dataclass(slots=True)
class BridgeCounts:
    """Transactions read, decisions sent, events that cannot be scored, decisions lost."""

    received: int = 0
    decided: int = 0
    refused: int = 0
    lost: int = 0


class DetectorBridge:
    """One detector between two topics, from `start` to `close`."""

    def __init__(self, servers: str, model: FraudModel | None = None) -> None:
        self._model = FraudModel() if model is None else model
        self.counts = BridgeCounts()
        self._publisher = Publisher(servers, self._delivered)
        self._reader = TopicReader(
            servers, (TRANSACTIONS,), lambda _topic, value: self._transaction(value), group=GROUP
        )

    def start(self) -> None:
        """Connect; returns when every transaction published from now on will be read."""
        self._publisher.start()
        # Asking for the topics creates them where brokers do that; the one that is read should exist too.
        missing = self._publisher.missing_topics((TRANSACTIONS, DECISIONS, ALERTS))
        if missing:
            logger.warning("the brokers have no topic %s and make none by themselves", " and ".join(missing))
        self._reader.start()

    def close(self) -> None:
        """Stop reading, send the remaining decisions, disconnect from the brokers."""
        self._reader.close()
        self._publisher.drain(DRAIN_S)
        self._publisher.close()

    def _transaction(self, value: bytes) -> None:
        self.counts.received += 1
        started_s = time.perf_counter()
        try:
            event = orjson.loads(value)
            request = request_of(event)
            if not request.get("transaction_id"):
                raise ValueError("no transaction_id: a decision could not name its transaction")
            score = self._model.score(request)
        except (orjson.JSONDecodeError, Refusal, ValueError, TypeError, AttributeError) as error:
            self.counts.refused += 1
            logger.debug("an event on %s cannot be scored: %s", TRANSACTIONS, error)
            return
        spent_ms = (time.perf_counter() - started_s) * 1000
        enveloped = isinstance(event.get("data"), Mapping)
        self._send(DECISIONS, score.transaction_id, decision_event(score, spent_ms, enveloped))
        if score.action == "BLOCK":
            customer_id = _fields(event).get("customer_id")
            self._send(ALERTS, score.transaction_id, alert_event(score, customer_id, enveloped))

    def _send(self, topic: str, key: str, event: Event) -> None:
        if not self._publisher.publish(topic, key, orjson.dumps(event)):
            self.counts.lost += 1

    def _delivered(self, delivery: Delivery) -> None:
        if delivery.error:
            self.counts.lost += 1
        elif delivery.topic == DECISIONS:
            self.counts.decided += 1


@dataclass(slots=True)
class KafkaSide:
    """The Kafka parts of the stand-in servers: the bridge, and the embedded broker if there is one."""

    bridge: DetectorBridge
    broker: EmbeddedBroker | None

    def close(self) -> None:
        self.bridge.close()
        if self.broker is not None:
            self.broker.close()


def open_kafka_side(servers: str, announce: Callable[[str], None]) -> KafkaSide:
    """A started bridge, and a broker where one was asked for.

    Raises BanksimError when no broker answers.
    """
    broker = None
    if servers == EMBEDDED:
        broker = EmbeddedBroker()
        servers = broker.start()
        announce(f"kafka listening on {servers}")
    else:
        problem = broker_problem(servers)
        if problem:
            raise BanksimError(f"--kafka-servers: {problem}")
    bridge = DetectorBridge(servers)
    bridge.start()
    announce(f"detector reading {TRANSACTIONS} at {servers}")
    return KafkaSide(bridge, broker)


def request_of(event: Any) -> Event:
    """The score request for a transaction's event.  Raises ValueError on a bad timestamp."""
    fields = _fields(event)
    details = _mapping(fields.get("metadata"))
    place = _mapping(fields.get("location") or details.get("location"))
    timestamp = fields.get("timestamp")
    account, counterparty = _accounts(fields, details)
    request = {
        "transaction_id": fields.get("transaction_id"),
        "cif_id": fields.get("customer_id"),
        "amount": float(str(fields.get("amount") or 0)),
        "currency": fields.get("currency"),
        "merchant_id": details.get("merchant_id") or fields.get("merchant"),
        "merchant_category": details.get("merchant_category"),
        "channel": fields.get("channel") or details.get("channel"),
        "country": place.get("country"),
        "timestamp": datetime.fromisoformat(timestamp).timestamp() if isinstance(timestamp, str) else None,
        "metadata": {
            "transaction_type": fields.get("transaction_type"),
            "account_id": account,
            "counterparty_account_id": counterparty,
            "device_id": details.get("device_id"),
            "latitude": place.get("latitude"),
            "longitude": place.get("longitude"),
        },
    }
    return {name: value for name, value in request.items() if value is not None}


def decision_event(score: Score, spent_ms: float, enveloped: bool) -> Event:
    """The decision on one transaction; ``timestamp`` is the wall time of the decision."""
    now = _now()
    if enveloped:
        data = {
            "transaction_id": score.transaction_id,
            "score": score.risk_score,
            "decision": score.action,
            "risk_level": _risk_level(score.risk_score),
            "reasons": list(score.reasons),
        }
        return _envelope("fraud.decision", "transaction", score.transaction_id, now, data)
    return {
        "event_type": "fraud_decision",
        "timestamp": now,
        "transaction_id": score.transaction_id,
        "fraud_score": score.risk_score,
        "decision": score.action.lower(),
        "risk_factors": risk_factors(score),
        "model_version": MODEL_VERSION,
        "processing_time_ms": round(spent_ms, 3),
    }


def alert_event(score: Score, customer_id: Any, enveloped: bool) -> Event:
    """An alert about one transaction."""
    now = _now()
    data = {
        "alert_id": f"alert-{score.transaction_id}",
        "customer_id": customer_id,
        "alert_type": "PATTERN",
        "severity": _risk_level(score.risk_score),
        "description": ", ".join(score.reasons) or "high score",
        "related_transactions": [score.transaction_id],
    }
    if enveloped:
        return _envelope("fraud.alert", "alert", f"alert-{score.transaction_id}", now, data)
    return {"event_type": "fraud_alert", "timestamp": now, **data}


def risk_factors(score: Score) -> list[Event]:
    """The rules that contributed, strongest first, each with its own contribution 0..1."""
    contributions = ((rule.weight * rule.strength(score.features), rule) for rule in RULES)
    named = [(part, rule) for part, rule in contributions if part >= REASON_FROM]
    named.sort(key=lambda found: -found[0])
    return [{"factor": rule.name, "score": round(part, 4), "description": rule.text} for part, rule in named]


def _fields(event: object) -> Mapping[str, object]:
    fields = _mapping(event)
    data = fields.get("data")
    return data if isinstance(data, Mapping) else fields


def _mapping(value: object) -> Mapping[str, object]:
    """``value``, or nothing for none.  Raises ValueError for anything else."""
    if isinstance(value, Mapping):
        return value
    if value:
        raise ValueError(f"not an object: {value!r}")
    return {}


def _accounts(fields: Mapping[str, object], details: Mapping[str, object]) -> tuple[object, object]:
    """The customer's own account and the other one; an envelope names payer and payee instead."""
    payer, payee = fields.get("from_account_id"), fields.get("to_account_id")
    if payer or payee:
        return (payer, payee or "") if payer else (payee, "")
    return fields.get("account_id"), details.get("counterparty_account_id")


def _envelope(event_type: str, entity_type: str, entity_id: str, now: str, data: Event) -> Event:
    return {
        "event_id": f"{event_type}-{entity_id}",
        "event_type": event_type,
        "timestamp": now,
        "source": "bastion",
        "version": "1.0",
        "entity_type": entity_type,
        "entity_id": entity_id,
        "metadata": {},
        "data": data,
    }


def _risk_level(score: float) -> str:
    return "HIGH" if score >= BLOCK_FROM else "MEDIUM" if score >= REVIEW_FROM else "LOW"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
