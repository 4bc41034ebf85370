"""A score request, read once: types checked, words and amounts brought to one scale.

Any field may be absent; a field of the wrong type at the top level is a 422 in FastAPI's form.
``metadata`` is read leniently, since everybody sends their own: only the names below are looked at,
so nothing else in it can influence a score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from banksim.sandbox.fields import Fields, Refusal, problem

#: Rough value of one unit in US dollars, only to bring amounts to one scale (judgement, not a rate).
SCALE_TO_USD = {"USD": 1.0, "EUR": 1.1, "GBP": 1.3, "CHF": 1.1, "CAD": 0.73, "JPY": 0.0067}
#: Other senders' words for the same kinds.
KIND_ALIASES = {"transfer_internal": "transfer", "transfer_external": "transfer", "payment": "bill_payment"}
CREDIT_KINDS = frozenset({"deposit", "salary"})
_MAX_ID_CHARS = 200


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """``amount`` is in rough US dollars; ``time_s`` is event time or None; empty text means absent."""

    transaction_id: str
    customer: str
    kind: str
    amount: float
    channel: str
    country: str
    merchant: str
    category: str
    time_s: float | None
    account: str
    counterparty: str
    device: str
    latitude: float | None
    longitude: float | None

    @property
    def is_credit(self) -> bool:
        return self.kind in CREDIT_KINDS


def read_score_request(body: Any) -> ScoreRequest:
    """Raises Refusal(422) with every mistake of the body."""
    fields = Fields(body)
    transaction_id, customer = fields.optional_text("transaction_id"), fields.optional_text("cif_id")
    amount, currency = fields.number("amount", 0.0), fields.optional_text("currency")
    merchant, category = fields.optional_text("merchant_id"), fields.optional_text("merchant_category")
    channel, country = fields.optional_text("channel"), fields.optional_text("country")
    time_s = fields.number("timestamp", math.nan)
    fields.object("metadata", required=False)
    if amount < 0:
        fields.problems.append(
            problem(
                "greater_than_equal",
                ["body", "amount"],
                "Input should be greater than or equal to 0",
                amount,
                ge=0,
            )
        )
    fields.check()
    metadata: dict[str, Any] = body.get("metadata") or {}
    kind = _word(metadata, "transaction_type").lower() or "purchase"
    account = _word(metadata, "account_id")
    return ScoreRequest(
        transaction_id=(transaction_id or "")[:_MAX_ID_CHARS],
        customer=(customer or account)[:_MAX_ID_CHARS],
        kind=KIND_ALIASES.get(kind, kind),
        amount=amount * SCALE_TO_USD.get(currency or "USD", 1.0),
        channel=(channel or "").lower()[:_MAX_ID_CHARS],
        country=(country or "").upper()[:_MAX_ID_CHARS],
        merchant=(merchant or "")[:_MAX_ID_CHARS],
        category=(category or "").lower()[:_MAX_ID_CHARS],
        time_s=None if math.isnan(time_s) else time_s,
        account=account or (customer or "")[:_MAX_ID_CHARS],
        counterparty=_word(metadata, "counterparty_account_id"),
        device=_word(metadata, "device_id"),
        latitude=_degrees(metadata, "latitude", 90.0),
        longitude=_degrees(metadata, "longitude", 180.0),
    )


def read_batch(body: Any, maximum: int) -> list[Any]:
    """The bodies of ``POST /score/batch``.  Raises Refusal(422)."""
    fields = Fields(body)
    bodies = fields.optional_list("transactions")
    if "transactions" not in fields:
        fields.problems.append(problem("missing", ["body", "transactions"], "Field required", body))
    if len(bodies) > maximum:
        msg = f"List should have at most {maximum} items after validation, not {len(bodies)}"
        raise Refusal(422, [problem("too_long", ["body", "transactions"], msg, None, max_length=maximum)])
    fields.check()
    return bodies


def _word(metadata: dict[str, Any], name: str) -> str:
    value = metadata.get(name)
    return value[:_MAX_ID_CHARS] if isinstance(value, str) else ""


def _degrees(metadata: dict[str, Any], name: str, limit: float) -> float | None:
    value = metadata.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -limit <= value <= limit:
        return None
    return float(value)
