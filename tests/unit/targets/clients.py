"""Both HTTP clients under one face, so that every test of one is a test of the other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from banksim.targets import Request
from banksim.targets.http import connection as lean_connections
from banksim.targets.http.client import HttpCalls
from banksim.targets.http.connection import HttpTransport
from tests.services import reference_client as connections
from tests.services.reference_client import ReferenceTransport


class Client:
    """What a test needs to know about one client, apart from its calls."""

    name: str
    make: type[HttpCalls]
    module: Any  # where its limits are
    max_connections: int

    def transport(self, url: str, **options: Any) -> HttpCalls:
        return self.make(url, **{"rng": random.Random(1), "timeout_s": 5.0, "max_retries": 2, **options})

    def resting(self, to: Any) -> list[Any]:
        """Something per resting connection that `has_input` takes."""
        raise NotImplementedError

    def has_input(self, resting: Any) -> bool:
        raise NotImplementedError

    @contextmanager
    def holding(self, to: Any) -> Iterator[Any]:
        """One of the pool's connections, taken out for a while: its socket."""
        raise NotImplementedError
        yield

    def believe_all_alive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take every resting connection for usable."""
        raise NotImplementedError

    def wait_for_close(self, to: Any) -> None:
        """Until the server's close of each resting connection has arrived here."""
        with gevent.Timeout(2):
            while not all(self.has_input(resting) for resting in self.resting(to)):
                gevent.sleep(0)


class Reference(Client):
    name = "reference"
    make = ReferenceTransport
    module = connections
    max_connections = connections.MAX_CONNECTIONS

    def resting(self, to: Any) -> list[Any]:
        return list(to._pool._socket_queue.queue)

    def has_input(self, resting: Any) -> bool:
        return connections._has_input(resting)

    @contextmanager
    def holding(self, to: Any) -> Iterator[Any]:
        sock, _ = to._pool.take()
        yield sock
        to._pool.release_socket(sock)

    def believe_all_alive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connections.PlainPool, "_is_socket_alive", lambda pool, sock: True)


class Lean(Client):
    name = "lean"
    make = HttpTransport
    module = lean_connections
    max_connections = min(lean_connections.MAX_CONNECTIONS, lean_connections.affordable_connections())

    def resting(self, to: Any) -> list[Any]:
        return list(to._pool._resting)

    def has_input(self, resting: Any) -> bool:
        return bool(resting._poller.poll(0))

    @contextmanager
    def holding(self, to: Any) -> Iterator[Any]:
        connection = to._pool.take()
        yield connection._sock
        to._pool.give_back(connection, reusable=False)

    def believe_all_alive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lean_connections.Connection, "usable", lambda connection: True)


#: A call that must never go out twice.
MOVE = Request("POST", "/transactions/deposit", "/transactions/deposit", {"amount": "1"})

CLIENTS: tuple[Client, ...] = (Reference(), Lean())
both_clients = pytest.mark.parametrize("client", CLIENTS, ids=[client.name for client in CLIENTS])
