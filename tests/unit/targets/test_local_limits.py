"""What the load generator runs out of is its own limit, never a failure of the system under test."""

from __future__ import annotations

import errno
import random
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import gevent.socket
import pytest

from banksim.model import BankStatus, Decision, LocalLimit, Outcome
from banksim.targets import AccountDirectory, BastionClient, HttpTransport, NexumClient, Reply, Request
from banksim.targets.calls import Circuit, CircuitBreaker, GuardedTransport
from banksim.targets.http.connection import KEPT_FILES, Pool, describe, local_limit
from tests.unit.targets.clients import MOVE
from tests.unit.targets.odd_servers import odd_server
from tests.unit.targets.people import Notebook, ScriptedTransport, transaction

OUT_OF_PORTS = Reply(0, None, 1.0, str(LocalLimit.PORTS), sent=False, limit=LocalLimit.PORTS)
FINE = Reply(200, {"state": "completed", "score": 0.5}, 1.0)


@contextmanager
def file_limit(soft: int) -> Iterator[None]:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (OSError(errno.EMFILE, "x"), LocalLimit.FILES),
        (OSError(errno.ENFILE, "x"), LocalLimit.FILES),
        (OSError(errno.EADDRNOTAVAIL, "x"), LocalLimit.PORTS),
        (OSError(errno.ENOBUFS, "x"), LocalLimit.MEMORY),
        (OSError(errno.ENOMEM, "x"), LocalLimit.MEMORY),
        (socket.gaierror(socket.EAI_AGAIN, "x"), LocalLimit.RESOLVER),
        (socket.gaierror(socket.EAI_NONAME, "x"), None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), None),
        (TimeoutError(), None),
        (OSError(errno.EHOSTUNREACH, "x"), None),
        (RuntimeError("closed"), None),
    ],
)
def test_which_errors_are_our_own(error: Exception, limit: LocalLimit | None) -> None:
    assert local_limit(error) is limit
    assert (describe(error) == str(limit)) == (limit is not None)


def test_a_process_without_files_says_so_and_opens_no_circuit() -> None:
    """The real thing: the process may not open another file."""
    notebook = Notebook()
    with odd_server(lambda c: c.serve()) as seen:
        breaker = CircuitBreaker("Nexum")
        transport = GuardedTransport(HttpTransport(seen.url, rng=random.Random(1)), breaker)
        directory = AccountDirectory()
        directory.add(0, "c0", ["a0"])
        bank = NexumClient(transport, directory, observer=notebook, books=notebook)
        detector = BastionClient(transport, directory, observer=notebook)
        with file_limit(3):  # no number is left for another descriptor
            posted = [bank.post(transaction()) for _ in range(25)]
            score = detector.score(transaction())
        transport.close()
    assert {(reply.status, reply.limit) for reply in posted} == {(BankStatus.FAILED, LocalLimit.FILES)}
    assert posted[0].detail == "this machine is out of file descriptors"
    assert (score.decision, score.limit) == (Decision.NONE, LocalLimit.FILES)
    assert Outcome(posted[0], score, 0.0, 1.0).limit is LocalLimit.FILES
    assert (breaker.status.state, breaker.status.opened) == (Circuit.CLOSED, 0)
    assert (notebook.calls, notebook.movements, seen.requests) == ([], [], [])


def test_it_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_port(*_: object, **__: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(gevent.socket, "create_connection", no_port)
    to = HttpTransport("http://127.0.0.1:9", rng=random.Random(1), max_retries=3)
    reply = to.send(Request("POST", "/score", "/score", {}, repeatable=True))
    assert (reply.limit, reply.sent, reply.attempts) == (LocalLimit.PORTS, False, 1)


def test_a_probe_that_was_never_sent_leaves_the_next_call_to_probe() -> None:
    now_s = 0.0
    breaker = CircuitBreaker("Nexum", failures_to_open=1, first_pause_s=1.0, monotonic=lambda: now_s)
    transport = GuardedTransport(ScriptedTransport(Reply(0, None, 1.0, "reset"), OUT_OF_PORTS, FINE), breaker)
    transport.send(MOVE)
    now_s = 1.0
    assert transport.send(MOVE).limit is LocalLimit.PORTS
    assert breaker.status.state is Circuit.OPEN
    assert transport.send(MOVE).status == 200
    assert breaker.status.state is Circuit.CLOSED


def test_the_pool_leaves_files_for_everything_else() -> None:
    with file_limit(300):
        assert Pool(lambda: pytest.fail("connects on demand"), 4_000).size == (300 - KEPT_FILES) // 4
        assert Pool(lambda: pytest.fail("connects on demand"), 50).size == 50


def test_connections_are_replaced_with_age() -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = HttpTransport(seen.url, rng=random.Random(1), max_age_s=0.04)
        for _ in range(3):
            assert to.send(MOVE).status == 200
        assert seen.connections == 1
        gevent.sleep(0.06)
        assert to.send(MOVE).status == 200
        to.close()
    assert seen.connections == 2


def test_not_all_connections_are_replaced_at_once() -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = HttpTransport(seen.url, rng=random.Random(1), max_age_s=100.0)
        gevent.joinall([gevent.spawn(to.send, MOVE) for _ in range(20)])
        ends_s = sorted(connection.ends_s for connection in to._pool._resting)
        to.close()
    assert 30.0 < ends_s[-1] - ends_s[0] <= 51.0
