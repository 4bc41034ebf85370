"""One SQLite connection, opened the way a ledger needs it.

What: in memory by default, a file when a path is given.  A file runs in write-ahead mode with
``synchronous=NORMAL``: killing the process loses nothing that was answered; cutting the power may
lose the last few commits but never half of one.

Why one connection: the bank answers one request at a time, as the real one does, so there is
nothing to pool.  Another process may read the same file meanwhile; a writer waits for it up to 5 s.

Not handled: two stand-in banks writing one file at full speed; schema upgrades between versions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from banksim.domain import BanksimError

IN_MEMORY = ":memory:"


class DatabaseError(BanksimError):
    """The database file cannot be opened or is not one of ours."""


def open_database(path: str | Path = IN_MEMORY) -> sqlite3.Connection:
    """Connection in autocommit mode: transactions are ours to begin.  Raises DatabaseError."""
    try:
        connection = sqlite3.connect(
            str(path), isolation_level=None, check_same_thread=False, cached_statements=256, timeout=5.0
        )
        if str(path) != IN_MEMORY:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = OFF")  # checked by hand, once, in the ledger
    except sqlite3.Error as error:
        raise DatabaseError(f"cannot open the database {path}: {error}") from error
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All statements inside, or none of them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
