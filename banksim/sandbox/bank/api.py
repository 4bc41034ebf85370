"""The stand-in core bank: requests in, answers out, no network.

What: the routes a customer's life needs (customers, KYC, accounts, deposit, withdrawal, transfer,
loans, card statements, alerts, history, health) with the bodies, texts and status codes measured
on the real bank, on top of a double-entry `Ledger`.

Stand-in-only additions, which the real bank ignores or lacks:
``GET /ledger/trial-balance`` and ``GET /ledger/balances?after=&limit=`` for reconciliation, and an
optional ``idempotency_key`` on movements.  ``reference`` alone is stored and never deduplicates, as
in the real bank.

Quirks of the real bank that are left out on purpose, because this one is honest:
- V1: after five refusals within an hour, over-limit payments were let through.  Here a limit holds.
- M1: a deposit in another currency answered 200 and the money vanished.  Here it is refused.
- Account numbers that collide when two accounts open in one second carry a counter here.

Not handled: the card payment route (it moves nothing at the real bank), schedules, audit, sign-in
(404); rate limiting.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent
from gevent.event import AsyncResult

from banksim.sandbox.bank import values
from banksim.sandbox.bank.database import (
    IN_MEMORY,
    CommitUnknown,
    ConnectionLost,
    Database,
    StorageError,
    Unavailable,
    open_database,
)
from banksim.sandbox.bank.ledger import MAX_POSTINGS_IN_MEMORY, Ledger
from banksim.sandbox.bank.lending import Lending
from banksim.sandbox.bank.movements import ComplianceAlerts, FailedAttempts, Movements
from banksim.sandbox.bank.records import AccountPapers, BankCustomer, Registry
from banksim.sandbox.bank.values import Fields, Refusal, Reply, query_integer

# -- Several requests, one commit: a flush to disk costs the same for one posting as for fifty ------
#
# Requests that arrive while a commit is under way wait, and are then done together, one after
# the other in one transaction.  None is answered before that transaction is on the disk, so
# an answer is worth what it was worth before.
#
#     requests ──► waiting ──► [work, work, work, COMMIT] ──► answers
#                     ▲ while this goes on, the next ones gather
#
# When a group fails, nothing of it was written: lost before the commit, it is done once more;
# a statement that failed rolls the others back with it, so each is then done by itself; lost
# during the commit, nobody in it can be told what happened.


#: More than this in one transaction would make the first of them wait.
MAX_GROUP = 64


class _Request:
    """``work`` is what to do; ``result`` hears its reply, or the StorageError that ended it."""

    __slots__ = ("result", "work")

    def __init__(self, work: Callable[[], Reply]) -> None:
        self.work = work
        self.result = AsyncResult()


class GroupCommit:
    """Does requests in groups.  ``work`` must not be harmed by being done again after a rollback."""

    def __init__(self, database: Database, on_rollback: Callable[[], None]) -> None:
        """``on_rollback``: whatever was kept in memory about rows of this transaction is wrong."""
        self._db = database
        self._on_rollback = on_rollback
        self._waiting: list[_Request] = []
        self._working = False
        self.groups = 0

    def perform(self, work: Callable[[], Reply]) -> Reply:
        """Wait until ``work`` is done and committed.  Raises what it raised, or a StorageError."""
        request = _Request(work)
        self._waiting.append(request)
        if not self._working:
            self._working = True
            gevent.spawn(self._run)
        reply: Reply = request.result.get()
        return reply

    def _run(self) -> None:
        try:
            while self._waiting:
                with self._db.lock:  # only then: whoever waits for the lock has taken nothing yet
                    group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                    self._do(group)
        finally:
            self._working = False

    def _do(self, group: list[_Request]) -> None:
        self.groups += 1
        try:
            replies = self._together(group)
        except (CommitUnknown, ConnectionLost, Unavailable) as error:
            for request in group:
                request.result.set_exception(error)
        except Exception as error:
            if len(group) == 1:
                group[0].result.set_exception(error)
                return
            for request in group:
                self._do([request])
        else:
            for request, reply in zip(group, replies, strict=True):
                request.result.set(reply)

    def _together(self, group: list[_Request]) -> list[Reply]:
        """Once more from the start when the database restarted before anything was committed."""
        try:
            return self._in_one_transaction(group)
        except ConnectionLost:
            return self._in_one_transaction(group)

    def _in_one_transaction(self, group: list[_Request]) -> list[Reply]:
        try:
            with self._db.transaction():
                return [request.work() for request in group]
        except BaseException:
            self._on_rollback()
            raise


# -- Opening and reading accounts -------------------------------------------------------------------
#
# Account numbers that collide at the real bank, when two accounts open in one second, carry a
# counter here.


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


Query = Mapping[str, str]
Handler = Callable[[Query, Any], Reply]
ItemHandler = Callable[[str, Query, Any], Reply]

BALANCES_PAGE = 1_000
BALANCES_PAGE_MAX = 10_000


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
        self._alerts = ComplianceAlerts(new_id, now_s)
        self._movements = Movements(self.ledger, self.registry, FailedAttempts(), self._alerts, new_id, now_s)
        accounts = Accounts(self._db, self.ledger, self.registry, new_id, now_s)
        lending = Lending(self._db, self.ledger, self.registry, new_id, now_s)
        self._group = GroupCommit(self._db, self._movements.forget_cash) if self._db.flushes else None
        self._routes: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._root},
            "/health": {"GET": self._health},
            "/customers": {"POST": self._create_customer},
            "/accounts": {"POST": accounts.create},
            "/transactions/deposit": {"POST": self._movements.deposit},
            "/transactions/withdraw": {"POST": self._movements.withdraw},
            "/transactions/transfer": {"POST": self._movements.transfer},
            "/loans": {"POST": lending.originate},
            "/loans/payment": {"POST": lending.pay},
            "/compliance/alerts": {"GET": self._list_alerts},
            "/ledger/trial-balance": {"GET": self._trial_balance},
            "/ledger/balances": {"GET": self._balances},
        }
        #: (collection, what follows the id) → handlers
        self._item_routes: dict[tuple[str, str], dict[str, ItemHandler]] = {
            ("customers", ""): {"GET": self._read_customer, "PUT": self._change_customer},
            ("customers", "kyc"): {"PUT": self._set_kyc},
            ("customers", "accounts"): {"GET": accounts.of_customer},
            ("loans", ""): {"GET": lending.read},
            ("loans", "disburse"): {"POST": lending.disburse},
            ("credit", "statement"): {"POST": lending.statement},
            ("accounts", ""): {"GET": accounts.read},
            ("accounts", "transactions"): {"GET": self._movements.history},
        }

    def close(self) -> None:
        self._db.close()

    def handle(self, method: str, path: str, query: Query, body: Any = None) -> Reply:
        """Answer one request; ``body`` is the parsed JSON, None when there was none.  Never raises."""
        try:
            if self._group is not None:
                return self._group.perform(lambda: self._answer(method, path, query, body))
            with self._db.lock:
                return self._answer(method, path, query, body)
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
            "timestamp": values.iso_utc(self._now_s()),
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
        limit = query_integer(query, "limit", BALANCES_PAGE, 1, BALANCES_PAGE_MAX)
        rows = self.ledger.balances(query.get("after", ""), limit)
        return 200, {"balances": dict(rows), "next": rows[-1][0] if len(rows) == limit else None}

    def _list_alerts(self, query: Query, _body: Any) -> Reply:
        min_risk = query_integer(query, "min_risk_score", 0, 0)
        return 200, {"alerts": self._alerts.listed(query.get("status"), min_risk)}

    # -- customers ---------------------------------------------------------------------

    def _create_customer(self, _query: Query, body: Any) -> Reply:
        fields = Fields(body)
        first_name, last_name, email = (
            fields.text("first_name"),
            fields.text("last_name"),
            fields.text("email"),
        )
        phone, born = fields.optional_text("phone"), fields.optional_text("date_of_birth")
        country = values.read_address(fields)
        fields.check()
        if born is not None:
            values.check_date(born)
        values.check_country(country)
        values.check_email(email)
        customer_id = self._new_id()
        customer = BankCustomer(
            customer_id, first_name, last_name, email, phone, "none", "tier_0", self._now_s()
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
            "created_at": values.iso_utc(customer.created_at_s),
        }

    def _known(self, customer_id: str) -> BankCustomer:
        customer = self.registry.customer(customer_id)
        if customer is None:
            raise Refusal(400, f"Customer {customer_id} not found")
        return customer

    def _change_customer(self, customer_id: str, _query: Query, body: Any) -> Reply:
        fields = Fields(body)
        names = ("first_name", "last_name", "email", "phone")
        changes = {name: text for name in names if (text := fields.optional_text(name)) is not None}
        country = values.read_address(fields)
        fields.check()
        self._known(customer_id)
        values.check_country(country)
        if "email" in changes:
            values.check_email(changes["email"])
        with self._db.transaction():
            self.registry.change_customer(customer_id, changes)
        return 200, {"message": "Customer updated successfully"}

    def _set_kyc(self, customer_id: str, _query: Query, body: Any) -> Reply:
        fields = Fields(body)
        status, tier = fields.text("status"), fields.optional_text("tier")
        fields.optional_list("documents")
        fields.optional_integer("expiry_days")
        fields.check()
        values.choice(status, values.KYC_STATUSES, "KYCStatus")
        if tier is not None:
            values.choice(tier, values.KYC_TIERS, "KYCTier")
        new_tier = self._known(customer_id).kyc_tier
        if status == "verified" and tier is not None:
            new_tier = tier
        elif status in ("rejected", "expired"):
            new_tier = "tier_0"
        with self._db.transaction():
            self.registry.set_kyc(customer_id, status, new_tier)
        return 200, {"message": "KYC status updated successfully"}
