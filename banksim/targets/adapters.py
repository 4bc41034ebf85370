"""What a system under test has to be told, and what its answers mean: the protocol of an adapter.

An adapter is pure: requests from our words, our words from answers.  What is sent at most once,
who logs in, what is counted and booked is the clients' business (`nexum.py`, `bastion.py`), the
same for every system.  Three kinds exist: the two built in, mapping files (`mapping.py`), and
classes of a user's own, named as ``path/to/file.py:Class``.

No adapter is ever handed a `Planned` or a `Truth`, so none can give a label away.

Answers that come later: a system accepts a request at once and says afterwards what became of it.

    request ──► accepted ──► wait ──► completed        a callback to a small server of ours, a poll of
                               └────► missing          the system, or a subject on NATS

One correlation id joins the two.  A completion may be there before the acceptance has been read, so
those that nobody waits for yet are kept for a while.  The caller's greenlet waits, so the response
time of a transaction runs until its completion; acceptance and completion are two calls of the figures.

What comes twice, after the deadline, or to an id that nobody knows is counted, never guessed about.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

import gevent
import gevent.socket
import orjson
from gevent.event import AsyncResult
from gevent.pywsgi import WSGIServer

from banksim.model import AccountRef, BankStatus, ScoreReply, Transaction, UsageError
from banksim.targets.calls import COMPLETION, COMPLETION_ERRORS, Call, Observer, Reply, Request, System
from banksim.world import Customer


class Verdict(NamedTuple):
    """What an answer means: the status, the reason where it is not posted, and what to wait for.

    ``awaits`` is the correlation id of a completion that comes later; the status is then what
    holds if it never does.
    """

    status: BankStatus
    detail: str = ""
    awaits: str = ""


@dataclass(frozen=True, slots=True)
class BalanceReply:
    """A book balance in cents, None when it could not be read; ``gone``: there is no such account."""

    cents: int | None
    error: str = ""
    gone: bool = False


class Names(Protocol):
    """What the system under test calls our customers and accounts."""

    def wire_customer_id(self, index: int) -> str: ...
    def wire_account_id(self, ref: AccountRef) -> str: ...


class Opening(Protocol):
    """The client's side of opening one customer: sends, counts and books."""

    @property
    def currency(self) -> str: ...

    def number(self, slot: int) -> str:
        """An account number that no other run uses."""

    def step(self, request: Request, expected: Sequence[int]) -> Reply:
        """Send; returns an answer with one of these statuses (none: any 2xx).  Raises OpeningFailed."""

    def fund(self, request: Request | None, account_id: str, cents: int) -> None:
        """Book the opening balance; None where the account was opened with it.  Raises OpeningFailed."""

    def failed(self, text: str) -> Exception:
        """The error to raise where an answer cannot be used."""


class Late(Protocol):
    """How a system completes later what it has accepted."""

    name: str
    deadline_s: float
    #: Seconds between two polls; 0 where the system comes to us.
    every_s: float

    def poll(self, awaited: str) -> Request: ...

    def awaited_in(self, path: str, data: Any) -> str:
        """The correlation id in a callback to ``path`` or a message; empty where there is none."""


class BankAdapter(Protocol):
    """One kind of core bank.  Raises nothing for what the bank answers.

    One with a true ``checks_cards`` is also asked about cards that fail (`Transaction.card_check`); else they
    are refused before it hears of them.
    """

    name: str
    late: Late | None

    def health(self) -> Request: ...

    def open(self, customer: Customer, approved: bool, opening: Opening) -> tuple[str, list[str]] | None:
        """Open a customer with accounts and balances: its id, and account ids by slot.

        None where ``approved`` is False: the customer then exists without accounts.
        """

    def movement(
        self, tx: Transaction, names: Names, account_id: str, counterparty_id: str | None
    ) -> Request:
        """``counterparty_id`` is the receiving account of a transfer inside the bank, else None."""

    def judge(self, reply: Reply, reference: str) -> Verdict: ...

    def judge_late(self, reply: Reply) -> Verdict | None:
        """What a completion says; None where it is not one yet."""

    def balance(self, account_id: str) -> Request | None:
        """None where the bank tells no balances."""

    def read_balance(self, reply: Reply, currency: str) -> BalanceReply: ...


class DetectorAdapter(Protocol):
    """One kind of fraud detector."""

    name: str
    late: Late | None
    #: Whether it has Bastion's other routes: batches, statistics, alerts, feedback.
    is_bastion: bool

    def health(self) -> Request: ...

    def score(self, tx: Transaction, names: Names) -> Sequence[Request]:
        """The calls of one score, in order; the answer to the last one is read."""

    def read(self, reply: Reply) -> ScoreReply: ...

    def awaits(self, reply: Reply, transaction_id: str) -> str:
        """The correlation id of a verdict that comes later; empty where this answer is the verdict."""

    def read_late(self, reply: Reply) -> ScoreReply | None: ...


#: Ids kept of completions that came early, were done, or were given up.
MAX_REMEMBERED = 20_000
MAX_BODY_BYTES = 1024 * 1024
Found = TypeVar("Found")


