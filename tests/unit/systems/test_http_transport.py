"""A corpus of odd servers, and what the transport makes of each."""

from __future__ import annotations

import os
import random
import resource
import socket
from contextlib import ExitStack
from typing import Any

import gevent
import orjson
import pytest
from gevent.event import Event

from banksim.domain import UsageError
from banksim.systems import HttpTransport, Reply, connections
from tests.unit.systems.odd_servers import JSON_HEAD, Conversation, odd_server

MOVE = ("POST", "/transactions/deposit", "/transactions/deposit", {"amount": "1"})


def transport(url: str, **options: Any) -> HttpTransport:
    return HttpTransport(url, **{"rng": random.Random(1), "timeout_s": 5.0, "max_retries": 2, **options})


def get(to: HttpTransport) -> Reply:
    return to.call("GET", "/health", "/health")


def test_an_answer_and_the_request_that_asked_for_it() -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = transport(seen.url + "/behind/proxy/", token="secret")
        reply = to.call("POST", "/score", "/score", {"a": 1.5, "é": "ü"}, {"q": "x y"})
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


def test_connections_are_kept_alive() -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = transport(seen.url)
        for _ in range(5):
            assert to.call(*MOVE).status == 200
        to.close()
    assert (seen.connections, len(seen.requests)) == (1, 5)


def test_concurrency_is_bounded() -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = transport(seen.url, concurrency=3)
        jobs = [gevent.spawn(to.call, *MOVE) for _ in range(20)]
        gevent.joinall(jobs)
        to.close()
    assert all(job.value.status == 200 for job in jobs)
    assert seen.connections <= 3
    assert transport(seen.url, concurrency=5000)._pool.size == connections.MAX_CONNECTIONS


def answer_once(data: bytes) -> Any:
    def behave(c: Conversation) -> None:
        c.request()
        c.send(data)

    return behave


