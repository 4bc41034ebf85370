"""What is sent again and what never is, and the deadline: the same for both clients."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import gevent
import pytest
from gevent.event import Event

from banksim.targets import Reply, Request
from banksim.targets.http.client import HttpCalls
from tests.unit.targets.clients import MOVE, Client, both_clients
from tests.unit.targets.odd_servers import JSON_HEAD, Conversation, odd_server


def get(to: HttpCalls) -> Reply:
    return to.send(Request("GET", "/health", "/health"))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@both_clients
def test_refused_connection_is_known_not_to_be_sent(client: Client) -> None:
    to = client.transport(f"http://127.0.0.1:{free_port()}")
    reply = to.send(MOVE)
    assert (reply.status, reply.error, reply.sent, reply.attempts) == (0, "connection refused", False, 1)


@both_clients
def test_unknown_host_is_known_not_to_be_sent(client: Client) -> None:
    reply = client.transport("http://nowhere.invalid").send(MOVE)
    assert (reply.status, reply.sent) == (0, False)
    assert reply.error == "the host name is not known"


@both_clients
def test_stale_connection_is_replaced_before_anything_is_sent(client: Client) -> None:
    def one_request_each(c: Conversation) -> None:
        c.request()
        c.answer(b"{}")  # says keep-alive, and closes all the same

    with odd_server(one_request_each) as seen:
        to = client.transport(seen.url, max_retries=0)
        replies = []
        for _ in range(3):
            replies.append(to.send(MOVE))
            client.wait_for_close(to)
        to.close()
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert len(seen.requests) == 3


@both_clients
def test_connection_that_rested_too_long_is_not_used_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = client.transport(seen.url)
        to.send(MOVE)
        monkeypatch.setattr(client.module, "MAX_IDLE_S", 0.0)
        to.send(MOVE)
        to.close()
    assert seen.connections == 2


@both_clients
def test_write_that_fails_at_once_is_known_not_to_be_sent(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race lost even closer: alive when looked at, reset when written to."""

    def reset_after_answer(c: Conversation) -> None:
        c.request()
        c.answer(b"{}")
        c.reset()

    client.believe_all_alive(monkeypatch)
    with odd_server(reset_after_answer) as seen:
        to = client.transport(seen.url, concurrency=2, max_retries=0)
        pair = [gevent.spawn(to.send, MOVE) for _ in range(2)]
        gevent.joinall(pair)
        assert seen.connections == 2
        client.wait_for_close(to)
        reply = to.send(MOVE)
        to.close()
    assert (reply.status, reply.attempts) == (200, 2), "the second resting connection is not tried either"
    assert len(seen.requests) == 3


def closes_on_second_request(c: Conversation) -> None:
    """A server that loses the race: it takes a request on an old connection and hangs up."""
    c.request()
    c.answer(b"{}")
    c.request()


@both_clients
def test_movement_lost_on_an_old_connection_is_never_sent_again(client: Client) -> None:
    with odd_server(closes_on_second_request) as seen:
        to = client.transport(seen.url)
        first, second = to.send(MOVE), to.send(MOVE)
        to.close()
    assert first.status == 200
    assert (second.status, second.sent, second.attempts) == (0, True, 1)
    assert len(seen.requests) == 2


@both_clients
@pytest.mark.parametrize("retries", [1, 0])
def test_repeatable_call_lost_on_an_old_connection_goes_out_again_unless_nothing_may(
    client: Client, retries: int
) -> None:
    with odd_server(closes_on_second_request) as seen:
        to = client.transport(seen.url, max_retries=retries)
        first = to.send(Request("POST", "/score", "/score", {}, repeatable=True))
        second = to.send(Request("POST", "/score", "/score", {}, repeatable=True))
        to.close()
    assert (first.status, second.status, second.attempts) == (200, 200 * retries, 1 + retries)
    assert len(seen.requests) == 2 + retries


