"""Opening and reading accounts.

Account numbers that collide at the real bank, when two accounts open in one second, carry a
counter here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from banksim.sandbox import bank_values as values
from banksim.sandbox.database import Database
from banksim.sandbox.fields import Fields, Refusal, Reply
from banksim.sandbox.ledger import Ledger
from banksim.sandbox.registry import AccountPapers, Registry


class Accounts:
    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        registry: Registry,
        new_id: Callable[[], str],
        now_s: Callable[[], float],
    ) -> None:
        self._db = database
        self._ledger = ledger
        self._registry = registry
        self._new_id = new_id
        self._now_s = now_s
        self._opened = 0

    def create(self, _query: Mapping[str, str], body: Any) -> Reply:
        fields = Fields(body)
        customer_id, product = fields.text("customer_id"), fields.text("product_type")
        currency, name = fields.text("currency"), fields.text("name")
        number, _rate = fields.optional_text("account_number"), fields.optional_text("interest_rate")
        limits = {
            limit: values.read_money(fields, limit)
            for limit in (
                "credit_limit",
                "minimum_balance",
                "daily_transaction_limit",
                "monthly_transaction_limit",
            )
            if limit in fields
        }
        fields.check()
        values.choice(product, values.PRODUCT_TYPES, "ProductType")
        values.check_currency(currency)
        limit_cents = {limit: values.money_cents(*money) for limit, money in limits.items()}
        if any(money_currency != currency for _, money_currency in limits.values()):
            raise Refusal(400, "Account limits must be in the account's currency")
        credit_cents = limit_cents.get("credit_limit", 0) if product == "credit_line" else 0
        if credit_cents < 0:
            raise Refusal(400, "Credit limit must not be negative")
        account_id, now_s = self._new_id(), self._now_s()
        self._opened += 1
        number = number or f"{values.NUMBER_PREFIX[product]}{int(now_s)}{self._opened:06d}"
        with self._db.transaction():
            self._ledger.open_account(account_id, currency, floor_cents=-credit_cents)
            self._registry.add_account(
                AccountPapers(account_id, customer_id, number, product, currency, name, now_s)
            )
        return 201, {
            "account_id": account_id,
            "account_number": number,
            "message": "Account created successfully",
        }

    def read(self, account_id: str, _query: Mapping[str, str], _body: Any) -> Reply:
        papers, account = self._registry.account(account_id), self._ledger.account(account_id)
        if papers is None or account is None:
            raise Refusal(404, "Account not found")
        return 200, {
            **self._as_json(papers, account.balance_cents),
            "customer_id": papers.customer_id,
            "available_balance": values.money_json(account.available_cents, papers.currency),
            "created_at": values.iso_utc(papers.created_at_s),
        }

    def of_customer(self, customer_id: str, _query: Mapping[str, str], _body: Any) -> Reply:
        return 200, {
            "accounts": [
                self._as_json(papers, self._ledger.balance_cents(papers.account_id))
                for papers in self._registry.accounts_of(customer_id)
            ]
        }

    @staticmethod
    def _as_json(papers: AccountPapers, balance_cents: int) -> dict[str, Any]:
        return {
            "id": papers.account_id,
            "account_number": papers.account_number,
            "product_type": papers.product_type,
            "currency": papers.currency,
            "name": papers.name,
            "state": "active",
            "book_balance": values.money_json(balance_cents, papers.currency),
        }
