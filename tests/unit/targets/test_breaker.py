"""The circuit breaker: when it opens, what it lets through, how it closes again."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import gevent
import pytest
from gevent import GreenletExit

from banksim.model import BankStatus, Decision
from banksim.targets import AccountDirectory, BastionClient, NexumClient, Reply, Request
from banksim.targets.calls import Circuit, CircuitBreaker, GuardedTransport
from tests.unit.targets.people import Notebook, ScriptedTransport, transaction

REFUSED = Reply(0, None, 1.0, "connection refused", sent=False)
LOST = Reply(0, None, 1.0, "no answer within 1 s", sent=True)
FINE = Reply(200, {"state": "completed"}, 1.0)


class Time:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def breaker(time: Time, failures: int = 3) -> CircuitBreaker:
    return CircuitBreaker(
        "Nexum",
        failures_to_open=failures,
        first_pause_s=1.0,
        longest_pause_s=4.0,
        monotonic=time,
        now=lambda: datetime(2026, 1, 5, 12, 3, 4, tzinfo=UTC),
    )


def guarded(*script: Reply | BaseException) -> tuple[GuardedTransport, ScriptedTransport, Time]:
    time, inner = Time(), ScriptedTransport(*script)
    return GuardedTransport(inner, breaker(time)), inner, time


def call(transport: GuardedTransport) -> Reply:
    return transport.send(Request("POST", "/x", "/x", {}))


def test_it_opens_after_failures_in_a_row_and_says_since_when(caplog: pytest.LogCaptureFixture) -> None:
    transport, inner, _ = guarded(REFUSED)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert call(transport).error == "connection refused"
        reply = call(transport)
    assert (reply.status, reply.sent, reply.error) == (0, False, "circuit open: connection refused")
    assert len(inner.asked) == 3
    status = transport.breaker.status
    assert status.text == "circuit open since 12:03:04: connection refused"
    assert (status.opened, status.refused) == (1, 1)
    assert len(caplog.records) == 1


def test_one_answer_in_between_starts_the_count_again() -> None:
    transport, _, _ = guarded(REFUSED, LOST, Reply(400, {}, 1.0), REFUSED, LOST, FINE)
    for _ in range(6):
        call(transport)
    assert transport.breaker.status.state is Circuit.CLOSED


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_an_answer_is_an_answer(status: int) -> None:
    transport, inner, _ = guarded(Reply(status, None, 1.0))
    for _ in range(10):
        call(transport)
    assert len(inner.asked) == 10


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_in_its_place_is_none(status: int) -> None:
    transport, inner, _ = guarded(Reply(status, None, 1.0))
    for _ in range(10):
        call(transport)
    assert len(inner.asked) == 3


def test_one_probe_after_the_pause_and_a_longer_pause_each_time() -> None:
    transport, inner, time = guarded(REFUSED)
    for _ in range(3):
        call(transport)
    asked = 3
    for pause_s in (1.0, 2.0, 4.0, 4.0):
        time.now_s += pause_s - 0.01
        call(transport)
        assert len(inner.asked) == asked
        time.now_s += 0.01
        call(transport)
        call(transport)
        asked += 1
        assert len(inner.asked) == asked
    assert transport.breaker.status.open_s == pytest.approx(11.0)


def test_only_one_call_probes_while_others_wait_for_nothing() -> None:
    time, asked = Time(), []

    class Slow(ScriptedTransport):
        def send(self, request: Request) -> Reply:
            asked.append(1)
            gevent.sleep(0.01)
            return FINE

    transport = GuardedTransport(Slow(FINE), breaker(time))
    for _ in range(3):
        transport.breaker.failed("reset")
    time.now_s += 1.0
    replies = [job.get() for job in [gevent.spawn(call, transport) for _ in range(5)]]
    assert len(asked) == 1
    assert sorted(reply.status for reply in replies) == [0, 0, 0, 0, 200]
    assert transport.breaker.status.state is Circuit.CLOSED
    assert transport.breaker.status.text == ""


def test_a_probe_that_is_killed_does_not_hold_it_open_for_ever() -> None:
    transport, _, time = guarded(REFUSED, REFUSED, REFUSED, GreenletExit(), FINE)
    for _ in range(3):
        call(transport)
    time.now_s += 1.0
    with pytest.raises(GreenletExit):
        call(transport)
    time.now_s += 2.0
    assert call(transport).status == 200
    assert call(transport).status == 200


def test_a_late_answer_to_an_older_call_closes_it() -> None:
    time = Time()
    made = breaker(time)
    for _ in range(3):
        made.failed("no answer within 1 s")
    assert not made.admits()
    made.succeeded()
    assert made.admits()


def test_movements_fail_and_scores_are_not_available_while_it_is_open() -> None:
    directory = AccountDirectory()
    directory.add(0, "c0", ["a0"])
    transport, _, _ = guarded(REFUSED)
    for _ in range(3):
        call(transport)
    notebook = Notebook()
    reply = NexumClient(transport, directory, observer=notebook, books=notebook).post(transaction())
    assert (reply.status, reply.detail) == (BankStatus.FAILED, "circuit open: connection refused")
    assert notebook.movements == []
    score = BastionClient(transport, directory, observer=notebook).score(transaction())
    assert (score.score, score.decision, score.error) == (
        None,
        Decision.NONE,
        "circuit open: connection refused",
    )
    assert {(c.error, c.sent) for c in notebook.calls} == {("circuit open: connection refused", False)}
