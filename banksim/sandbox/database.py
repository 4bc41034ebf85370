"""Where the bank keeps its books: one database, opened the way a ledger needs it.

What: SQLite in memory by default, an SQLite file when a path is given, PostgreSQL by URL
(postgres.py).  Both speak the same small SQL here: ``?`` for parameters, RETURNING, ON
CONFLICT.  A file runs in write-ahead mode with ``synchronous=NORMAL``: killing the process
loses nothing that was answered; cutting the power may lose the last few commits but never
half of one.  PostgreSQL waits for its disk at each commit.

Why one connection: the bank answers one request at a time, as the real one does, so there is
nothing to pool.  Whoever uses a database holds its ``lock`` meanwhile.

The schema is brought up to date when a database is opened (migrations.py).

Not handled: two stand-in banks writing one database at full speed.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from banksim.domain import BanksimError
from banksim.sandbox.migrations import SQLITE, migrate

IN_MEMORY = ":memory:"
POSTGRES_SCHEMES = ("postgresql://", "postgres://")
Row = tuple[Any, ...]


class DatabaseError(BanksimError):
    """The database cannot be opened or is not one of ours."""


class StorageError(Exception):
    """A statement failed; outside of `Database.transaction` nothing of it was written."""


class ConnectionLost(StorageError):
    """The database went away before anything was committed: doing it again is safe."""


class Unavailable(StorageError):
    """The database cannot be reached: nothing was done."""


class CommitUnknown(StorageError):
    """The database went away while it committed: nobody knows whether it did."""


class Database(Protocol):
    """One connection in autocommit mode: transactions are ours to begin."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held by whoever uses the database, for as long as the request takes."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of one statement.  Raises StorageError."""

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of one statement, None when there is none.  Raises StorageError."""

    def transaction(self) -> AbstractContextManager[None]:
        """All statements inside, or none of them."""

    @property
    def flushes(self) -> bool:
        """Whether a commit waits for a disk, so that several requests should share one."""

    @property
    def posts_at_once(self) -> bool:
        """Whether it has the function of posting_function.py."""

    def close(self) -> None: ...


class SqliteDatabase:
    """SQLite in memory or in a file.  Raises DatabaseError when it cannot be opened."""

    flushes = False
    posts_at_once = False

    def __init__(self, path: str | Path = IN_MEMORY) -> None:
        self.lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                str(path), isolation_level=None, check_same_thread=False, cached_statements=256, timeout=5.0
            )
            if str(path) != IN_MEMORY:
                self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
                self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA foreign_keys = OFF")  # checked by hand, once, in the ledger
        except sqlite3.Error as error:
            raise DatabaseError(f"cannot open the database {path}: {error}") from error

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


def open_database(where: str | Path = IN_MEMORY) -> Database:
    """A database at a path, in memory, or at a postgresql:// URL, its schema up to date.

    Raises DatabaseError.
    """
    if str(where).startswith(POSTGRES_SCHEMES):
        from banksim.sandbox.postgres import open_postgres  # its driver is an extra

        return open_postgres(str(where))
    database = SqliteDatabase(where)
    try:
        migrate(database, SQLITE)
    except StorageError as error:
        database.close()
        raise DatabaseError(f"cannot open the database {where}: {error}") from error
    except ValueError as error:
        database.close()
        raise DatabaseError(f"cannot use the database {where}: {error}") from error
    return database
