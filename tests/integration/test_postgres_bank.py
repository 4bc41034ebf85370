"""The stand-in bank on PostgreSQL answers as it does on SQLite: one life, start to end."""

from __future__ import annotations

import pytest

from banksim.model import BankStatus
from banksim.sandbox import BankApi
from banksim.sandbox.bank.database import POSTGRES, STEPS, DatabaseError, StorageError, migrate
from banksim.sandbox.bank.postgres import PostgresDatabase, open_postgres
from tests.services.postgres import PostgresServer
from tests.unit.targets.test_nexum_banking import Life


def test_a_whole_life(postgres: PostgresServer) -> None:
    bank = BankApi(postgres.new_database("life"))
    life = Life(bank)
    banking, account = life.banking, life.account_id
    card = banking.open_account(life.customer_id, "credit_line", "CARD-1", 100_000)
    assert banking.pay_card(card, account, 30_000).status is BankStatus.POSTED
    assert banking.pay_card(card, account, 70_001).detail.startswith(
        "Insufficient funds: available USD 700.00"
    )
    assert [row.state for row in banking.history(card)] == ["failed", "completed"]
    life.assert_books_agree(account, card)
    books = bank.handle("GET", "/ledger/trial-balance", {})[1]
    assert (books["balanced"], books["total_cents"]) == (True, 0)
    listed = bank.handle("GET", "/ledger/balances", {"limit": "1"})[1]
    assert len(listed["balances"]) == 1 and listed["next"]
    assert bank.handle("GET", "/accounts/nobody", {})[0] == 404
    bank.close()


def test_its_schema_is_migrated_once_and_a_newer_one_refused(postgres: PostgresServer) -> None:
    url = postgres.new_database("steps")
    first = PostgresDatabase(url)
    assert migrate(first, POSTGRES) == len(STEPS)
    second = open_postgres(url)
    assert migrate(second, POSTGRES) == 0
    first.rows("INSERT INTO schema_versions VALUES (?, ?)", (99, 0.0))
    with pytest.raises(DatabaseError, match="version 99"):
        open_postgres(url)
    first.close()
    second.close()


def test_no_path_can_overdraw_an_account(postgres: PostgresServer) -> None:
    database = open_postgres(postgres.new_database("floor"))
    database.rows("INSERT INTO ledger_accounts (account_id, currency, floor_cents) VALUES ('a', 'USD', 0)")
    with pytest.raises(StorageError, match="not_below_floor"):
        database.rows("UPDATE ledger_accounts SET balance_cents = -1")
    with pytest.raises(StorageError), database.transaction():
        database.rows("UPDATE ledger_accounts SET balance_cents = 5")
        database.rows("nonsense")
    assert database.one("SELECT balance_cents FROM ledger_accounts") == (0,)
    database.close()


def test_a_wrong_password_or_database_is_one_message(postgres: PostgresServer) -> None:
    with pytest.raises(DatabaseError, match='database "nowhere" does not exist') as failure:
        open_postgres(postgres.url("nowhere"))
    assert "unused" not in str(failure.value)
