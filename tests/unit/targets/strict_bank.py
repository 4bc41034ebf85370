"""A bank as strict as the real Nexum: it refuses each field, word and type that Nexum refuses.

It keeps balances, so a whole lifecycle can be checked, and it is stricter in one thing: a
field that Nexum would silently ignore is a 422 here, since sending one is a mistake.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

CURRENCIES = {"USD", "EUR", "GBP", "JPY", "CAD", "CHF"}
PRODUCTS = {"savings", "checking", "credit_line", "loan", "gl_internal"}
CHANNELS = {"atm", "branch", "online", "mobile", "api", "system"}
KYC_STATUSES = {"none", "pending", "verified", "expired", "rejected"}
TIER_LIMITS = {"tier_0": 100, "tier_1": 1_000, "tier_2": 10_000, "tier_3": 100_000}
EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")

SCHEMAS: dict[str, tuple[dict[str, type], dict[str, type]]] = {
    # route → required fields, optional fields
    "/customers": (
        {"first_name": str, "last_name": str, "email": str},
        {"phone": str, "date_of_birth": str, "address": dict},
    ),
    "/kyc": ({"status": str}, {"tier": str, "documents": list, "expiry_days": int}),
    "/accounts": (
        {"customer_id": str, "product_type": str, "currency": str, "name": str},
        {"account_number": str, "interest_rate": str, "credit_limit": dict},
    ),
    "/transactions/deposit": (
        {"account_id": str, "amount": dict, "description": str},
        {"channel": str, "reference": str},
    ),
    "/transactions/transfer": (
        {"from_account_id": str, "to_account_id": str, "amount": dict, "description": str},
        {"channel": str, "reference": str},
    ),
}
SCHEMAS["/transactions/withdraw"] = SCHEMAS["/transactions/deposit"]
ADDRESS = ({"line1": str, "city": str, "state": str, "postal_code": str, "country": str}, {"line2": str})
MONEY = ({"amount": str, "currency": str}, {})


class Refused(Exception):
    def __init__(self, status: int, detail: Any) -> None:
        self.reply = (status, {"detail": detail})
        super().__init__(str(detail))


class StrictBank:
    """``handle`` as the sandbox's; ``refusals`` collects everything that was not a 2xx."""

    def __init__(self) -> None:
        self.customers: dict[str, dict[str, Any]] = {}
        self.accounts: dict[str, dict[str, Any]] = {}
        self.movements: list[tuple[str, dict[str, Any]]] = []
        self.rows: list[tuple[set[str], dict[str, Any]]] = []  # accounts named, row of their histories
        self.refusals: list[tuple[str, str, Any]] = []

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any) -> tuple[int, Any]:
        try:
            return self._route(method, path, body, query)
        except Refused as refused:
            self.refusals.append((method, path, refused.reply))
            return refused.reply

    def _route(self, method: str, path: str, body: Any, query: Mapping[str, str]) -> tuple[int, Any]:
        match method, path.split("/")[1:]:
            case "GET", ["health"]:
                return 200, {"status": "healthy"}
            case "POST", ["customers"]:
                return self._create_customer(checked(body, SCHEMAS["/customers"]))
            case "PUT", ["customers", customer_id, "kyc"]:
                return self._kyc(customer_id, checked(body, SCHEMAS["/kyc"]))
            case "POST", ["accounts"]:
                return self._create_account(checked(body, SCHEMAS["/accounts"]))
            case "GET", ["accounts", account_id]:
                if account_id not in self.accounts:
                    raise Refused(404, "Account not found")
                return 200, self._account_json(account_id)
            case "GET", ["customers", customer_id, "accounts"]:
                owned = [i for i, row in self.accounts.items() if row["customer_id"] == customer_id]
                return 200, {"accounts": [self._account_json(account_id) for account_id in owned]}
            case "GET", ["accounts", account_id, "transactions"]:
                if set(query) - {"skip", "limit"} or not 1 <= int(query.get("limit", "50")) <= 200:
                    raise Refused(422, [{"loc": ["query"], "msg": "not a page"}])
                rows = [row for accounts, row in reversed(self.rows) if account_id in accounts]
                return 200, {"transactions": rows}  # as the modular app has it: any limit, all rows
            case "POST", ["transactions", "deposit" | "withdraw" | "transfer" as movement]:
                return self._move(movement, checked(body, SCHEMAS[path]))
        raise Refused(404, "Not Found")

    def _create_customer(self, body: dict[str, Any]) -> tuple[int, Any]:
        if not EMAIL.fullmatch(body["email"]):
            raise Refused(400, "Invalid email format")
        if "date_of_birth" in body:
            date.fromisoformat(body["date_of_birth"])
        if "address" in body:
            country = checked(body["address"], ADDRESS)["country"]
            if not re.fullmatch("[A-Z]{2}", country):
                raise Refused(400, "Country must be 2-letter ISO code (e.g., 'US', 'CA')")
        customer_id = str(uuid.uuid4())
        self.customers[customer_id] = {**body, "tier": "tier_0", "kyc": "none"}
        return 201, {"customer_id": customer_id, "message": "Customer created successfully"}

    def _kyc(self, customer_id: str, body: dict[str, Any]) -> tuple[int, Any]:
        one_of(body["status"], KYC_STATUSES, "KYCStatus")
        if "tier" in body:
            one_of(body["tier"], set(TIER_LIMITS), "KYCTier")
        customer = self.customers.get(customer_id)
        if customer is None:
            raise Refused(400, f"Customer {customer_id} not found")
        customer["kyc"] = body["status"]
        if body["status"] == "verified":
            customer["tier"] = body.get("tier", customer["tier"])
        return 200, {"message": "KYC status updated successfully"}

    def _create_account(self, body: dict[str, Any]) -> tuple[int, Any]:
        one_of(body["product_type"], PRODUCTS, "ProductType")
        one_of(body["currency"], CURRENCIES, "Currency")
        account_id = str(uuid.uuid4())
        self.accounts[account_id] = {**body, "balance": Decimal(0)}
        return 201, {"account_id": account_id, "account_number": body.get("account_number", "CHK1")}

    def _account_json(self, account_id: str) -> dict[str, Any]:
        account = self.accounts[account_id]
        limit = Decimal(account.get("credit_limit", {}).get("amount", 0))

        def money(amount: Decimal) -> dict[str, str]:
            return {"amount": str(amount), "currency": account["currency"]}

        return {
            "id": account_id,
            "product_type": account["product_type"],
            "name": account["name"],
            "book_balance": money(account["balance"]),
            "available_balance": money(account["balance"] + limit),
        }

    def _move(self, movement: str, body: dict[str, Any]) -> tuple[int, Any]:
        try:
            reply = self._book(movement, body)
        except Refused:
            self._note(movement, body, "failed")
            raise
        self._note(movement, body, "completed")
        return reply

    def _note(self, movement: str, body: dict[str, Any], state: str) -> None:
        named = {body[key] for key in ("account_id", "from_account_id", "to_account_id") if key in body}
        kind = {"withdraw": "withdrawal", "transfer": "transfer_internal"}.get(movement, movement)
        row = {"id": str(uuid.uuid4()), "transaction_type": kind, "amount": body["amount"], "state": state}
        self.rows.append((named, {**row, "description": body["description"]}))

    def _book(self, movement: str, body: dict[str, Any]) -> tuple[int, Any]:
        money = checked(body["amount"], MONEY)
        channel = body.get("channel", "online")
        one_of(channel, CHANNELS, "TransactionChannel")
        one_of(money["currency"], CURRENCIES, "Currency")
        amount = Decimal(money["amount"])
        if amount <= 0:
            raise Refused(400, "Transaction amount must be positive")
        source = self._account(body.get("from_account_id") or body["account_id"], "From")
        limit = TIER_LIMITS[self.customers[source["customer_id"]]["tier"]]
        if channel != "system" and amount > limit:
            raise Refused(400, "Blocked by compliance rules")
        if money["currency"] != source["currency"]:
            raise Refused(400, f"Cannot compare {source['currency']} and {money['currency']}")
        available = source["balance"] + Decimal(source.get("credit_limit", {}).get("amount", 0))
        if movement != "deposit" and available < amount:
            raise Refused(400, f"Insufficient funds: available USD {source['balance']:,}, requested {amount}")
        source["balance"] += amount if movement == "deposit" else -amount
        if movement == "transfer":
            self._account(body["to_account_id"], "To")["balance"] += amount
        self.movements.append((movement, body))
        return 200, {"transaction_id": str(uuid.uuid4()), "state": "completed", "message": "ok"}

    def _account(self, account_id: str, side: str) -> dict[str, Any]:
        if account_id not in self.accounts:
            raise Refused(400, f"{side} account {account_id} not found")
        return self.accounts[account_id]


def checked(body: Any, schema: tuple[dict[str, type], dict[str, type]]) -> dict[str, Any]:
    """The body, or a 422 with the list that a schema failure answers."""
    required, optional = schema
    if not isinstance(body, dict):
        raise Refused(422, [{"type": "model_attributes_type", "loc": ["body"], "msg": "not an object"}])
    known = {**required, **optional}
    problems = [{"loc": ["body", key], "msg": "Field required"} for key in required if key not in body]
    problems += [{"loc": ["body", key], "msg": "unknown field"} for key in body if key not in known]
    problems += [
        {"loc": ["body", key], "msg": f"not a {kind.__name__}"}
        for key, kind in known.items()
        if key in body and not isinstance(body[key], kind)
    ]
    if problems:
        raise Refused(422, problems)
    return body


def one_of(word: str, words: set[str], kind: str) -> None:
    if word not in words:
        raise Refused(400, f"'{word}' is not a valid {kind}")
