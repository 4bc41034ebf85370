"""Faults of the stand-ins: which call meets which, and what a client sees of it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from gevent import socket

from banksim.sandbox.http import ActiveFault, FaultBoard, FaultyFace, WsgiFace
from banksim.sandbox.server import OpenHandler, PromptServer
from banksim.targets import HttpTransport, Reply, Request

TOKEN = "secret"


class Counting:
    """An API that counts its work."""

    def __init__(self) -> None:
        self.done = 0

    def handle(self, method: str, path: str, query: Any, body: Any = None) -> tuple[int, Any]:
        self.done += 1
        return 200, {"done": self.done}


def board() -> FaultBoard:
    return FaultBoard(random.Random(5))


@contextmanager
def served(api: Counting, faults: FaultBoard) -> Iterator[str]:
    server = PromptServer(
        ("127.0.0.1", 0), FaultyFace(WsgiFace(api), faults, TOKEN), log=None, handler_class=OpenHandler
    )
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.stop(timeout=0)


def call(url: str, token: str = "", method: str = "POST", path: str = "/x", body: Any = None) -> Reply:
    """One call on a connection of its own."""
    transport = HttpTransport(url, rng=random.Random(1), max_retries=0, timeout_s=10, token=token)
    try:
        return transport.send(Request(method, path, path, body or {}))
    finally:
        transport.close()


def test_without_faults_nothing_is_drawn() -> None:
    faults = board()
    assert faults.draw() is None
    faults.set([ActiveFault(0, "errors")])
    faults.set([])
    assert faults.draw() is None
    assert faults.affected == {0: 0}


def test_delays_add_up_and_the_first_other_kind_decides() -> None:
    faults = board()
    faults.set(
        [
            ActiveFault(0, "latency", latency_ms=(100, 100)),
            ActiveFault(1, "latency", latency_ms=(50, 50)),
            ActiveFault(2, "errors", status=500),
            ActiveFault(3, "hangs"),
        ]
    )
    effect = faults.draw()
    assert effect is not None
    assert effect.delay_s == pytest.approx(0.15)
    assert (effect.kind, effect.status, effect.done) == ("errors", 500, False)
    assert faults.affected == {0: 1, 1: 1, 2: 1, 3: 0}


def test_a_share_is_a_share_of_the_calls() -> None:
    faults = board()
    faults.set([ActiveFault(7, "resets", share=0.2)])
    hit = sum(faults.draw() is not None for _ in range(5_000))
    assert hit == faults.affected[7]
    assert 0.17 < hit / 5_000 < 0.23


def test_half_of_what_is_reset_was_done() -> None:
    api, faults = Counting(), board()
    faults.set([ActiveFault(0, "resets")])
    with served(api, faults) as url:
        replies = [call(url) for _ in range(60)]
    assert all((reply.status, reply.sent) == (0, True) for reply in replies)
    assert 15 < api.done < 45


def test_a_reset_is_a_reset() -> None:
    faults = board()
    faults.set([ActiveFault(0, "resets")])
    with served(Counting(), faults) as url:
        sock = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        with sock:
            sock.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                sock.recv(1000)


def test_errors_are_not_done() -> None:
    api, faults = Counting(), board()
    faults.set([ActiveFault(0, "errors", status=500)])
    with served(api, faults) as url:
        reply = call(url)
    assert (reply.status, api.done) == (500, 0)


def test_garbage_is_an_answer_of_no_known_form() -> None:
    faults = board()
    faults.set([ActiveFault(0, "garbage")])
    with served(Counting(), faults) as url:
        replies = [call(url) for _ in range(40)]
    assert {reply.status for reply in replies} == {200}
    assert len({reply.error or str(reply.data) for reply in replies}) > 3


def test_a_hang_ends_with_its_fault() -> None:
    faults = board()
    faults.set([ActiveFault(0, "hangs")])
    with served(Counting(), faults) as url:
        hanging = gevent.spawn(call, url)
        gevent.sleep(0.2)
        assert not hanging.ready()
        lifted_s = time.monotonic()
        faults.set([])
        reply = hanging.get(timeout=5)
        assert time.monotonic() - lifted_s < 2
    assert (reply.status, reply.sent) == (0, True)


def test_faults_are_set_by_whoever_knows_the_secret() -> None:
    faults = board()
    body = {"faults": [ActiveFault(3, "errors", 0.5, status=500).as_dict()]}
    with served(Counting(), faults) as url:
        for token in ("", "wrong"):  # to others the route is like any other of the API behind it
            reply = call(url, token, "PUT", "/sandbox/faults", body)
            assert reply.data == {"done": reply.data["done"]}
        assert faults.draw() is None
        reply = call(url, TOKEN, "PUT", "/sandbox/faults", body)
        assert (reply.status, reply.data) == (200, {"affected": {"3": 0}})
        reply = call(url, TOKEN, "PUT", "/sandbox/faults", {"faults": [{"x": 1}]})
        assert reply.status == 422
    assert faults.affected == {3: 0}
