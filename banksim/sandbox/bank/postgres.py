"""The bank's books on PostgreSQL, by pg8000.

Why pg8000: it is pure Python and accepts a given socket.  With one of gevent's sockets, every wait for
the database lets other requests run without patching the standard library; a driver in C would stop
the whole server for each commit.

Why shared commits and a function for postings: they raise 160 to 250 postings a second of 8 to 32
clients to 670 to 1,190 (docs/performance.md).  Each statement is prepared once per connection.

When PostgreSQL goes away:

    before the commit was sent   nothing is written: `ConnectionLost`, repeating is safe
    while it committed           `CommitUnknown`: the caller must not claim either way
    not back within WAIT_S       `Unavailable`, at once for the next callers too (PAUSE_S)

Not handled: several connections, two banks on one database at full speed (a deadlock between
them is an error of one of both).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import gevent
from gevent import socket, ssl
from gevent.event import AsyncResult

from banksim.sandbox.bank.database import (
    POSTGRES,
    CommitUnknown,
    ConnectionLost,
    DatabaseError,
    Result,
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
# Not a step of the schema: it holds no data, and is replaced at each start.


_POST_TWO_LEGS = """
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


# -- Several requests, one commit: a flush to disk costs the same for one posting as for fifty ------
#
# Requests that arrive during a commit wait, and are then done together, one after the other in one
# transaction.  None is answered before that transaction is on the disk.
#
#     requests ──► waiting ──► [work, work, work, COMMIT] ──► answers
#                     ▲ meanwhile the next ones gather
#
# When a group fails, nothing of it was written.  If the connection was lost before the commit, the
# group is repeated once; if a statement failed, each request is repeated by itself; if the connection
# was lost during the commit, the outcome is unknown for all of them.


#: Bound: requests in one transaction; more would make the first of them wait.
MAX_GROUP = 64


class _Request:
    """``work`` is what to do; ``result`` gets its result, or the error that ended it."""

    __slots__ = ("result", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.result = AsyncResult()


class GroupCommit:
    """Does requests in groups, each group in one transaction."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[None]]) -> None:
        self._transaction = transaction
        self._waiting: list[_Request] = []
        self._working = False
        self.groups = 0

    def perform(self, work: Callable[[], Result]) -> Result:
        request = _Request(work)
        self._waiting.append(request)
        if not self._working:
            self._working = True
            gevent.spawn(self._run)
        result: Result = request.result.get()
        return result

    def _run(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                self._do(group)
        finally:
            self._working = False

    def _do(self, group: list[_Request]) -> None:
        self.groups += 1
        try:
            try:
                results = self._together(group)
            except ConnectionLost:
                results = self._together(group)
        except (CommitUnknown, ConnectionLost, Unavailable) as error:
            for request in group:
                request.result.set_exception(error)
        except Exception as error:
            if len(group) == 1:
                group[0].result.set_exception(error)
                return
            for request in group:
                self._do([request])
        else:
            for request, result in zip(group, results, strict=True):
                request.result.set(result)

    def _together(self, group: list[_Request]) -> list[Any]:
        with self._transaction():
            return [request.work() for request in group]


POSTGRES_SCHEMES = ("postgresql://", "postgres://")
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
            database.rows(_POST_TWO_LEGS)
        database.posts_at_once = True
    except (StorageError, ValueError) as error:
        database.close()
        raise DatabaseError(f"cannot use the database {database.address}: {error}") from error
    return database


class PostgresDatabase:
    """One connection that is reopened when it breaks.  Raises DatabaseError when it cannot be opened."""

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
        self.group = GroupCommit(self.transaction)
        self._statements: dict[str, Any] = {}  # bounded: one per SQL text in this package
        self._connection: Any = None
        self._in_transaction = False
        self._not_before_s = 0.0
        try:
            self._connect()
        except Unavailable as error:
            raise DatabaseError(f"cannot open the database {self.address}: {error}") from error

    def perform(self, work: Callable[[], Result]) -> Result:
        return self.group.perform(work)

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
            self._drop()  # pg8000 raises any of these on a closed socket
            raise self._lost(sql, str(error) or type(error).__name__) from error
        except BaseException:
            self._drop()  # given up half-way: the next bytes on this connection would be an old answer
            raise
        return [tuple(row) for row in found or ()]

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        rows = self.rows(sql, values)
        return rows[0] if rows else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A nested one is a savepoint that may fail by itself."""
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
        """The error for a connection that broke during ``sql``."""
        if sql == "COMMIT" or not (self._in_transaction or sql.startswith(("SELECT", "BEGIN"))):
            return CommitUnknown(f"PostgreSQL went away while it committed ({text})")
        return ConnectionLost(f"PostgreSQL went away ({text})")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._statements.clear()
        if connection is not None:
            connection._usock.close()  # a regular close would wait for an unreachable server

    def _reconnect(self) -> None:
        """Wait up to `WAIT_S` for a database that restarts.  Raises Unavailable."""
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
    """The connection options, and the address without its password.  Raises DatabaseError."""
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
    if mode == "require":  # as PostgreSQL's own clients define it: encrypted, the server's identity unchecked
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
