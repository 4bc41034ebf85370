"""Reads and card payments at the bank that no run makes: accounts, histories, credit lines.

A card is paid off by a transfer to its account: the real bank's payment route books a row and leaves
the balance alone.  A history is read from `items` or `transactions`, whichever the answer holds.

A movement is sent once, reported to the books, and answers like any other; everything else raises
RequestFailed on a refusal.  Amounts are integer cents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from banksim.model import BankReply, BanksimError
from banksim.model.money import from_wire
from banksim.targets import nexum_wire as wire
from banksim.targets.calls import Request, failure_text
from banksim.targets.nexum import NexumClient

HISTORY_PAGE = 200


class RequestFailed(BanksimError):
    """The bank refused, or its answer is unusable: the reason and the HTTP status (0: no answer)."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


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
    """Further services of one bank, over the connection of its client."""

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
    """Accounts, cards and histories at the bank of ``client``, over its connection."""
    return NexumBanking(client)
