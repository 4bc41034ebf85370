"""Our events on Kafka, in two forms: pure functions from a transaction or customer to bytes.

flat       fields at the top, as in the original description (`transaction_created`)
envelope   fields under `data`, as the core bank's own event bridge writes and reads them
           (`transaction.processed`); it drops a message with any other key at the top

Events are built from a `Transaction` alone: the ground truth is of another type and never
comes near this module.  `timestamp` is simulated time, like every timestamp a detector gets.
The same fields are there for every transaction, empty where they do not apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import orjson

from banksim.model import CREDIT_KINDS, Kind, ScoreReply, Transaction
from banksim.model.money import to_units, to_wire
from banksim.targets.bastion import read_score
from banksim.targets.calls import Reply
from banksim.targets.nexum import AccountDirectory

if TYPE_CHECKING:
    from banksim.world import Customer

# -- What a fraud detector writes to Kafka, in our words: decisions and alerts ----------------------
#
# Both forms are read (fields at the top, or under `data`), with the same leniency and the same
# refusals as the detector's HTTP answers: see bastion_wire.


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


Format = Literal["flat", "envelope"]
Event = dict[str, Any]


def encode(event: Event) -> bytes:
    """UTF-8 JSON."""
    return orjson.dumps(event)


def transaction_event(tx: Transaction, directory: AccountDirectory, form: Format) -> Event:
    """A transaction that the bank booked, for `nexum.transactions`."""
    return _flat_transaction(tx, directory) if form == "flat" else _enveloped_transaction(tx, directory)


def customer_event(customer: Customer, customer_id: str, time_s: float, form: Format) -> Event:
    """A customer the bank opened at ``time_s`` (unix seconds, simulated), for `nexum.customers`."""
    timestamp = iso_time(time_s)
    data = {
        "customer_id": customer_id,
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "email": customer.email,
        "phone": customer.phone,
        "kyc_status": "verified",
        "kyc_tier": customer.kyc_tier,
    }
    if form == "flat":
        products = [account.product for account in customer.accounts]
        return {"event_type": "customer_created", "timestamp": timestamp, **data, "accounts": products}
    return _envelope("customer.created", "customer", customer_id, timestamp, data)


def iso_time(time_s: float) -> str:
    """Unix seconds as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _flat_transaction(tx: Transaction, directory: AccountDirectory) -> Event:
    return {
        "event_type": "transaction_created",
        "timestamp": iso_time(tx.timestamp_s),
        "transaction_id": tx.transaction_id,
        "customer_id": directory.wire_customer_id(tx.account.customer_index),
        "account_id": directory.wire_account_id(tx.account),
        "amount": to_units(tx.amount_cents, tx.currency),
        "currency": tx.currency,
        "transaction_type": tx.kind.value,
        "merchant": tx.merchant.name if tx.merchant else "",
        "location": _location(tx),
        "metadata": _metadata(tx, directory),
    }


def _enveloped_transaction(tx: Transaction, directory: AccountDirectory) -> Event:
    timestamp = iso_time(tx.timestamp_s)
    payer, payee = _sides(tx, directory)
    data = {
        "transaction_id": tx.transaction_id,
        "amount": to_wire(tx.amount_cents, tx.currency),
        "currency": tx.currency,
        "from_account_id": payer,
        "to_account_id": payee,
        "customer_id": directory.wire_customer_id(tx.account.customer_index),
        "transaction_type": tx.kind.value,
        "channel": tx.channel.value,
        "description": tx.description,
        "metadata": {
            **_metadata(tx, directory),
            "merchant": tx.merchant.name if tx.merchant else "",
            "location": _location(tx),
        },
    }
    return _envelope("transaction.processed", "transaction", tx.transaction_id, timestamp, data)


def _envelope(event_type: str, entity_type: str, entity_id: str, timestamp: str, data: Event) -> Event:
    return {
        "event_id": _event_id(event_type, entity_id),
        "event_type": event_type,
        "timestamp": timestamp,
        "source": "nexum",
        "version": "1.0",
        "entity_type": entity_type,
        "entity_id": entity_id,
        "metadata": {},
        "data": {**data, "timestamp": timestamp},
    }


def _location(tx: Transaction) -> Event:
    place = tx.place
    return {
        "latitude": place.latitude,
        "longitude": place.longitude,
        "city": place.city,
        "country": place.country,
    }


def _metadata(tx: Transaction, directory: AccountDirectory) -> Event:
    merchant, counterparty = tx.merchant, tx.counterparty
    return {
        "channel": tx.channel.value,
        "device_id": tx.device_id,
        "description": tx.description,
        "merchant_id": merchant.merchant_id if merchant else "",
        "merchant_category": merchant.category if merchant else "",
        "counterparty_account_id": directory.wire_account_id(counterparty) if counterparty else "",
    }


def _sides(tx: Transaction, directory: AccountDirectory) -> tuple[str | None, str | None]:
    """Account the money leaves and account it reaches; None outside the bank."""
    own = directory.wire_account_id(tx.account)
    if tx.kind in CREDIT_KINDS:
        return None, own
    if tx.kind is Kind.TRANSFER and tx.counterparty is not None:
        return own, directory.wire_account_id(tx.counterparty)
    return own, None


def _event_id(event_type: str, entity_id: str) -> str:
    """The same for the same event, so that a consumer can tell a repeated one."""
    digits = blake2b(f"{event_type} {entity_id}".encode(), digest_size=16).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
