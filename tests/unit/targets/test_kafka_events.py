"""Both forms of event, byte for byte, and what must never be in one."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest

from banksim.model import AccountRef, Kind, Label, Truth
from banksim.targets import AccountDirectory
from banksim.targets.kafka_events import Format, customer_event, encode, transaction_event
from tests.unit.targets.people import SHOP, customer, transaction

FORMS: tuple[Format, ...] = ("flat", "envelope")

FLAT = {
    "event_type": "transaction_created",
    "timestamp": "2026-01-05T00:00:00.250Z",
    "transaction_id": "tx-1",
    "customer_id": "cust-0",
    "account_id": "acc-0",
    "amount": 12.5,
    "currency": "USD",
    "transaction_type": "purchase",
    "merchant": "Corner Grocery",
    "location": {"latitude": 42.36, "longitude": -71.06, "city": "Boston", "country": "US"},
    "metadata": {
        "channel": "pos",
        "device_id": "device-1",
        "description": "Groceries",
        "merchant_id": "m-1",
        "merchant_category": "grocery",
        "counterparty_account_id": "",
    },
}

ENVELOPE = {
    "event_id": "077e8b10-931b-bce7-4a21-a6096b483d46",
    "event_type": "transaction.processed",
    "timestamp": "2026-01-05T00:00:00.250Z",
    "source": "nexum",
    "version": "1.0",
    "entity_type": "transaction",
    "entity_id": "tx-1",
    "metadata": {},
    "data": {
        "transaction_id": "tx-1",
        "amount": "12.50",
        "currency": "USD",
        "from_account_id": "acc-0",
        "to_account_id": "acc-1",
        "customer_id": "cust-0",
        "transaction_type": "transfer",
        "channel": "pos",
        "description": "Groceries",
        "metadata": {
            "channel": "pos",
            "device_id": "device-1",
            "description": "Groceries",
            "merchant_id": "",
            "merchant_category": "",
            "counterparty_account_id": "acc-1",
            "merchant": "",
            "location": {"latitude": 42.36, "longitude": -71.06, "city": "Boston", "country": "US"},
        },
        "timestamp": "2026-01-05T00:00:00.250Z",
    },
}


@pytest.fixture
def directory() -> AccountDirectory:
    known = AccountDirectory(7)
    known.add(0, "cust-0", ["acc-0"])
    known.add(1, "cust-1", ["acc-1"])
    return known


def test_flat_is_the_original_descriptions(directory: AccountDirectory) -> None:
    event = transaction_event(transaction(merchant=SHOP), directory, "flat")
    assert orjson.loads(encode(event)) == FLAT
    assert list(event) == list(FLAT)  # for people who read along


def test_envelope_is_what_the_bank_reads(directory: AccountDirectory) -> None:
    event = transaction_event(transaction(Kind.TRANSFER), directory, "envelope")
    assert orjson.loads(encode(event)) == ENVELOPE


def test_an_envelope_has_no_key_at_the_top_that_the_bank_would_drop_it_for(
    directory: AccountDirectory,
) -> None:
    allowed = {
        "event_id", "event_type", "timestamp", "source", "version", "entity_type", "entity_id",
        "data", "metadata",
    }  # fmt: skip
    for event in (
        transaction_event(transaction(), directory, "envelope"),
        customer_event(customer(), "cust-0", 0.0, "envelope"),
    ):
        assert set(event) == allowed


def test_the_id_of_an_event_tells_repeats_from_others(directory: AccountDirectory) -> None:
    def event_id(name: str) -> str:
        tx = transaction(transaction_id=name)
        return str(transaction_event(tx, directory, "envelope")["event_id"])

    assert event_id("a") == event_id("a") != event_id("b")


@pytest.mark.parametrize(
    ("kind", "sides"),
    [
        (Kind.PURCHASE, ("acc-0", None)),
        (Kind.WITHDRAWAL, ("acc-0", None)),
        (Kind.DEPOSIT, (None, "acc-0")),
        (Kind.SALARY, (None, "acc-0")),
        (Kind.TRANSFER, ("acc-0", "acc-1")),
    ],
)
def test_an_envelope_names_payer_and_payee(
    kind: Kind, sides: tuple[str | None, str | None], directory: AccountDirectory
) -> None:
    data = transaction_event(transaction(kind), directory, "envelope")["data"]
    assert (data["from_account_id"], data["to_account_id"]) == sides


def test_yen_have_no_decimals(directory: AccountDirectory) -> None:
    tx = transaction(currency="JPY", amount_cents=1250)
    assert transaction_event(tx, directory, "flat")["amount"] == 1250
    assert transaction_event(tx, directory, "envelope")["data"]["amount"] == "1250"


@pytest.mark.parametrize("form", FORMS)
def test_fields_do_not_depend_on_the_transaction(form: Format, directory: AccountDirectory) -> None:
    def shape(event: Any) -> Any:
        return {name: shape(value) for name, value in event.items()} if isinstance(event, dict) else None

    shapes = [
        shape(transaction_event(transaction(kind, merchant=shop), directory, form))
        for kind in Kind
        for shop in (None, SHOP)
    ]
    assert all(found == shapes[0] for found in shapes)


@pytest.mark.parametrize("form", FORMS)
def test_no_field_of_the_truth_is_in_an_event(form: Format, directory: AccountDirectory) -> None:
    names = {field.name for field in dataclasses.fields(Truth)} | {"label", "is_fraud"}
    texts = {str(label) for label in Label}
    event = encode(transaction_event(transaction(merchant=SHOP), directory, form))
    words = set(event.decode().replace('"', " ").replace(":", " ").replace(",", " ").split())
    assert not words & (names | texts)


def test_a_customer_without_a_bank_keeps_one_name() -> None:
    unknown = AccountDirectory(7)
    first = transaction_event(transaction(account=AccountRef(5)), unknown, "flat")
    again = transaction_event(transaction(account=AccountRef(5)), unknown, "flat")
    assert first["customer_id"] == again["customer_id"] != ""


def test_customers_in_both_forms() -> None:
    flat = customer_event(customer(balances_cents=(1, 2)), "cust-0", 1_767_571_200.0, "flat")
    assert flat == {
        "event_type": "customer_created",
        "timestamp": "2026-01-05T00:00:00.000Z",
        "customer_id": "cust-0",
        "first_name": "Zoë",
        "last_name": "Núñez",
        "email": "zoe0@example.com",
        "phone": "+1-555-0100",
        "kyc_status": "verified",
        "kyc_tier": "tier_2",
        "accounts": ["checking", "savings"],
    }
    enveloped = customer_event(customer(), "cust-0", 1_767_571_200.0, "envelope")
    assert (enveloped["event_type"], enveloped["entity_id"]) == ("customer.created", "cust-0")
    assert set(enveloped["data"]) == {
        "customer_id", "first_name", "last_name", "email", "phone", "timestamp", "kyc_status", "kyc_tier",
    }  # fmt: skip
