"""A corpus of odd servers, and what both clients make of each: the same."""

from __future__ import annotations

import os
import resource
import socket
from typing import Any

import gevent
import orjson
import pytest

from banksim.model import UsageError
from banksim.targets import Reply, Request
from banksim.targets.http.client import HttpCalls
from tests.unit.targets.clients import CLIENTS, MOVE, Client, both_clients
from tests.unit.targets.odd_answers import ANSWERS
from tests.unit.targets.odd_servers import JSON_HEAD, Conversation, odd_server


def pool_size(to: Any) -> int:
    return int(to._pool.size)


def get(to: HttpCalls) -> Reply:
    return to.send(Request("GET", "/health", "/health"))


@both_clients
def test_an_answer_and_the_request_that_asked_for_it(client: Client) -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = client.transport(seen.url + "/behind/proxy/", token="secret")
        reply = to.send(Request("POST", "/score", "/score", {"a": 1.5, "é": "ü"}, {"q": "x y"}))
        to.close()
    assert (reply.status, reply.data, reply.error, reply.sent) == (200, {"ok": True}, "", True)
    assert reply.latency_ms > 0
    assert reply.request_bytes == len(seen.requests[0])
    head, _, body = seen.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /behind/proxy/score?q=x+y HTTP/1.1"
    assert f"Host: 127.0.0.1:{seen.port}" in lines
    assert "Authorization: Bearer secret" in lines
    assert "Content-Type: application/json" in lines
    assert orjson.loads(body) == {"a": 1.5, "é": "ü"}


@both_clients
def test_connections_are_kept_alive(client: Client) -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = client.transport(seen.url)
        for _ in range(5):
            assert to.send(MOVE).status == 200
        to.close()
    assert (seen.connections, len(seen.requests)) == (1, 5)


@both_clients
def test_concurrency_is_bounded(client: Client) -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = client.transport(seen.url, concurrency=3)
        jobs = [gevent.spawn(to.send, MOVE) for _ in range(20)]
        gevent.joinall(jobs)
        to.close()
    assert all(job.value.status == 200 for job in jobs)
    assert seen.connections <= 3
    assert pool_size(client.transport(seen.url, concurrency=50_000)) == client.max_connections


def answer_once(data: bytes) -> Any:
    def behave(c: Conversation) -> None:
        c.request()
        c.send(data)

    return behave


def told(replies: list[Reply]) -> list[Any]:
    """All of some replies but the time they took."""
    return [(r.status, r.data, r.error, r.sent, r.attempts, r.response_bytes) for r in replies]


@pytest.mark.parametrize("name", ANSWERS)
def test_odd_answers(name: str) -> None:
    data, status, decoded, error = ANSWERS[name]
    seen_by = {}
    for client in CLIENTS:
        with odd_server(answer_once(data)) as seen:
            to = client.transport(seen.url, max_answer_bytes=50_000, concurrency=1)
            # Twice: the only connection of the pool was given back.
            replies = [to.send(MOVE), to.send(MOVE)]
            to.close()
        for reply in replies:
            assert (reply.status, reply.data) == (status, decoded)
            assert error in reply.error if error else reply.error == ""
            assert reply.sent
        assert len(seen.requests) == 2, "a movement goes out once per call"
        seen_by[client.name] = told(replies)
    assert seen_by["lean"] == seen_by["reference"], "to the word"


REUSED = [
    "chunked",
    "empty body",
    "interim 100",
    "plain text 500",
    "trailers",
    "early hints",
    "an offer of HTTP/2",
]
NOT_REUSED = ["two answers at once", "garbage after the answer", "a body after 204"]


@pytest.mark.parametrize("name", [*REUSED, *NOT_REUSED])
@both_clients
def test_what_follows_an_answer_decides_about_its_connection(client: Client, name: str) -> None:
    def behave(c: Conversation) -> None:
        while c.request():
            c.send(ANSWERS[name][0])

    with odd_server(behave) as seen:
        to = client.transport(seen.url)
        replies = [to.send(MOVE) for _ in range(3)]
        to.close()
    assert len({str(reply) for reply in told(replies)}) == 1
    assert replies[0].status == ANSWERS[name][1]
    assert seen.connections == (1 if name in REUSED else 3)


