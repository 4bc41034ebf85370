"""Customers and transactions for these tests, and a transport that answers from a script."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from banksim.model import AccountRef, Channel, Kind, Merchant, Place, Transaction
from banksim.targets import Call, Reply, Request
from banksim.world import AccountSpec, Address, Customer

BOSTON = Place("Boston", "US", 42.36, -71.06)
SHOP = Merchant("m-1", "Corner Grocery", "5411", "grocery", BOSTON)


def customer(index: int = 0, tier: str = "tier_2", balances_cents: tuple[int, ...] = (500_000,)) -> Customer:
    return Customer(
        index=index,
        persona="salaried",
        first_name="Zoë",
        last_name="Núñez",
        email=f"zoe{index}@example.com",
        phone="+1-555-0100",
        date_of_birth=date(1985, 3, 15),
        address=Address("1 Main St", "Boston", "MA", "02101", "US"),
        home=BOSTON,
        devices=("device-1",),
        kyc_tier=tier,
        income_cents=300_000,
        accounts=tuple(
            AccountSpec("savings" if slot else "checking", cents) for slot, cents in enumerate(balances_cents)
        ),
    )


def transaction(kind: Kind = Kind.PURCHASE, **changes: Any) -> Transaction:
    fields: dict[str, Any] = {
        "transaction_id": "tx-1",
        "kind": kind,
        "account": AccountRef(0),
        "amount_cents": 1250,
        "currency": "USD",
        "channel": Channel.POS,
        "timestamp_s": 1_767_571_200.25,
        "place": BOSTON,
        "device_id": "device-1",
        "description": "Groceries",
    }
    if kind is Kind.TRANSFER:
        fields["counterparty"] = AccountRef(1)
    return Transaction(**{**fields, **changes})


class ScriptedTransport:
    """Gives the next reply of its script (the last one for ever) and notes what it was asked."""

    address = "http://bank.test"

    def __init__(self, *script: Reply | BaseException) -> None:
        self.script = list(script)
        self.asked: list[tuple[str, str, Any]] = []
        self.repeatable: list[bool] = []
        self.tokens: list[str] = []

    def send(self, request: Request) -> Reply:
        self.asked.append((request.method, request.path, request.body))
        self.repeatable.append(request.repeatable)
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def authorize(self, token: str) -> None:
        self.tokens.append(token)

    def close(self) -> None:
        pass


class Notebook:
    """Observer and books in one."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.movements: list[tuple[str, int, bool]] = []
        self.under_way = 0

    def __call__(self, call: Call) -> None:
        self.calls.append(call)

    def begins(self, legs: Any) -> None:
        self.under_way += 1

    def ends(self, legs: Any) -> None:
        self.under_way -= 1

    def on_movement(self, account_id: str, amount_cents: int, certain: bool) -> None:
        self.movements.append((account_id, amount_cents, certain))

    def not_answered(self, legs: Sequence[tuple[str, int]]) -> None:
        self.movements += [(account_id, amount_cents, False) for account_id, amount_cents in legs]
