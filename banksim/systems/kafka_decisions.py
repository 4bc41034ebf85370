"""What a fraud detector writes to Kafka, in our words: decisions and alerts.

Both forms are read (fields at the top, or under `data`), with the same leniency and the same
refusals as the detector's HTTP answers: see bastion_wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from banksim.domain import ScoreReply
from banksim.systems.bastion_wire import read_score
from banksim.systems.transport import Reply

#: An event larger than this is no decision.
MAX_EVENT_BYTES = 1_000_000


def read_decision(value: bytes) -> tuple[str, ScoreReply] | None:
    """Transaction id and decision; None when it cannot be read.  ``error`` of the reply as over HTTP."""
    fields = _fields(value)
    transaction_id = fields.get("transaction_id") if fields else None
    if not isinstance(transaction_id, str) or not transaction_id:
        return None
    return transaction_id, read_score(Reply(200, fields, 0.0))


def read_alert(value: bytes) -> tuple[str, ...] | None:
    """Ids of the transactions an alert is about; None when it cannot be read."""
    fields = _fields(value)
    if fields is None:
        return None
    related = fields.get("related_transactions")
    ids = related if isinstance(related, list) else [fields.get("transaction_id")]
    return tuple(one for one in ids if isinstance(one, str))


def _fields(value: bytes) -> Mapping[str, Any] | None:
    if len(value) > MAX_EVENT_BYTES:
        return None
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(event, dict):
        return None
    data = event.get("data")
    return data if isinstance(data, dict) else event