@both_clients
def test_an_answer_in_single_bytes(client: Client) -> None:
    """Headers, lengths and chunks may be cut anywhere."""
    data = ANSWERS["interim 100"][0] + ANSWERS["chunked"][0]

    def behave(c: Conversation) -> None:
        c.request()
        for index in range(len(data)):
            c.send(data[index : index + 1])
            gevent.sleep(0)

    with odd_server(behave) as seen:
        to = client.transport(seen.url)
        first, second = to.send(MOVE), to.send(MOVE)
        to.close()
    assert (first.data, second.data) == ({}, {})


@both_clients
def test_a_large_request_arrives_whole(client: Client) -> None:
    """Larger than any socket buffer: the write has to wait for a slow reader."""
    body = {"text": "x" * 20_000_000}

    def slow(c: Conversation) -> None:
        gevent.sleep(0.05)
        c.serve()

    with odd_server(slow) as seen:
        to = client.transport(seen.url)
        reply = to.send(Request("POST", "/x", "/x", body))
        to.close()
    assert (reply.status, reply.sent) == (200, True)
    assert reply.request_bytes == len(seen.requests[0])
    assert orjson.loads(seen.bodies()[0]) == body


@both_clients
def test_a_head_has_no_body(client: Client) -> None:
    with odd_server(answer_once(JSON_HEAD + b"Content-Length: 10\r\n\r\n")) as seen:
        to = client.transport(seen.url)
        reply = to.send(Request("HEAD", "/health", "/health"))
        to.close()
    assert (reply.status, reply.data, reply.error) == (200, None, "")


@both_clients
def test_a_new_token_is_sent_at_once(client: Client) -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = client.transport(seen.url)
        for token in ("one", "two"):
            to.authorize(token)
            to.send(MOVE)
        to.close()
    assert [f"Bearer {token}".encode() in seen.requests[n] for n, token in enumerate(("one", "two"))] == [
        True
    ] * 2


@both_clients
def test_heads_kept_ready_are_bounded_and_hold_no_ids(client: Client) -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = client.transport(seen.url)
        for index in range(3):
            to.send(Request("GET", f"/accounts/{index}", "/accounts/{id}"))
            to.send(Request("GET", "/health", "/health", None, {"n": str(index)}))
        kept = dict(to._heads)
        to.close()
    assert kept == {}
    assert [request.split()[1] for request in seen.requests[:3]] == [
        b"/accounts/0",
        b"/health?n=0",
        b"/accounts/1",
    ]


@both_clients
def test_reset_connection(client: Client) -> None:
    def reset(c: Conversation) -> None:
        c.request()
        c.reset()

    with odd_server(reset) as seen:
        to = client.transport(seen.url)
        reply = to.send(MOVE)
        to.close()
    assert (reply.status, reply.sent) == (0, True)
    assert len(seen.requests) == 1


@both_clients
def test_closed_transport_says_so(client: Client) -> None:
    to = client.transport("http://127.0.0.1:1")
    to.close()
    reply = to.send(MOVE)
    assert (reply.status, reply.sent) == (0, False)
    assert "closed" in reply.error


@both_clients
def test_connections_above_descriptor_1023_are_still_kept_alive(client: Client) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1400:
        pytest.skip("this system allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1400), hard))
    ballast = [os.dup(2) for _ in range(1100)]
    try:
        with odd_server(lambda c: c.serve()) as seen:
            to = client.transport(seen.url)
            for _ in range(3):
                assert to.send(MOVE).status == 200
            to.close()
    finally:
        for descriptor in ballast:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert seen.connections == 1


@pytest.mark.parametrize("token", ["a b", "a\r\nX: y", "ü"])
@both_clients
def test_token_that_would_break_the_header(client: Client, token: str) -> None:
    with pytest.raises(UsageError, match="token"):
        client.transport("http://localhost", token=token)


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX:", "/ü"])
@both_clients
def test_path_that_would_break_the_request(client: Client, path: str) -> None:
    with pytest.raises(ValueError, match="request target"):
        client.transport("http://localhost").send(Request("GET", path, path))


@both_clients
def test_requests_leave_at_once(client: Client) -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = client.transport(seen.url)
        to.send(MOVE)
        with client.holding(to) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        to.close()
