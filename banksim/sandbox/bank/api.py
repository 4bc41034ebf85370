"""The stand-in core bank: requests in, answers out, no network.

What: the routes a customer's life needs (customers, KYC, accounts, deposit, withdrawal, transfer,
history, health) with the bodies, texts and status codes measured on the real bank, on top of a
double-entry `Ledger`.

Stand-in-only additions, which the real bank ignores or lacks:
``GET /ledger/trial-balance`` and ``GET /ledger/balances?after=&limit=`` for reconciliation, and an
optional ``idempotency_key`` on movements.  ``reference`` alone is stored and never deduplicates, as
in the real bank.

Quirks of the real bank that are left out on purpose:
- V1: after five refusals within an hour, over-limit payments were let through.  Here a limit holds.
- M1: a deposit in another currency answered 200 and the money vanished.  Here it is refused.
- Account numbers that collide when two accounts open in one second carry a counter here.

Not handled: loans, card statements and payments, compliance alerts, audit, sign-in (404); rate
limiting.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from banksim.sandbox.bank import records
from banksim.sandbox.bank.database import (
    IN_MEMORY,
    CommitUnknown,
    ConnectionLost,
    Database,
    StorageError,
    Unavailable,
    open_sqlite,
)
from banksim.sandbox.bank.ledger import MAX_POSTINGS_IN_MEMORY, Ledger
from banksim.sandbox.bank.movements import Movements
from banksim.sandbox.bank.postgres import POSTGRES_SCHEMES, open_postgres
from banksim.sandbox.bank.records import AccountPapers, BankCustomer, Registry
from banksim.sandbox.http import Query, Refusal, Reply, read

Handler = Callable[[Query, Any], Reply]
ItemHandler = Callable[[str, Query, Any], Reply]


def open_database(where: str | Path = IN_MEMORY) -> Database:
    """A database at a path, in memory, or at a postgresql:// URL, its schema up to date.

    Raises DatabaseError.
    """
    if str(where).startswith(POSTGRES_SCHEMES):
        return open_postgres(str(where))
    return open_sqlite(where)


class BankApi:
    """``handle(method, path, query, body) -> (status, JSON-able)``; answers one request at a time.

    ``database`` is a file's path, ``:memory:`` or a postgresql:// URL; ``new_id`` makes customer,
    account and transaction ids.  Raises database.DatabaseError when it cannot be used.
    """

    def __init__(
        self,
        database: str | Path = IN_MEMORY,
        *,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._db = open_database(database)
        self._new_id = new_id
        self._now_s = now_s
        self.ledger = Ledger(self._db, MAX_POSTINGS_IN_MEMORY if database == IN_MEMORY else None)
        self.registry = Registry(self._db)
        self._opened = 0
        self._movements = Movements(self.ledger, self.registry, new_id, now_s)
        self._routes: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._root},
            "/health": {"GET": self._health},
            "/customers": {"POST": self._create_customer},
            "/accounts": {"POST": self._open_account},
            "/transactions/deposit": {"POST": self._movements.deposit},
            "/transactions/withdraw": {"POST": self._movements.withdraw},
            "/transactions/transfer": {"POST": self._movements.transfer},
            "/ledger/trial-balance": {"GET": self._trial_balance},
            "/ledger/balances": {"GET": self._balances},
        }
        #: (collection, what follows the id) → handlers
        self._item_routes: dict[tuple[str, str], dict[str, ItemHandler]] = {
            ("customers", ""): {"GET": self._read_customer, "PUT": self._change_customer},
            ("customers", "kyc"): {"PUT": self._set_kyc},
            ("customers", "accounts"): {"GET": self._accounts_of},
            ("accounts", ""): {"GET": self._read_account},
            ("accounts", "transactions"): {"GET": self._movements.history},
        }

    def close(self) -> None:
        self._db.close()

    def handle(self, method: str, path: str, query: Query, body: Any = None) -> Reply:
        """Answer one request; ``body`` is the parsed JSON, None when there was none.  Never raises."""
        try:
            return self._db.perform(lambda: self._answer(method, path, query, body))
        except CommitUnknown as error:
            return 504, {"detail": f"It is not known whether this was done: {error}"}
        except (ConnectionLost, Unavailable) as error:
            return 503, {"detail": f"Banking system not available: {error}"}
        except StorageError as error:
            return 400, {"detail": str(error)}

    def _answer(self, method: str, path: str, query: Query, body: Any) -> Reply:
        try:
            return self._dispatch(method, path, query, body)
        except Refusal as refusal:
            return refusal.reply

    def _dispatch(self, method: str, path: str, query: Query, body: Any) -> Reply:
        route = self._routes.get(path)
        if route is not None:
            if method not in route:
                raise Refusal(405, "Method Not Allowed")
            return route[method](query, body)
        parts = path.split("/")
        item_route = None
        if len(parts) in (3, 4) and parts[2] and (len(parts) == 3 or parts[3]):
            item_route = self._item_routes.get((parts[1], parts[3] if len(parts) == 4 else ""))
        if item_route is None:
            raise Refusal(404, "Not Found")
        if method not in item_route:
            raise Refusal(405, "Method Not Allowed")
        return item_route[method](parts[2], query, body)

    # -- health and books --------------------------------------------------------------

    def _root(self, _query: Query, _body: Any) -> Reply:
        return 200, {
            "name": "banksim stand-in core bank",
            "version": "1.0.0",
            "endpoints": {"health": "/health", "customers": "/customers", "accounts": "/accounts"},
        }

    def _health(self, _query: Query, _body: Any) -> Reply:
        return 200, {
            "status": "healthy",
            "service": "core_banking_api",
            "version": "1.0.0",
            "timestamp": records.iso_utc(self._now_s()),
        }

    def _trial_balance(self, _query: Query, _body: Any) -> Reply:
        result = self.ledger.trial_balance()
        return 200, {
            "balanced": result.balanced,
            "accounts": result.accounts,
            "postings": result.postings,
            "total_cents": sum(result.totals_cents.values()),
            "totals_cents": result.totals_cents,
            "mismatched_accounts": result.mismatched_accounts,
            "failed_attempts_dropped": self._movements.failed.dropped,
        }

    def _balances(self, query: Query, _body: Any) -> Reply:
        page = read(records.BalancesPage, query, "query")
        rows = self.ledger.balances(page.after, page.limit)
        return 200, {"balances": dict(rows), "next": rows[-1][0] if len(rows) == page.limit else None}

    # -- customers ---------------------------------------------------------------------

    def _create_customer(self, _query: Query, body: Any) -> Reply:
        given = read(records.NewCustomer, body)
        records.check_date(given.date_of_birth)
        records.check_address(given.address)
        records.check_email(given.email)
        customer_id = self._new_id()
        customer = BankCustomer(
            customer_id,
            given.first_name,
            given.last_name,
            given.email,
            given.phone,
            "none",
            "tier_0",
            self._now_s(),
        )
        with self._db.transaction():
            self.registry.add_customer(customer)
        return 201, {"customer_id": customer_id, "message": "Customer created successfully"}

    def _read_customer(self, customer_id: str, _query: Query, _body: Any) -> Reply:
        customer = self.registry.customer(customer_id)
        if customer is None:
            raise Refusal(404, "Customer not found")
        return 200, {
            "id": customer_id,
            "first_name": customer.first_name,
            "last_name": customer.last_name,
            "email": customer.email,
            "phone": customer.phone,
            "kyc_status": customer.kyc_status,
            "kyc_tier": customer.kyc_tier,
            "is_active": True,
            "created_at": records.iso_utc(customer.created_at_s),
        }

    def _known(self, customer_id: str) -> BankCustomer:
        customer = self.registry.customer(customer_id)
        if customer is None:
            raise Refusal(400, f"Customer {customer_id} not found")
        return customer

    def _change_customer(self, customer_id: str, _query: Query, body: Any) -> Reply:
        given = read(records.ChangedCustomer, body)
        self._known(customer_id)
        records.check_address(given.address)
        records.check_email(given.email)
        with self._db.transaction():
            self.registry.change_customer(
                customer_id, given.model_dump(exclude={"address"}, exclude_none=True)
            )
        return 200, {"message": "Customer updated successfully"}

    def _set_kyc(self, customer_id: str, _query: Query, body: Any) -> Reply:
        given = read(records.Kyc, body)
        records.choice(given.status, records.KYC_STATUSES, "KYCStatus")
        if given.tier is not None:
            records.choice(given.tier, records.KYC_TIERS, "KYCTier")
        new_tier = self._known(customer_id).kyc_tier
        if given.status == "verified" and given.tier is not None:
            new_tier = given.tier
        elif given.status in ("rejected", "expired"):
            new_tier = "tier_0"
        with self._db.transaction():
            self.registry.set_kyc(customer_id, given.status, new_tier)
        return 200, {"message": "KYC status updated successfully"}

    # -- accounts ----------------------------------------------------------------------

    def _open_account(self, _query: Query, body: Any) -> Reply:
        given = read(records.NewAccount, body)
        records.choice(given.product_type, records.PRODUCT_TYPES, "ProductType")
        records.check_currency(given.currency)
        floor_cents = -_credit_cents(given)
        account_id, now_s = self._new_id(), self._now_s()
        self._opened += 1
        default_number = f"{records.NUMBER_PREFIX[given.product_type]}{int(now_s)}{self._opened:06d}"
        papers = AccountPapers(
            account_id,
            given.customer_id,
            given.account_number or default_number,
            given.product_type,
            given.currency,
            given.name,
            now_s,
        )
        with self._db.transaction():
            self.ledger.open_account(account_id, given.currency, floor_cents=floor_cents)
            self.registry.add_account(papers)
        return 201, {
            "account_id": account_id,
            "account_number": papers.account_number,
            "message": "Account created successfully",
        }

    def _read_account(self, account_id: str, _query: Query, _body: Any) -> Reply:
        papers, account = self.registry.account(account_id), self.ledger.account(account_id)
        if papers is None or account is None:
            raise Refusal(404, "Account not found")
        return 200, {
            **_account_json(papers, account.balance_cents),
            "customer_id": papers.customer_id,
            "available_balance": records.money_json(account.available_cents, papers.currency),
            "created_at": records.iso_utc(papers.created_at_s),
        }

    def _accounts_of(self, customer_id: str, _query: Query, _body: Any) -> Reply:
        return 200, {
            "accounts": [
                _account_json(papers, self.ledger.balance_cents(papers.account_id))
                for papers in self.registry.accounts_of(customer_id)
            ]
        }


def _account_json(papers: AccountPapers, balance_cents: int) -> dict[str, object]:
    return {
        "id": papers.account_id,
        "account_number": papers.account_number,
        "product_type": papers.product_type,
        "currency": papers.currency,
        "name": papers.name,
        "state": "active",
        "book_balance": records.money_json(balance_cents, papers.currency),
    }


def _credit_cents(given: records.NewAccount) -> int:
    """The limit of a credit line; 0 for other products.  Raises Refusal for limits that make no sense."""
    limits = (
        given.credit_limit,
        given.minimum_balance,
        given.daily_transaction_limit,
        given.monthly_transaction_limit,
    )
    cents = [0 if limit is None else records.money_cents(limit) for limit in limits]
    if any(limit is not None and limit.currency != given.currency for limit in limits):
        raise Refusal(400, "Account limits must be in the account's currency")
    if given.product_type != "credit_line":
        return 0
    if cents[0] < 0:
        raise Refusal(400, "Credit limit must not be negative")
    return cents[0]
