"""The in-process way to a system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gevent
import pytest

from banksim.targets import InProcessTransport, Request


class Echo:
    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any) -> tuple[int, Any]:
        if path == "/fault":
            raise KeyError("no such thing")
        return 201, [method, path, dict(query), body]


def test_same_reply_as_over_http() -> None:
    reply = InProcessTransport(Echo()).send(Request("POST", "/a/b", "/a/{id}", {"x": 1}, {"q": "y"}))
    assert (reply.status, reply.data) == (201, ["POST", "/a/b", {"q": "y"}, {"x": 1}])
    assert (reply.error, reply.sent, reply.attempts) == ("", True, 1)
    assert reply.latency_ms > 0


def test_fault_of_the_handler_is_a_server_error(caplog: pytest.LogCaptureFixture) -> None:
    reply = InProcessTransport(Echo()).send(Request("GET", "/fault", "/fault"))
    assert (reply.status, reply.data) == (500, "KeyError: 'no such thing'")
    assert "Traceback" in caplog.text


def test_a_long_burst_lets_others_run() -> None:
    to, order = InProcessTransport(Echo(), calls_per_yield=10), []

    def burst() -> None:
        for number in range(30):
            to.send(Request("GET", "/", "/"))
            order.append(number)

    def others() -> None:
        for _ in range(3):
            order.append("other")
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(burst), gevent.spawn(others)])
    assert [order.index("other"), order.count("other")] == [9, 3], "one turn after nine calls"
    assert order[-1] == 29