@both_clients
def test_get_is_retried_after_a_lost_connection_and_then_gives_up(client: Client) -> None:
    with odd_server(lambda c: c.request()) as seen:
        to = client.transport(seen.url, max_retries=2)
        reply = get(to)
        to.close()
    assert (reply.status, reply.attempts, len(seen.requests)) == (0, 3, 3)


@pytest.mark.parametrize(("repeatable", "requests", "status"), [(True, 2, 200), (False, 1, 503)])
@both_clients
def test_busy_server(client: Client, repeatable: bool, requests: int, status: int) -> None:
    def busy_first(c: Conversation) -> None:
        while c.request():
            busy = len(seen.requests) == 1
            c.answer(b'{"detail":"busy"}' if busy else b"{}", "503 Busy" if busy else "200 OK")

    with odd_server(busy_first) as seen:
        to = client.transport(seen.url)
        reply = to.send(Request("POST", "/score", "/score", {}, repeatable=repeatable))
        to.close()
    assert (reply.status, len(seen.requests)) == (status, requests)


@pytest.mark.parametrize("status", ["400 Bad", "401 No", "404 No", "429 Slow", "500 Oops", "501 No"])
@both_clients
def test_an_answer_is_not_retried(client: Client, status: str) -> None:
    with odd_server(lambda c: c.serve(b'{"detail":"no"}', status)) as seen:
        to = client.transport(seen.url)
        assert get(to).status == int(status[:3])
        to.close()
    assert len(seen.requests) == 1


@both_clients
def test_retries_dry_up_against_a_server_that_stays_away(client: Client) -> None:
    to = client.transport(f"http://127.0.0.1:{free_port()}", max_retries=1)
    attempts = [get(to).attempts for _ in range(12)]
    assert attempts[0] == 2
    assert attempts[-1] == 1


@both_clients
def test_hung_server_costs_the_deadline_and_nobody_else_waits(client: Client) -> None:
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
        to = client.transport(seen.url, timeout_s=0.3)
        reply = to.send(Request("POST", "/score", "/score", {}, repeatable=True))
        done.set()
        heart.join()
        to.close()
    assert (reply.status, reply.sent, reply.error) == (0, True, "no answer within 0.3 s")
    assert len(seen.requests) == 1, "a timeout is not retried"
    assert reply.latency_ms == pytest.approx(300, abs=150)
    assert ticks > 10


@both_clients
def test_dripping_server_meets_the_deadline_too(client: Client) -> None:
    def drip(c: Conversation) -> None:
        c.request()
        c.send(JSON_HEAD + b"Content-Length: 1000\r\n\r\n")
        while True:
            c.send(b" ")
            gevent.sleep(0.01)

    with odd_server(drip) as seen:
        to = client.transport(seen.url, timeout_s=0.2)
        reply = to.send(MOVE)
        to.close()
    assert (reply.status, reply.data, reply.error) == (200, None, "no answer within 0.2 s")


@both_clients
def test_waiting_for_a_free_connection_counts_and_is_known_not_to_be_sent(client: Client) -> None:
    with odd_server(lambda c: c.serve()) as seen:
        to = client.transport(seen.url, concurrency=1, timeout_s=0.2)
        with client.holding(to):
            reply = to.send(MOVE)
        assert to.send(MOVE).status == 200
        to.close()
    assert (reply.status, reply.sent, reply.error) == (0, False, "no answer within 0.2 s")
    assert len(seen.requests) == 1


@both_clients
def test_killed_caller_gives_its_connection_back(client: Client) -> None:
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
        to = client.transport(seen.url, concurrency=1)
        stuck = gevent.spawn(to.send, MOVE)
        assert asked.wait(2)
        stuck.kill()
        assert to.send(MOVE).status == 200
        to.close()


@both_clients
def test_a_timeout_of_the_callers_own_passes_through(client: Client) -> None:
    with odd_server(lambda c: gevent.sleep(5)) as seen:
        to = client.transport(seen.url)
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
            to.send(MOVE)
        to.close()