class Completions:
    """The completions of one system that are waited for, and what became of all of them."""

    def __init__(
        self, system: System, late: Late, send: Callable[[Request], Reply], observer: Observer
    ) -> None:
        self._system = system
        self._late = late
        self._send = send
        self._observer = observer
        self._waiting: dict[str, AsyncResult] = {}  # as bounded as the callers
        self._early: OrderedDict[str, list[Any]] = OrderedDict()
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._closers: list[Callable[[], object]] = []
        self.counts = dict.fromkeys(("accepted", "completed", "missing", *COMPLETION_ERRORS), 0)

    def wait(
        self, awaited: str, accepted: Reply, read: Callable[[Reply], Found | None]
    ) -> tuple[Found | None, Reply]:
        """What the completion says, None when none came in time; the reply's latency runs until then."""
        self.counts["accepted"] += 1
        began_s = time.monotonic()
        ends_s = began_s + self._late.deadline_s
        found: Found | None = None
        over = False
        self._waiting[awaited] = said = AsyncResult()
        try:
            if early := self._early.pop(awaited, None):
                last = [data for data in early if read(Reply(200, data, 0.0)) is not None]
                said.set((last or early)[-1])
                for _ in last[1:]:
                    self._tell("double")
            while found is None and (left_s := ends_s - time.monotonic()) > 0:
                if self._late.every_s:
                    gevent.sleep(min(self._late.every_s, left_s))
                    reply = self._send(self._late.poll(awaited))
                else:
                    said.wait(left_s)
                    if not said.ready():
                        break
                    reply = Reply(200, said.value, 0.0)
                    self._waiting[awaited] = said = AsyncResult()  # an interim message is not the last
                found = read(reply)
            over = True
        finally:
            del self._waiting[awaited]
            self._remember(self._ended, awaited, "missing" if found is None else "completed")
            if not over:
                self._tell("pending")
        self.counts["missing" if found is None else "completed"] += 1
        waited_ms = (time.monotonic() - began_s) * 1000.0
        error = None if found is not None else f"no completion within {self._late.deadline_s:g} s"
        name = self._late.name if found is not None else f"{self._late.name} (never came)"
        self._observer(Call(self._system, COMPLETION, name, waited_ms, None if error else 200, 0, 0, error))
        return found, accepted._replace(latency_ms=accepted.latency_ms + waited_ms, error=error or "")

    def deliver(self, awaited: str, data: Any) -> None:
        """A completion came."""
        waiting = self._waiting.get(awaited)
        if waiting is not None and not waiting.ready():
            waiting.set(data)
        elif awaited in self._ended:
            self._tell("double" if self._ended[awaited] == "completed" else "late")
        elif waiting is not None:
            self._tell("double")
        else:  # it may be another worker's, too
            self._remember(self._early, awaited, [*self._early.get(awaited, ())[-9:], data])

    def _tell(self, what: str) -> None:
        """Count what is no call of its own: an error without a latency."""
        self.counts[what] += 1
        text = COMPLETION_ERRORS[what]
        self._observer(Call(self._system, COMPLETION, self._late.name, 0.0, None, 0, 0, text, sent=False))

    @staticmethod
    def _remember(table: OrderedDict[str, Any], key: str, value: Any) -> None:
        table[key] = value
        if len(table) > MAX_REMEMBERED:
            table.popitem(last=False)

    def on_close(self, close: Callable[[], object]) -> None:
        self._closers.append(close)

    def close(self) -> None:
        """Stop listening."""
        while self._closers:
            self._closers.pop()()


def listen(completions: Completions, late: Late, host: str, port: int) -> str:
    """Take callbacks at ``host:port`` (0: a free one); returns the address.  Raises UsageError when taken."""

    def take(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if environ["REQUEST_METHOD"] not in ("POST", "PUT", "PATCH") or length > MAX_BODY_BYTES:
            start_response("405 Method Not Allowed" if length <= MAX_BODY_BYTES else "413 Too Large", [])
            return [b""]
        try:
            data = orjson.loads(environ["wsgi.input"].read(length)) if length else {}
        except orjson.JSONDecodeError:
            start_response("400 Bad Request", [])
            return [b"expected JSON"]
        awaited = late.awaited_in(environ["PATH_INFO"], data)
        if awaited:
            completions.deliver(awaited, data)
        start_response("200 OK" if awaited else "404 Not Found", [("Content-Type", "application/json")])
        return [b"{}"]

    server = WSGIServer((host, port), take, log=None, error_log=None)
    try:
        server.start()
    except OSError as error:
        server.close()
        raise UsageError(
            f"callbacks: cannot listen at {host}:{port}: {error.strerror or error}. Give a free port, or 0 "
            "for any; workers on one machine need 0, and {callback_url} in the request."
        ) from None
    completions.on_close(lambda: server.stop(timeout=1))
    return f"http://{host}:{server.server_port}"


def subscribe(completions: Completions, late: Late, address: str) -> None:
    """Read completions off a subject: ``nats://host:4222/subject``.  Raises UsageError when it cannot."""
    parts = urlsplit(address)
    subject = parts.path.strip("/")
    try:
        if parts.scheme != "nats" or not parts.hostname or not subject or " " in subject:
            raise ValueError
        sock = gevent.socket.create_connection((parts.hostname, parts.port or 4222), timeout=5)
    except ValueError:
        raise UsageError(f"topic: expected nats://HOST:PORT/SUBJECT, got {address!r}") from None
    except OSError as error:
        raise UsageError(f"topic: no NATS server at {parts.hostname}:{parts.port or 4222}: {error}") from None
    sock.settimeout(None)
    sock.sendall(f'CONNECT {{"verbose":false,"name":"banksim"}}\r\nSUB {subject} 1\r\n'.encode())

    def read() -> None:
        stream = sock.makefile("rb")
        while line := stream.readline(4096):
            if line.startswith(b"PING"):
                sock.sendall(b"PONG\r\n")
            elif line.startswith(b"MSG "):
                length = int(line.split()[-1])
                if length > MAX_BODY_BYTES:
                    return
                payload = stream.read(length + 2)[:length]
                try:
                    data = orjson.loads(payload)
                except orjson.JSONDecodeError:
                    continue
                completions.deliver(late.awaited_in("", data), data)

    reader = gevent.spawn(read)
    completions.on_close(lambda: (reader.kill(block=False), sock.close()))