ANSWERS = {
    # what the server sends → status, data, part of the error
    "chunked": (
        JSON_HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n',
        200,
        {"a": 1},
        "",
    ),
    "body until close": (JSON_HEAD + b'Connection: close\r\n\r\n{"a":1}', 200, {"a": 1}, ""),
    "empty body": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, None, ""),
    "null": (JSON_HEAD + b"Content-Length: 4\r\n\r\nnull", 200, None, ""),
    "plain text 500": (
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 21\r\n\r\nInternal Server Error",
        500,
        "Internal Server Error",
        "",
    ),
    "garbage JSON": (JSON_HEAD + b"Content-Length: 6\r\n\r\n{oops}", 200, "{oops}", "not JSON"),
    "binary": (JSON_HEAD + b"Content-Length: 3\r\n\r\n\xff\xfe\x00", 200, "\ufffd\ufffd\x00", "not JSON"),
    "interim 100": (
        b"HTTP/1.1 100 Continue\r\n\r\n" + JSON_HEAD + b"Content-Length: 2\r\n\r\n{}",
        200,
        {},
        "",
    ),
    "closed after headers": (JSON_HEAD + b"Content-Length: 10\r\n\r\n", 200, None, "broke off"),
    "half a body": (JSON_HEAD + b'Content-Length: 10\r\n\r\n{"a"', 200, None, "broke off"),
    "half a chunk": (JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", 200, None, "broke off"),
    "half a 400": (b"HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\n{", 400, None, "broke off"),
    "half the headers": (b"HTTP/1.1 200 OK\r\nContent-", 0, None, "not a whole HTTP answer"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", 0, None, "not a whole HTTP answer"),
    "nothing": (b"", 0, None, "closed before an answer"),
    "huge body": (
        JSON_HEAD + b"Content-Length: 90000\r\n\r\n" + b" " * 90000,
        200,
        None,
        "larger than 50,000",
    ),
    "huge chunks": (
        JSON_HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"1000\r\n"
        + b"x" * 4096
        + b"\r\n"
        + b"fffff\r\n"
        + b"x" * 99999,
        200,
        None,
        "larger than 50,000",
    ),
    "endless headers": (b"HTTP/1.1 200 OK\r\n" + b"X-Filler: yes\r\n" * 9000, 0, None, "larger than 50,000"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_odd_answers(name: str) -> None:
    data, status, decoded, error = ANSWERS[name]
    with odd_server(answer_once(data)) as seen:
        to = transport(seen.url, max_answer_bytes=50_000, concurrency=1)
        reply = to.call(*MOVE)
        again = to.call(*MOVE)  # the only connection of the pool was given back
        to.close()
    for answer in (reply, again):
        assert (answer.status, answer.data) == (status, decoded)
        assert error in answer.error if error else answer.error == ""
        assert answer.sent
    assert len(seen.requests) == 2, "a movement goes out once per call"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_refused_connection_is_known_not_to_be_sent() -> None:
    to = transport(f"http://127.0.0.1:{free_port()}")
    reply = to.call(*MOVE)
    assert (reply.status, reply.error, reply.sent, reply.attempts) == (0, "connection refused", False, 1)


def test_unknown_host_is_known_not_to_be_sent() -> None:
    reply = transport("http://nowhere.invalid").call(*MOVE)
    assert (reply.status, reply.sent) == (0, False)
    assert reply.error == "the host name is not known"


def wait_for_close(to: HttpTransport) -> None:
    """Until the server's close of each resting connection has arrived here."""
    with gevent.Timeout(2):
        while not all(connections._has_input(sock) for sock in to._pool._socket_queue.queue):
            gevent.sleep(0)


def test_stale_connection_is_replaced_before_anything_is_sent() -> None:
    def one_request_each(c: Conversation) -> None:
        c.request()
        c.answer(b"{}")  # says keep-alive, and closes all the same

    with odd_server(one_request_each) as seen:
        to = transport(seen.url, max_retries=0)
        replies = []
        for _ in range(3):
            replies.append(to.call(*MOVE))
            wait_for_close(to)
        to.close()
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert len(seen.requests) == 3


def test_connection_that_rested_too_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = transport(seen.url)
        to.call(*MOVE)
        monkeypatch.setattr(connections, "MAX_IDLE_S", 0.0)
        to.call(*MOVE)
        to.close()
    assert seen.connections == 2


def test_write_that_fails_at_once_is_known_not_to_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The race lost even closer: alive when looked at, reset when written to."""

    def reset_after_answer(c: Conversation) -> None:
        c.request()
        c.answer(b"{}")
        c.reset()

    monkeypatch.setattr(connections.PlainPool, "_is_socket_alive", lambda pool, sock: True)
    with odd_server(reset_after_answer) as seen:
        to = transport(seen.url, concurrency=2, max_retries=0)
        pair = [gevent.spawn(to.call, *MOVE) for _ in range(2)]
        gevent.joinall(pair)
        assert seen.connections == 2
        wait_for_close(to)
        reply = to.call(*MOVE)
        to.close()
    assert (reply.status, reply.attempts) == (200, 2), "the second resting connection is not tried either"
    assert len(seen.requests) == 3


def closes_on_second_request(c: Conversation) -> None:
    """A server that loses the race: it takes a request on an old connection and hangs up."""
    c.request()
    c.answer(b"{}")
    c.request()


def test_movement_lost_on_an_old_connection_is_never_sent_again() -> None:
    with odd_server(closes_on_second_request) as seen:
        to = transport(seen.url)
        first, second = to.call(*MOVE), to.call(*MOVE)
        to.close()
    assert first.status == 200
    assert (second.status, second.sent, second.attempts) == (0, True, 1)
    assert len(seen.requests) == 2


def test_repeatable_call_lost_on_an_old_connection_goes_out_again_at_once() -> None:
    with odd_server(closes_on_second_request) as seen:
        to = transport(seen.url, max_retries=0)
        first = to.call("POST", "/score", "/score", {}, repeatable=True)
        second = to.call("POST", "/score", "/score", {}, repeatable=True)
        to.close()
    assert (first.status, second.status, second.attempts) == (200, 200, 2)
    assert (seen.connections, len(seen.requests)) == (2, 3)


def test_get_is_retried_after_a_lost_connection_and_then_gives_up() -> None:
    with odd_server(lambda c: c.request()) as seen:
        to = transport(seen.url, max_retries=2)
        reply = get(to)
        to.close()
    assert (reply.status, reply.attempts, len(seen.requests)) == (0, 3, 3)


@pytest.mark.parametrize(("repeatable", "requests", "status"), [(True, 2, 200), (False, 1, 503)])
def test_busy_server(repeatable: bool, requests: int, status: int) -> None:
    def busy_first(c: Conversation) -> None:
        while c.request():
            busy = len(seen.requests) == 1
            c.answer(b'{"detail":"busy"}' if busy else b"{}", "503 Busy" if busy else "200 OK")

    with odd_server(busy_first) as seen:
        to = transport(seen.url)
        reply = to.call("POST", "/score", "/score", {}, repeatable=repeatable)
        to.close()
    assert (reply.status, len(seen.requests)) == (status, requests)


@pytest.mark.parametrize("status", ["400 Bad", "401 No", "404 No", "429 Slow", "500 Oops", "501 No"])
def test_an_answer_is_not_retried(status: str) -> None:
    with odd_server(lambda c: c.serve(b'{"detail":"no"}', status)) as seen:
        to = transport(seen.url)
        assert get(to).status == int(status[:3])
        to.close()
    assert len(seen.requests) == 1


def test_retries_dry_up_against_a_server_that_stays_away() -> None:
    to = transport(f"http://127.0.0.1:{free_port()}", max_retries=1)
    attempts = [get(to).attempts for _ in range(12)]
    assert attempts[0] == 2
    assert attempts[-1] == 1


def test_hung_server_costs_the_deadline_and_nobody_else_waits() -> None:
    done = Event()
    ticks = 0

    def heartbeat() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            gevent.sleep(0.005)

    def hang(c: Conversation) -> None:
        c.request()
        done.wait(5)

    with odd_server(hang) as seen:
        heart = gevent.spawn(heartbeat)
        to = transport(seen.url, timeout_s=0.3)
        reply = to.call("POST", "/score", "/score", {}, repeatable=True)
        done.set()
        heart.join()
        to.close()
    assert (reply.status, reply.sent, reply.error) == (0, True, "no answer within 0.3 s")
    assert len(seen.requests) == 1, "a timeout is not retried"
    assert reply.latency_ms == pytest.approx(300, abs=150)
    assert ticks > 10


def test_dripping_server_meets_the_deadline_too() -> None:
    def drip(c: Conversation) -> None:
        c.request()
        c.send(JSON_HEAD + b"Content-Length: 1000\r\n\r\n")
        while True:
            c.send(b" ")
            gevent.sleep(0.01)

    with odd_server(drip) as seen:
        to = transport(seen.url, timeout_s=0.2)
        reply = to.call(*MOVE)
        to.close()
    assert (reply.status, reply.data, reply.error) == (200, None, "no answer within 0.2 s")


def test_waiting_for_a_free_connection_counts_and_is_known_not_to_be_sent() -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = transport(seen.url, concurrency=1, timeout_s=0.2)
        sock, _ = to._pool.take()
        reply = to.call(*MOVE)
        to._pool.release_socket(sock)
        assert to.call(*MOVE).status == 200
        to.close()
    assert (reply.status, reply.sent, reply.error) == (0, False, "no answer within 0.2 s")
    assert len(seen.requests) == 1


def test_killed_caller_gives_its_connection_back() -> None:
    with ExitStack() as stack:
        asked = Event()

        def hang_first(c: Conversation) -> None:
            if c.number == 1:
                c.request()
                asked.set()
                gevent.sleep(5)
            else:
                c.serve()

        seen = stack.enter_context(odd_server(hang_first))
        to = transport(seen.url, concurrency=1)
        stuck = gevent.spawn(to.call, *MOVE)
        assert asked.wait(2)
        stuck.kill()
        assert to.call(*MOVE).status == 200
        to.close()


def test_a_timeout_of_the_callers_own_passes_through() -> None:
    with odd_server(lambda c: gevent.sleep(5)) as seen:
        to = transport(seen.url)
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
            to.call(*MOVE)
        to.close()


def test_reset_connection() -> None:
    def reset(c: Conversation) -> None:
        c.request()
        c.reset()

    with odd_server(reset) as seen:
        to = transport(seen.url)
        reply = to.call(*MOVE)
        to.close()
    assert (reply.status, reply.sent) == (0, True)
    assert len(seen.requests) == 1


def test_closed_transport_says_so() -> None:
    to = transport("http://127.0.0.1:1")
    to.close()
    reply = to.call(*MOVE)
    assert (reply.status, reply.sent) == (0, False)
    assert "closed" in reply.error


def test_connections_above_descriptor_1023_are_still_kept_alive() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1400:
        pytest.skip("this system allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1400), hard))
    ballast = [os.dup(2) for _ in range(1100)]
    try:
        with odd_server(lambda c: c.serve()) as seen:
            to = transport(seen.url)
            for _ in range(3):
                assert to.call(*MOVE).status == 200
            to.close()
    finally:
        for descriptor in ballast:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert seen.connections == 1


@pytest.mark.parametrize("token", ["a b", "a\r\nX: y", "ü"])
def test_token_that_would_break_the_header(token: str) -> None:
    with pytest.raises(UsageError, match="token"):
        transport("http://localhost", token=token)


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX:", "/ü"])
def test_path_that_would_break_the_request(path: str) -> None:
    with pytest.raises(ValueError, match="request target"):
        transport("http://localhost").call("GET", path, path)


def test_requests_leave_at_once() -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = transport(seen.url)
        to.call(*MOVE)
        sock, reused = to._pool.take()
        assert (sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), reused) == (1, True)
        to._pool.release_socket(sock)
        to.close()
