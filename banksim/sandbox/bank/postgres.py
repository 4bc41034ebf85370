"""The bank's books on PostgreSQL, by pg8000.

Why pg8000: it is Python all the way down and takes a socket that is handed to it.  With a
socket of gevent's every wait for the database hands the processor to other requests, without
patching the standard library; a driver in C would stop the whole server for each commit.

Each statement is prepared once per connection, so that it costs one round trip; a posting is one
function call; requests that wait for each other share one commit (group_commit.py).

When PostgreSQL goes away:

    before the commit was sent   nothing is written: `ConnectionLost`, doing it again is safe
    while it committed           `CommitUnknown`: the caller must not claim either way
    not back within WAIT_S       `Unavailable`, at once for the next callers too (PAUSE_S)

Not handled: several connections, two banks on one database at full speed (a deadlock between
them is an error of one of both).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import gevent
from gevent import socket, ssl
from gevent.lock import BoundedSemaphore

from banksim.sandbox.bank.database import (
    POSTGRES,
    CommitUnknown,
    ConnectionLost,
    DatabaseError,
    Row,
    StorageError,
    Unavailable,
    migrate,
)

# -- A posting of two legs in one round trip, as a function of PostgreSQL ---------------------------
#
# It does what `Ledger.post` does statement by statement: move both balances, each only where
# account, currency and floor allow it, and write the posting with its legs.  It returns 0, or
# the number of the leg that was refused, having then changed nothing.
#
# Not a step of the schema: it holds no data, and is made anew at each start.


CALL = "SELECT post_two_legs(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

CREATE = """
CREATE OR REPLACE FUNCTION post_two_legs(
    tx text, of_kind text, amount bigint, in_currency text, about text, through text, referring text,
    at_s double precision, first text, first_cents bigint, second text, second_cents bigint
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    first_id bigint;
    second_id bigint;
    posting_id bigint;
BEGIN
    UPDATE ledger_accounts SET balance_cents = balance_cents + first_cents
        WHERE account_id = first AND currency = in_currency
        AND (first_cents > 0 OR floor_cents IS NULL OR balance_cents + first_cents >= floor_cents)
        RETURNING id INTO first_id;
    IF NOT FOUND THEN RETURN 1; END IF;
    UPDATE ledger_accounts SET balance_cents = balance_cents + second_cents
        WHERE account_id = second AND currency = in_currency
        AND (second_cents > 0 OR floor_cents IS NULL OR balance_cents + second_cents >= floor_cents)
        RETURNING id INTO second_id;
    IF NOT FOUND THEN
        UPDATE ledger_accounts SET balance_cents = balance_cents - first_cents WHERE id = first_id;
        RETURN 2;
    END IF;
    INSERT INTO postings
        (transaction_id, kind, amount_cents, currency, description, channel, reference, created_at_s)
        VALUES (tx, of_kind, amount, in_currency, about, through, referring, at_s)
        RETURNING id INTO posting_id;
    INSERT INTO legs (account, posting, leg, amount_cents)
        VALUES (first_id, posting_id, 0, first_cents), (second_id, posting_id, 1, second_cents);
    RETURN 0;
END $$
"""


CONNECT_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 30.0
#: How long one request waits for a database that went away, and the pause before the next tries.
WAIT_S = 2.0
PAUSE_S = 0.5
RETRY_EVERY_S = 0.1
_SSL_MODES = ("disable", "require", "verify-full")
_MIGRATION_LOCK = "SELECT pg_advisory_xact_lock(7461233)"
#: Classes of SQLSTATE that mean "the server goes away", not "the statement is wrong".
_GOING_AWAY = ("57P", "08")


def open_postgres(url: str) -> PostgresDatabase:
    """Connect and bring the schema up to date.  Raises DatabaseError, never showing the password."""
    database = PostgresDatabase(url)
    try:
        migrate(database, POSTGRES, lock=_MIGRATION_LOCK)
        with database.transaction():
            database.rows(_MIGRATION_LOCK)
            database.rows(CREATE)
        database.posts_at_once = True
    except (StorageError, ValueError) as error:
        database.close()
        raise DatabaseError(f"cannot use the database {database.address}: {error}") from error
    return database


class PostgresDatabase:
    """One connection that comes back by itself.  Raises DatabaseError when it cannot be opened."""

    flushes = True

    def __init__(self, url: str) -> None:
        self.posts_at_once = False
        try:
            import pg8000.exceptions
            import pg8000.native
        except ImportError:
            raise DatabaseError(
                "PostgreSQL needs a driver that is not installed: pip install 'banksim[postgres]'"
            ) from None
        self._native, self._errors = pg8000.native, pg8000.exceptions
        self._options, self.address = _parsed(url)
        self.lock = BoundedSemaphore(1)
        self._statements: dict[str, Any] = {}  # as many as there are different texts of SQL here
        self._connection: Any = None
        self._in_transaction = False
        self._not_before_s = 0.0
        try:
            self._connect()
        except Unavailable as error:
            raise DatabaseError(f"cannot open the database {self.address}: {error}") from error

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        if self._connection is None:
            if self._in_transaction:
                raise ConnectionLost("the connection was lost in the middle of a transaction")
            self._reconnect()
        try:
            statement = self._statements.get(sql)
            if statement is None:
                statement = self._statements[sql] = self._connection.prepare(_numbered(sql))
            found = statement.run(**{f"p{number}": value for number, value in enumerate(values, start=1)})
        except self._errors.DatabaseError as error:
            details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
            code, text = str(details.get("C", "")), str(details.get("M", error))
            if not code.startswith(_GOING_AWAY):
                raise StorageError(text) from error
            self._drop()
            raise self._lost(sql, text) from error
        except (self._errors.InterfaceError, OSError, ValueError, AttributeError) as error:
            self._drop()  # pg8000 meets a closed socket in all of these ways
            raise self._lost(sql, str(error) or type(error).__name__) from error
        except BaseException:
            self._drop()  # given up half-way: what comes next on this connection belongs to nobody
            raise
        return [tuple(row) for row in found or ()]

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        rows = self.rows(sql, values)
        return rows[0] if rows else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Inside another one it is a part that may fail by itself."""
        if self._in_transaction:
            with self._part():
                yield
            return
        self.rows("BEGIN")
        self._in_transaction = True
        try:
            yield
        except BaseException:
            if self._connection is not None:
                self.rows("ROLLBACK")
            raise
        else:
            self.rows("COMMIT")
        finally:
            self._in_transaction = False

    @contextmanager
    def _part(self) -> Iterator[None]:
        self.rows("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self._connection is not None:
                self.rows("ROLLBACK TO SAVEPOINT part")
            raise
        self.rows("RELEASE SAVEPOINT part")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(self._errors.Error, OSError, ValueError):  # it may be gone already
                connection.close()

    def _lost(self, sql: str, text: str) -> StorageError:
        """What is known when the connection broke during ``sql``."""
        if sql == "COMMIT" or not (self._in_transaction or sql.startswith(("SELECT", "BEGIN"))):
            return CommitUnknown(f"PostgreSQL went away while it committed ({text})")
        return ConnectionLost(f"PostgreSQL went away ({text})")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._statements.clear()
        if connection is not None:
            connection._usock.close()  # a goodbye would wait for whom nobody can reach

    def _reconnect(self) -> None:
        """Wait a little for a database that restarts.  Raises Unavailable."""
        if time.monotonic() < self._not_before_s:
            raise Unavailable("PostgreSQL cannot be reached")
        until_s = time.monotonic() + WAIT_S
        while True:
            try:
                self._connect()
                return
            except Unavailable:
                if time.monotonic() >= until_s:
                    self._not_before_s = time.monotonic() + PAUSE_S
                    raise
            gevent.sleep(RETRY_EVERY_S)

    def _connect(self) -> None:
        options = dict(self._options)
        host, port, tls = options.pop("host"), options.pop("port"), options.pop("tls")
        try:
            sock = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(STATEMENT_TIMEOUT_S)
            self._connection = self._native.Connection(
                host=host, sock=sock, ssl_context=_tls_context(tls), application_name="banksim", **options
            )
        except (self._errors.Error, OSError) as error:
            raise Unavailable(_reason(error)) from error
        self._statements = {}


def _parsed(url: str) -> tuple[dict[str, Any], str]:
    """What to connect with, and the address without its password.  Raises DatabaseError."""
    wanted = "expected postgresql://user:password@host:5432/database"
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError as error:
        raise DatabaseError(f"--database-url: {error}: {wanted}") from None
    name = unquote(parts.path.lstrip("/"))
    query = dict(parse_qsl(parts.query))
    tls = query.pop("sslmode", "disable")
    if not parts.hostname or not parts.username or not name:
        raise DatabaseError(f"--database-url: a host, a user or a database is missing: {wanted}")
    if query or tls not in _SSL_MODES:
        raise DatabaseError(f"--database-url: the only parameter is sslmode={'|'.join(_SSL_MODES)}")
    options = {
        "host": parts.hostname,
        "port": port,
        "tls": tls,
        "user": unquote(parts.username),
        "password": unquote(parts.password) if parts.password is not None else None,
        "database": name,
    }
    return options, f"postgresql://{parts.hostname}:{port}/{name}"


def _tls_context(mode: str) -> Any:
    if mode == "disable":
        return None
    context = ssl.create_default_context()
    if mode == "require":  # as PostgreSQL's own clients mean it: encrypted, whoever it is
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _numbered(sql: str) -> str:
    """``?`` placeholders as pg8000's ``:p1``, ``:p2``…; no text here holds a question mark."""
    first, *rest = sql.split("?")
    return first + "".join(f":p{number}{part}" for number, part in enumerate(rest, start=1))


def _reason(error: Exception) -> str:
    details = error.args[0] if error.args and isinstance(error.args[0], dict) else None
    if details is not None:
        return str(details.get("M", error))
    return getattr(error, "strerror", None) or str(error)
