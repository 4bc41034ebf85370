"""What a customer does at the bank besides moving money: card, loan, statements of account.

These routes are no part of the load (a scenario has no words for them); they complete a
customer's life at a real bank, for checks before a run and for scripts.

Quirks of the real bank that decide how this is written:

* A card is paid off by a transfer to its account: the payment route books a row and leaves
  the balance alone.
* A loan is originated with the default amortization (the other methods make it unreadable),
  disbursed by a query parameter, and paid from an account that must be named, since without
  one the money comes from nowhere.
* A history is read from `items` or `transactions`, whichever the answer holds.

A movement is sent once, recorded in the books, and answers as any other; everything else raises
RequestFailed when the bank says no.  Amounts are integer cents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from banksim.model import BankReply, BanksimError
from banksim.model.money import from_wire
from banksim.targets import nexum_wire as wire
from banksim.targets.calls import Request, failure_text
from banksim.targets.nexum import NexumClient

HISTORY_PAGE = 200


class RequestFailed(BanksimError):
    """The bank said no, or something that cannot be used: what, and the HTTP status (0 without an answer)."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan as the bank knows it; ``payment_cents`` is one month's."""

    loan_id: str
    account_id: str
    state: str
    balance_cents: int
    payment_cents: int


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One row of an account's history; a failed attempt is one too."""

    transaction_id: str
    kind: str
    amount_cents: int
    description: str
    state: str


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account: book and available balance in cents, product and name."""

    account_id: str
    product: str
    name: str
    book_cents: int
    available_cents: int | None


class NexumBanking:
    """The further services of one bank, over its client."""

    def __init__(self, client: NexumClient) -> None:
        self._client = client
        self._currency = client.currency

    # Accounts

    def open_account(self, customer_id: str, product: str, number: str, credit_limit_cents: int = 0) -> str:
        """A further account of a product; a credit line needs its limit.  Returns its id."""
        body = wire.account_body(customer_id, product, self._currency, number)
        if credit_limit_cents:
            body["credit_limit"] = wire.money(credit_limit_cents, self._currency)
        return self._create("/accounts", body, "account_id")

    def account(self, account_id: str) -> AccountView:
        return self._view(self._ask("GET", f"/accounts/{account_id}", "/accounts/{id}"))

    def accounts_of(self, customer_id: str) -> list[AccountView]:
        """Every account of a customer; the bank leaves out the available balances here."""
        path, name = f"/customers/{customer_id}/accounts", "/customers/{id}/accounts"
        return [self._view(row) for row in _list(self._ask("GET", path, name), "accounts")]

    def history(self, account_id: str, limit: int = HISTORY_PAGE) -> list[HistoryRow]:
        """The newest ``limit`` (at most 200) rows, newest first, in both of the bank's forms."""
        path, name = f"/accounts/{account_id}/transactions", "/accounts/{id}/transactions"
        data = self._ask("GET", path, name, query={"skip": "0", "limit": str(min(limit, HISTORY_PAGE))})
        return [
            HistoryRow(
                _text(row, "id"),
                _text(row, "transaction_type"),
                self._cents(row, "amount"),
                _text(row, "description"),
                _text(row, "state"),
            )
            for row in _list(data, "items", "transactions")
        ][:limit]

    # Cards

    def pay_card(self, from_account_id: str, card_account_id: str, amount_cents: int) -> BankReply:
        """Pay a credit line off, by transfer."""
        body = {
            "from_account_id": from_account_id,
            "to_account_id": card_account_id,
            "amount": wire.money(amount_cents, self._currency),
            "description": "Card payment",
        }
        path = "/transactions/transfer"
        legs = [(from_account_id, -amount_cents), (card_account_id, amount_cents)]
        return self._client.move(Request("POST", path, path, body), legs, wire.judge_movement)

    def statement(self, card_account_id: str) -> int:
        """Have a statement made; returns the minimum payment due in cents."""
        data = self._ask("POST", f"/credit/{card_account_id}/statement", "/credit/{id}/statement")
        return self._cents(data, "minimum_payment_due")

    # Loans

    def originate_loan(
        self, customer_id: str, principal_cents: int, annual_rate: str, months: int, first_payment: date
    ) -> str:
        """``annual_rate`` is a fraction as text ("0.065").  Returns the loan's id."""
        body = {
            "customer_id": customer_id,
            "currency": self._currency,
            "terms": {
                "principal_amount": wire.money(principal_cents, self._currency),
                "annual_interest_rate": annual_rate,
                "term_months": months,
                "first_payment_date": first_payment.isoformat(),
            },
        }
        return self._create("/loans", body, "loan_id")

    def disburse_loan(self, loan_id: str, account_id: str, principal_cents: int) -> BankReply:
        """Have the principal paid out to an account."""
        return self._client.move(
            Request(
                "POST",
                f"/loans/{loan_id}/disburse",
                "/loans/{id}/disburse",
                query={"disbursement_account_id": account_id},
            ),
            [(account_id, principal_cents)],
            lambda reply: wire.judge_banking(reply, "transaction_id"),
        )

    def loan(self, loan_id: str) -> Loan:
        data = self._ask("GET", f"/loans/{loan_id}", "/loans/{id}")
        return Loan(
            loan_id,
            _text(data, "account_id"),
            _text(data, "state"),
            self._cents(data, "current_balance"),
            self._cents(data, "monthly_payment"),
        )

    def pay_loan(self, loan_id: str, from_account_id: str, amount_cents: int) -> BankReply:
        """One payment from an account."""
        body = {
            "loan_id": loan_id,
            "amount": wire.money(amount_cents, self._currency),
            "source_account_id": from_account_id,
        }
        path, legs = "/loans/payment", [(from_account_id, -amount_cents)]
        request = Request("POST", path, path, body)
        return self._client.move(request, legs, lambda reply: wire.judge_banking(reply, "payment_id"))

    # Compliance

    def alerts(self) -> list[Mapping[str, Any]]:
        """All compliance alerts; none where the bank has no such route."""
        try:
            data = self._ask("GET", "/compliance/alerts", "/compliance/alerts")
        except RequestFailed as error:
            if error.status == 404:
                return []
            raise
        return _list(data, "alerts")

    # Calling

    def _ask(
        self,
        method: str,
        path: str,
        name: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        wanted: int = 200,
    ) -> Any:
        request = Request(method, path, name, body, query)
        reply = self._client.send(request)
        if reply.status == wanted and not reply.error:
            self._client.report(request, reply, None)
            return reply.data
        reason = failure_text(reply)
        self._client.report(request, reply, reason)
        raise RequestFailed(f"{method} {name} failed: {reason}", reply.status)

    def _create(self, path: str, body: Mapping[str, Any], key: str) -> str:
        value = wire.usable_id(self._ask("POST", path, path, body, wanted=201), key)
        if value is None:
            raise RequestFailed(f"POST {path} answered without a usable {key!r}")
        return value

    # Reading

    def _view(self, data: Any) -> AccountView:
        available = self._cents(data, "available_balance") if "available_balance" in data else None
        return AccountView(
            _text(data, "id"),
            _text(data, "product_type"),
            _text(data, "name"),
            self._cents(data, "book_balance"),
            available,
        )

    def _cents(self, data: Any, key: str) -> int:
        try:
            return from_wire(data[key]["amount"], self._currency)
        except (KeyError, TypeError, ValueError):
            raise RequestFailed(f"the bank's answer holds no amount {key!r}") from None


def _text(data: Any, key: str) -> str:
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, str):
        raise RequestFailed(f"the bank's answer holds no {key!r}")
    return value


def _list(data: Any, *keys: str) -> list[Any]:
    for key in keys:
        rows = data.get(key) if isinstance(data, Mapping) else None
        if isinstance(rows, list):
            return rows
    raise RequestFailed(f"the bank's answer holds no {' and no '.join(map(repr, keys))}")


def banking_of(client: NexumClient) -> NexumBanking:
    """Cards, loans and histories at the bank of ``client``, over its connection."""
    return NexumBanking(client)
