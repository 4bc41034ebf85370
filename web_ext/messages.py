"""The WebSocket's messages, as the description of the dashboard protocol has them, and more.

    metrics_update      each refresh: rate, total, fraud rate, latency of the targets
    transaction_feed    each transaction of the feed
    fraud_alert         each of those whose score is above the scenario's threshold
    system_event        another run, state or speed

Every field of the description is there with its meaning; ours are added.  Amounts are
JSON numbers here, as described (in every other place of banksim they are text).  What is not known
yet is null.  One JSON Schema for each message is in schemas/.

JSON as the pages and scripts read it: no NaN, no infinity.

orjson writes NaN and infinity as null, which the pages show as "no data yet".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import orjson
from flask import Response

from banksim.measure.results import FeedItem, Snapshot
from web_ext.run_view import Status

#: A JSON object on its way to a browser or a script.
Json = dict[str, Any]

_OPTIONS = orjson.OPT_NON_STR_KEYS


def to_json(value: Any) -> bytes:
    """One line of JSON; a type orjson does not know (a Decimal, a Path) is written as its text."""
    return orjson.dumps(value, default=str, option=_OPTIONS)


def json_response(value: Any, code: int = 200) -> Response:
    """A JSON answer that must not be cached."""
    response = Response(to_json(value), status=code, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def problem(message: str, code: int) -> Response:
    """An error as scripts read it: {"error": "what happened and what to do"}."""
    return json_response({"error": message}, code)


TOPICS: Final = ("metrics", "transactions", "fraud_alerts")

#: The pages' colour bands: a score from here on is medium, above the second one high.
SCORE_MEDIUM: Final = 0.3
SCORE_HIGH: Final = 0.7


def metrics_update(status: Status, snapshot: Snapshot | None) -> Json:
    """Totals count finished transactions; latency is the mean of all calls in ms."""
    counts = snapshot.transactions if snapshot is not None else None
    rate = snapshot.rate if snapshot is not None else None
    found = snapshot.detection if snapshot is not None else None
    total = counts.ended if counts is not None else 0
    fraud = snapshot.fraud.transactions if snapshot is not None else 0
    return {
        "type": "metrics_update",
        "timestamp": wall_now(),
        "data": {
            "current_tps": (rate.achieved_tps if rate is not None else None) or 0.0,
            "total_transactions": total,
            "fraud_rate": fraud / total if total else 0.0,
            "api_latency": {name: _mean_ms(snapshot, name) for name in ("nexum", "bastion")},
            "offered_tps": rate.offered_tps if rate is not None else None,
            "fraud_transactions": fraud,
            "dropped": counts.dropped if counts is not None else 0,
            "failed": counts.failed if counts is not None else 0,
            "unknown": counts.unknown if counts is not None else 0,
            "recall": found.recall if found is not None else None,
            "precision": found.precision if found is not None else None,
            "false_positive_rate": found.false_positive_rate if found is not None else None,
            "state": status.state,
            "run_id": status.run_id,
            "simulated_time": status.sim_time,
            "wall_s": status.wall_s,
            "speed": status.speed,
            "progress": status.progress,
        },
    }


def transaction_feed(item: FeedItem) -> Json:
    """``timestamp`` is the transaction's own: simulated time."""
    return {
        "type": "transaction_feed",
        "data": {
            "id": item.transaction_id,
            "customer": item.customer,
            "amount": float(item.amount),
            "merchant": item.merchant or item.kind.replace("_", " "),
            "fraud_score": item.score,
            "timestamp": f"{item.sim_time[:19]}Z",
            "transaction_type": item.kind,
            "currency": item.currency,
            "channel": item.channel,
            "decision": item.decision,
            "bank": item.bank,
            "response_ms": item.response_ms,
            "truth": item.truth,
            "typology": item.typology or None,
            "sequence": item.seq,
            "ended_at_ms": item.ended_at_ms,
        },
    }


def fraud_alert(item: FeedItem) -> Json:
    """For an item whose score is known."""
    return {
        "type": "fraud_alert",
        "severity": severity_of(item.score or 0.0),
        "timestamp": wall_now(),
        "data": {
            "transaction_id": item.transaction_id,
            "fraud_score": item.score,
            "customer": item.customer,
            "amount": float(item.amount),
            "risk_factors": item.reasons,
            "merchant": item.merchant,
            "currency": item.currency,
            "decision": item.decision,
            "truth": item.truth,
            "typology": item.typology or None,
            "simulated_time": f"{item.sim_time[:19]}Z",
        },
    }


def is_alert(item: FeedItem, threshold: float) -> bool:
    return item.score is not None and item.score > threshold


def alert_threshold(status: Status) -> float:
    """The score above which the scenario's dashboard block wants an alert."""
    return status.dashboard.fraud_alert_threshold


def severity_of(score: float) -> str:
    """ "high" above 0.7, "medium" from 0.3 on, else "low"."""
    if score > SCORE_HIGH:
        return "high"
    return "medium" if score >= SCORE_MEDIUM else "low"


def subscribed(topics: set[str]) -> Json:
    """The answer to subscribe and unsubscribe: what the client gets from now on."""
    return {"type": "subscribed", "topics": [topic for topic in TOPICS if topic in topics]}


def system_event(status: Status) -> Json:
    """Another run, or the run has another state or speed."""
    return {
        "type": "system_event",
        "timestamp": wall_now(),
        "event": "run_changed",
        "data": {
            "run_id": status.run_id,
            "state": status.state,
            "speed": status.speed,
            "message": status.message,
            "simulated_time": status.sim_time,
        },
    }


def pong() -> Json:
    return {"type": "pong", "timestamp": wall_now()}


def problem_message(text: str) -> Json:
    return {"type": "error", "message": text}


def wall_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- As frames: a frame to a client is not masked, so its bytes are the same for all -----------------

#: A message with its frame; the frame is made again only to say how many were skipped before it.
Framed = tuple[Json, bytes]

_TEXT: Final = 0x81


def feed_entry(item: FeedItem) -> Framed:
    message = transaction_feed(item)
    return message, frame_of(message)


def frame_of(message: Any) -> bytes:
    return text_frame(to_json(message))


def text_frame(payload: bytes) -> bytes:
    """A whole text message (UTF-8) as the bytes of one unmasked frame."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 65_536:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload


def _mean_ms(snapshot: Snapshot | None, name: str) -> float | None:
    found = snapshot.latency_ms.get(name) if snapshot is not None else None
    return None if found is None or found.mean is None else round(found.mean, 2)
