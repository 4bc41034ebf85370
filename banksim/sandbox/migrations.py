"""The bank's schema, as the steps that led to it.

Each step is SQL that SQLite and PostgreSQL both understand once the words in braces are
filled in.  `migrate` applies what is missing, each step in a transaction of its own together
with its number, so a process killed half-way leaves a schema that the next start completes.
The steps are never changed once released; a change is a further step.

Not handled: going back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

#: What differs: the type names, and what follows a table's closing bracket.
SQLITE: Mapping[str, str] = {
    "serial": "INTEGER PRIMARY KEY",
    "integer": "INTEGER",
    "real": "REAL",
    "rows": " STRICT",
    "keyed": " STRICT, WITHOUT ROWID",
}
POSTGRES: Mapping[str, str] = {
    "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "integer": "BIGINT",
    "real": "DOUBLE PRECISION",
    "rows": "",
    "keyed": "",
}

#: "IF NOT EXISTS": files written before versions were counted hold the tables of step 1.
_BOOKS = (
    """CREATE TABLE IF NOT EXISTS ledger_accounts (
        id {serial},
        account_id TEXT NOT NULL UNIQUE,
        currency TEXT NOT NULL,
        floor_cents {integer},
        balance_cents {integer} NOT NULL DEFAULT 0,
        CONSTRAINT not_below_floor CHECK (floor_cents IS NULL OR balance_cents >= floor_cents)
    ){rows}""",
    """CREATE TABLE IF NOT EXISTS postings (
        id {serial},
        transaction_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        amount_cents {integer} NOT NULL CHECK (amount_cents > 0),
        currency TEXT NOT NULL,
        description TEXT NOT NULL,
        channel TEXT NOT NULL,
        reference TEXT,
        created_at_s {real} NOT NULL
    ){rows}""",
    """CREATE TABLE IF NOT EXISTS legs (
        account {integer} NOT NULL,
        posting {integer} NOT NULL,
        leg {integer} NOT NULL,
        amount_cents {integer} NOT NULL,
        PRIMARY KEY (account, posting, leg)
    ){keyed}""",
    """CREATE TABLE IF NOT EXISTS idempotency_keys (
        key TEXT PRIMARY KEY,
        posting {integer} NOT NULL,
        fingerprint TEXT NOT NULL
    ){keyed}""",
    """CREATE TABLE IF NOT EXISTS customers (
        customer_id TEXT PRIMARY KEY,
        first_name TEXT NOT NULL,
        last_name TEXT NOT NULL,
        email TEXT NOT NULL,
        phone TEXT,
        kyc_status TEXT NOT NULL,
        kyc_tier TEXT NOT NULL,
        created_at_s {real} NOT NULL
    ){keyed}""",
    """CREATE TABLE IF NOT EXISTS account_papers (
        account_id TEXT PRIMARY KEY,
        customer_id TEXT NOT NULL,
        account_number TEXT NOT NULL,
        product_type TEXT NOT NULL,
        currency TEXT NOT NULL,
        name TEXT NOT NULL,
        created_at_s {real} NOT NULL
    ){keyed}""",
    "CREATE INDEX IF NOT EXISTS papers_by_customer ON account_papers (customer_id)",
)

_LOANS = (
    """CREATE TABLE loans (
        loan_id TEXT PRIMARY KEY,
        customer_id TEXT NOT NULL,
        account_id TEXT NOT NULL,
        currency TEXT NOT NULL,
        state TEXT NOT NULL,
        principal_cents {integer} NOT NULL,
        balance_cents {integer} NOT NULL,
        annual_rate TEXT NOT NULL,
        term_months {integer} NOT NULL,
        payment_cents {integer} NOT NULL,
        originated_on TEXT NOT NULL,
        matures_on TEXT NOT NULL
    ){keyed}""",
)

#: Version → statements; versions count from 1 without gaps.
STEPS: tuple[Sequence[str], ...] = (_BOOKS, _LOANS)

_VERSIONS = """CREATE TABLE IF NOT EXISTS schema_versions (
    version {integer} PRIMARY KEY,
    applied_at_s {real} NOT NULL
){rows}"""


class _Database(Protocol):
    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def transaction(self) -> AbstractContextManager[None]: ...


def migrate(
    database: _Database, words: Mapping[str, str], steps: Sequence[Sequence[str]] = STEPS, lock: str = ""
) -> int:
    """Apply the missing steps; returns how many.  ``lock`` is SQL that keeps other processes out.

    Raises ValueError when the database was written by a newer version.
    """
    with database.transaction():
        if lock:
            database.rows(lock)
        database.rows(_VERSIONS.format(**words))
    applied = 0
    while True:
        with database.transaction():
            if lock:
                database.rows(lock)
            version = database.rows("SELECT COALESCE(MAX(version), 0) FROM schema_versions")[0][0]
            if version > len(steps):
                raise ValueError(
                    f"its schema has version {version}, this banksim knows versions up to {len(steps)}"
                )
            if version == len(steps):
                return applied
            for statement in steps[version]:
                database.rows(statement.format(**words))
            database.rows("INSERT INTO schema_versions VALUES (?, ?)", (version + 1, time.time()))
        applied += 1
