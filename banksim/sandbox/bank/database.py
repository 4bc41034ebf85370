"""The database of the bank's books: its schema, and SQLite in memory or in a file.

SQLite (here) and PostgreSQL (`postgres`) speak the same small SQL: ``?`` for parameters, RETURNING, ON
CONFLICT.  A file runs in write-ahead mode with ``synchronous=NORMAL``: killing the process loses no
answered posting; cutting the power may lose the last few commits but never half of one.  PostgreSQL
waits for its disk at each commit.

Why one connection: the bank answers one request at a time, as the real one does, so there is nothing
to pool.

Not handled: two stand-in banks writing one database at full speed.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from banksim.model import BanksimError

# -- The bank's schema, as migration steps ----------------------------------------------------------
#
# Each step is SQL that SQLite and PostgreSQL both understand once the words in braces are
# filled in.  `migrate` applies the missing ones, each in a transaction of its own together
# with its number, so a process killed half-way leaves a schema that the next start completes.
# Released steps are never changed; a change is a further step.
#
# Not handled: downgrades.


#: The differences: type names, and the options after a table's closing bracket.
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

#: Loans are no longer kept; each currency in use has its cash account from the start.
_CASH_ACCOUNTS = (
    "DROP TABLE loans",
    """INSERT INTO ledger_accounts (account_id, currency, floor_cents)
        SELECT DISTINCT 'gl:cash:' || currency, currency, CAST(NULL AS {integer})
        FROM ledger_accounts WHERE TRUE ON CONFLICT (account_id) DO NOTHING""",
)

#: Version → statements; versions count from 1 without gaps.
STEPS: tuple[Sequence[str], ...] = (_BOOKS, _LOANS, _CASH_ACCOUNTS)

_VERSIONS = """CREATE TABLE IF NOT EXISTS schema_versions (
    version {integer} PRIMARY KEY,
    applied_at_s {real} NOT NULL
){rows}"""


IN_MEMORY = ":memory:"
Row = tuple[Any, ...]
Result = TypeVar("Result")


class DatabaseError(BanksimError):
    """The database cannot be opened, or was not written by the stand-in bank."""


class StorageError(Exception):
    """A statement failed; outside of `Database.transaction` nothing of it was written."""


class ConnectionLost(StorageError):
    """The connection broke before anything was committed: repeating is safe."""


class Unavailable(StorageError):
    """The database cannot be reached: nothing was done."""


class CommitUnknown(StorageError):
    """The connection broke during the commit: it is unknown whether it was done."""


class Database(Protocol):
    """One connection in autocommit mode: transactions begin explicitly."""

    def perform(self, work: Callable[[], Result]) -> Result:
        """Do one request's ``work`` on the database, alone, and return when it is committed.

        Raises what ``work`` raised, or a StorageError.  ``work`` may be repeated after a rollback.
        """

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of one statement.  Raises StorageError."""

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of one statement, None when there is none.  Raises StorageError."""

    def transaction(self) -> AbstractContextManager[None]:
        """All statements inside, or none of them."""

    @property
    def posts_at_once(self) -> bool:
        """Whether it has the function ``post_two_legs``."""

    def close(self) -> None: ...


class SqliteDatabase:
    """SQLite in memory or in a file.  Raises DatabaseError when it cannot be opened."""

    posts_at_once = False

    def __init__(self, path: str | Path = IN_MEMORY) -> None:
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                str(path), isolation_level=None, check_same_thread=False, cached_statements=256, timeout=5.0
            )
            if str(path) != IN_MEMORY:
                self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
                self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA foreign_keys = OFF")  # the ledger checks them itself
        except sqlite3.Error as error:
            raise DatabaseError(f"cannot open the database {path}: {error}") from error

    def perform(self, work: Callable[[], Result]) -> Result:
        with self._lock:
            return work()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StorageError(str(error)) from error

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        rows = self.rows(sql, values)
        return rows[0] if rows else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.rows("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.rows("ROLLBACK")
            raise
        self.rows("COMMIT")

    def close(self) -> None:
        self._connection.close()


def migrate(
    database: Database, words: Mapping[str, str], steps: Sequence[Sequence[str]] = STEPS, lock: str = ""
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
                    f"its schema has version {version}, this banksim supports versions up to {len(steps)}"
                )
            if version == len(steps):
                return applied
            for statement in steps[version]:
                database.rows(statement.format(**words))
            database.rows("INSERT INTO schema_versions VALUES (?, ?)", (version + 1, time.time()))
        applied += 1


def open_sqlite(path: str | Path = IN_MEMORY) -> SqliteDatabase:
    """SQLite at a path or in memory, its schema up to date.  Raises DatabaseError."""
    database = SqliteDatabase(path)
    try:
        migrate(database, SQLITE)
    except StorageError as error:
        database.close()
        raise DatabaseError(f"cannot open the database {path}: {error}") from error
    except ValueError as error:
        database.close()
        raise DatabaseError(f"cannot use the database {path}: {error}") from error
    return database
