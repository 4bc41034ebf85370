"""Requests that share a commit: each keeps its own outcome, and none is answered before the disk has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from banksim.sandbox import BankApi
from banksim.sandbox.bank.postgres import GroupCommit, PostgresDatabase
from tests.services.postgres import PostgresServer

pytestmark = pytest.mark.timing


@pytest.fixture(scope="module")
def databases(postgres: PostgresServer) -> Iterator[Any]:
    numbers = iter(range(1_000))
    yield lambda: postgres.new_database(f"group{next(numbers)}")


@pytest.fixture
def bank(databases: Any) -> Iterator[BankApi]:
    made = BankApi(databases())
    yield made
    made.close()


def account(bank: BankApi, cents: int = 0) -> str:
    body = {"customer_id": "c", "product_type": "checking", "currency": "USD", "name": "Main"}
    account_id: str = bank.handle("POST", "/accounts", {}, body)[1]["account_id"]
    if cents:
        assert move(bank, "deposit", cents, account_id=account_id)[0] == 200
    return account_id


def move(bank: BankApi, kind: str, cents: int, **fields: Any) -> tuple[int, Any]:
    money = {"amount": f"{cents / 100:.2f}", "currency": fields.pop("currency", "USD")}
    body = {"amount": money, "description": "d", "channel": "system", **fields}
    return bank.handle("POST", f"/transactions/{kind}", {}, body)


def together(*calls: Any) -> list[tuple[int, Any]]:
    """All at once, so that they share transactions."""
    waiting = [gevent.spawn(call) for call in calls]
    return [greenlet.get(timeout=20) for greenlet in waiting]


def held(bank: BankApi, account_id: str) -> int:
    balances: dict[str, int] = bank.handle("GET", "/ledger/balances", {"limit": "10000"})[1]["balances"]
    return balances[account_id]


def shared(bank: BankApi) -> GroupCommit:
    assert isinstance(bank._db, PostgresDatabase)
    return bank._db.group


def break_history(bank: BankApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a history becomes a statement that the database refuses."""

    def broken(*_: Any) -> Any:
        bank.ledger._db.rows("SELECT * FROM no_such_table")

    monkeypatch.setitem(bank._item_routes[("accounts", "transactions")], "GET", broken)


def test_each_of_a_group_has_its_own_outcome(bank: BankApi) -> None:
    rich, poor, other = account(bank, 100_000), account(bank), account(bank)
    groups = shared(bank).groups
    replies = together(
        lambda: move(bank, "withdraw", 300, account_id=rich),
        lambda: move(bank, "withdraw", 1, account_id=poor),
        lambda: move(bank, "transfer", 500, from_account_id=rich, to_account_id="nobody"),
        lambda: move(bank, "transfer", 700, from_account_id=rich, to_account_id=other),
        lambda: move(bank, "transfer", 5, from_account_id=rich, to_account_id=other, currency="EUR"),
        lambda: move(bank, "deposit", 11, account_id=rich, idempotency_key="k"),
        lambda: move(bank, "deposit", 11, account_id=rich, idempotency_key="k"),
        lambda: bank.handle("GET", f"/accounts/{rich}", {}),
    )
    assert [status for status, _ in replies] == [200, 400, 400, 200, 400, 200, 200, 200]
    assert replies[1][1]["detail"].startswith("Insufficient funds: available USD 0.00")
    assert replies[2][1]["detail"] == "To account nobody not found"
    assert replies[5][1]["transaction_id"] == replies[6][1]["transaction_id"], "the same posting"
    assert (held(bank, rich), held(bank, other), held(bank, poor)) == (100_000 - 300 - 700 + 11, 700, 0)
    assert bank.handle("GET", "/ledger/trial-balance", {})[1]["balanced"]
    assert shared(bank).groups - groups < 8, "they shared commits"


def test_the_function_moves_all_or_nothing(bank: BankApi) -> None:
    payer = account(bank, 1_000)
    for to, amount in (("nobody", 10), (payer, 2_000)):
        assert move(bank, "transfer", amount, from_account_id=payer, to_account_id=to)[0] == 400
        assert held(bank, payer) == 1_000
    history = bank.handle("GET", f"/accounts/{payer}/transactions", {})[1]["items"]
    assert [row["state"] for row in history] == ["failed", "failed", "completed"]
    assert bank.handle("GET", "/ledger/trial-balance", {})[1]["balanced"]


def test_a_fault_in_one_request_spoils_no_other(bank: BankApi, monkeypatch: pytest.MonkeyPatch) -> None:
    payer = account(bank, 1_000)
    break_history(bank, monkeypatch)
    replies = together(
        lambda: move(bank, "withdraw", 100, account_id=payer),
        lambda: bank.handle("GET", f"/accounts/{payer}/transactions", {}),
        lambda: move(bank, "withdraw", 200, account_id=payer),
    )
    assert [status for status, _ in replies] == [200, 400, 200]
    assert "no_such_table" in replies[1][1]["detail"]
    assert held(bank, payer) == 700, "once each"


def test_a_cash_account_that_was_rolled_back_is_opened_again(
    bank: BankApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very first deposit shares a transaction that fails."""
    mine = account(bank)

    break_history(bank, monkeypatch)
    replies = together(
        lambda: move(bank, "deposit", 100, account_id=mine),
        lambda: bank.handle("GET", f"/accounts/{mine}/transactions", {}),
    )
    assert [status for status, _ in replies] == [200, 400]
    assert move(bank, "deposit", 50, account_id=mine)[0] == 200
    assert held(bank, mine) == 150


def test_a_hundred_at_once_add_up(bank: BankApi) -> None:
    accounts = [account(bank, 10_000) for _ in range(5)]

    def transfer(number: int) -> Any:
        payer, payee = accounts[number % 5], accounts[(number * 3 + 1) % 5]
        if payer == payee:
            return lambda: move(bank, "deposit", 1, account_id=payer)
        return lambda: move(bank, "transfer", number + 1, from_account_id=payer, to_account_id=payee)

    replies = together(*(transfer(number) for number in range(100)))
    assert all(status == 200 for status, _ in replies)
    deposits = sum((number * 3 + 1) % 5 == number % 5 for number in range(100))
    assert sum(held(bank, one) for one in accounts) == 50_000 + deposits
    assert bank.handle("GET", "/ledger/trial-balance", {})[1]["balanced"]
