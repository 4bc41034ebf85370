"""Opening a database, and bringing its schema up to date."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from banksim.sandbox.bank.api import BankApi, open_database
from banksim.sandbox.bank.database import (
    SQLITE,
    STEPS,
    DatabaseError,
    SqliteDatabase,
    StorageError,
    migrate,
)
from banksim.sandbox.bank.postgres import _numbered, _parsed


def versions(database: SqliteDatabase) -> list[int]:
    return [row[0] for row in database.rows("SELECT version FROM schema_versions ORDER BY version")]


def test_every_step_is_applied_once() -> None:
    database = SqliteDatabase()
    assert migrate(database, SQLITE) == len(STEPS)
    assert migrate(database, SQLITE) == 0
    assert versions(database) == list(range(1, len(STEPS) + 1))


def test_a_step_that_fails_leaves_the_steps_before_it_and_can_be_done_again() -> None:
    database = SqliteDatabase()
    first, broken, whole = ["CREATE TABLE a (x)"], ["CREATE TABLE b (x)", "nonsense"], ["CREATE TABLE b (x)"]
    with pytest.raises(StorageError, match="nonsense"):
        migrate(database, SQLITE, (first, broken))
    assert versions(database) == [1]
    assert migrate(database, SQLITE, (first, whole)) == 1
    assert versions(database) == [1, 2]


def test_a_file_from_before_versions_were_counted_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        for statement in STEPS[0]:
            old.execute(statement.format(**SQLITE))
        old.execute(
            "INSERT INTO ledger_accounts (account_id, currency, balance_cents) VALUES ('a', 'USD', 7)"
        )
    old.close()
    bank = BankApi(path)
    assert bank.ledger.balance_cents("a") == 7
    bank.close()


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    database = open_database(path)
    database.rows("INSERT INTO schema_versions VALUES (99, 0)")
    database.close()
    with pytest.raises(DatabaseError, match=r"new\.db: its schema has version 99"):
        open_database(path)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql://localhost/bank", "a user"),
        ("postgresql://me@/bank", "a host"),
        ("postgresql://me@localhost", "a database"),
        ("postgresql://me@localhost:x/bank", "Port could not be cast"),
        ("postgresql://me@localhost/bank?timeout=3", "sslmode"),
        ("postgresql://me@localhost/bank?sslmode=maybe", "sslmode"),
    ],
)
def test_a_url_that_cannot_work_is_refused_in_words(url: str, text: str) -> None:
    with pytest.raises(DatabaseError, match=text):
        open_database(url)


def test_the_password_never_shows() -> None:
    options, address = _parsed("postgresql://me:s%40crt@db:5433/bank?sslmode=require")
    assert options["password"] == "s@crt"
    assert (options["port"], options["tls"], address) == (5433, "require", "postgresql://db:5433/bank")
    with pytest.raises(DatabaseError) as failure:
        open_database("postgresql://me:s%40crt@127.0.0.1:1/bank")
    assert "crt" not in str(failure.value)
    assert "Connection refused" in str(failure.value)


def test_placeholders_are_numbered() -> None:
    assert _numbered("SELECT ?, ? WHERE x = ?") == "SELECT :p1, :p2 WHERE x = :p3"


def test_a_file_with_loans_and_without_cash_accounts_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "loans.db"
    old = SqliteDatabase(path)
    migrate(old, SQLITE, STEPS[:2])
    old.rows("INSERT INTO ledger_accounts (account_id, currency, floor_cents) VALUES ('a', 'CHF', 0)")
    old.close()
    bank = BankApi(path)
    money = {"amount": "7.00", "currency": "CHF"}
    body = {"account_id": "a", "amount": money, "description": "d", "channel": "system"}
    assert bank.handle("POST", "/transactions/deposit", {}, body)[0] == 200
    assert bank.ledger.trial_balance().balanced
    bank.close()
