"""The row path: the same outcomes as the full clients, over one corpus of odd servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import orjson
import pytest

from banksim.model import (
    BankReply,
    BankStatus,
    Decision,
    ScoreReply,
)
from tests.unit.targets.odd_answers import ANSWERS
from tests.unit.targets.odd_servers import JSON_HEAD, Conversation, odd_server
from tests.unit.targets.rides import ANSWER_OF, DONE, SCORE, System, planned, ride


def bank_view(reply: BankReply) -> tuple[Any, ...]:
    return reply.status, reply.detail, reply.limit


def score_view(reply: ScoreReply) -> tuple[Any, ...]:
    return reply.score, reply.decision, reply.reasons, reply.error, reply.limit


def answer_once(data: bytes) -> Callable[[Conversation], None]:
    def behave(c: Conversation) -> None:
        c.request()
        c.send(data)

    return behave


def both(c: Conversation) -> None:
    """A bank and a detector in one, well behaved."""
    while request := c.request():
        c.answer(ANSWER_OF[b"/transactions/" in request])


def hang(c: Conversation) -> None:
    c.request()
    gevent.sleep(5)


# The same as the full clients


@pytest.mark.parametrize("name", ANSWERS)
def test_odd_answers_of_a_bank(name: str) -> None:
    data = ANSWERS[name][0]
    with odd_server(answer_once(data)) as seen:
        full = System(seen.url, options={"max_answer_bytes": 50_000})
        replies = [full.bank.post(planned(row)) for row in range(2)]
        full.close()
    with odd_server(answer_once(data)) as by_lane:
        with ride(System(by_lane.url, options={"max_answer_bytes": 50_000})) as riding:
            for row in range(2):
                riding.send(row)
                riding.wait()
        lane = riding.system.notebook
    assert [bank_view(riding.outcome(row).bank) for row in range(2)] == [bank_view(r) for r in replies]
    assert by_lane.requests == [
        r.replace(str(seen.port).encode(), str(by_lane.port).encode()) for r in seen.requests
    ]
    assert riding.booked() == full.notebook.movements
    assert [call._replace(latency_ms=0.0) for call in lane.calls] == [
        call._replace(latency_ms=0.0) for call in full.notebook.calls
    ]
    assert lane.under_way == 0


@pytest.mark.parametrize("name", [*ANSWERS, "a score"])
def test_odd_answers_of_a_detector(name: str) -> None:
    head = JSON_HEAD + b"Content-Length: %d\r\n\r\n" % len(SCORE)
    data = head + SCORE if name == "a score" else ANSWERS[name][0]
    options = {"max_answer_bytes": 50_000, "max_retries": 1}
    with odd_server(answer_once(data)) as seen:
        full = System(detector_url=seen.url, options=options)
        scores = [full.detector.score(planned(row)) for row in range(2)]
        full.close()
    with (
        odd_server(answer_once(data)) as by_lane,
        ride(System(detector_url=by_lane.url, options=options)) as riding,
    ):
        for row in range(2):
            riding.send(row)
            riding.wait()
    assert [score_view(riding.outcome(row).detector) for row in range(2)] == [score_view(s) for s in scores]
    assert len(by_lane.requests) == len(seen.requests), "retried as often"


@pytest.mark.parametrize(
    "status",
    ["400 Bad", "401 No", "403 No", "404 No", "429 Slow", "500 Oops", "502 Bad", "503 Busy", "307 Moved"],
)
@pytest.mark.parametrize("body", [b'{"detail":"Insufficient funds: available 1"}', b"<p>no</p>"])
def test_unexpected_statuses(status: str, body: bytes) -> None:
    with odd_server(lambda c: c.serve(body, status)) as seen:
        full = System(seen.url, seen.url)
        reply, score = full.bank.post(planned(0)), full.detector.score(planned(0))
        asked = len(seen.requests)
        full.close()
        with ride(System(seen.url, seen.url)) as riding:
            riding.send(0)
            riding.wait()
    outcome = riding.outcome(0)
    assert (bank_view(outcome.bank), score_view(outcome.detector)) == (bank_view(reply), score_view(score))
    assert len(seen.requests) == 2 * asked


# The fast way


def test_many_rows_post_then_score() -> None:
    with odd_server(both) as seen, ride(System(seen.url, seen.url), concurrency=4) as riding:
        for row in range(200):
            riding.send(row)
        riding.wait()
        assert (riding.carrier.in_flight, riding.carrier.waiting, riding.carrier.room) == (0, 0, 20_000)
    assert len(riding.trips) == 200
    assert riding.transactions == 0, "not one went to the full client"
    assert riding.system.notebook.calls == []
    for row in range(200):
        trip, outcome = riding.trips[row], riding.outcome(row)
        assert (outcome.bank.status, outcome.detector.decision) == (BankStatus.POSTED, Decision.REVIEW)
        assert outcome.detector.reasons == ("velocity",)
        assert trip.due_s <= trip.start_s == trip.bank_start_s < trip.bank_end_s
        assert trip.bank_end_s == trip.score_start_s < trip.score_end_s == trip.end_s
        assert trip.bank_received > len(DONE)
        assert trip.score_received > len(SCORE)
        assert outcome.response_ms == pytest.approx((trip.end_s - trip.due_s) * 1000)
    assert seen.connections <= 8
    assert len({r for r in seen.bodies() if b"reference" in r}) == 200, "each movement once"


def test_score_first_does_not_post_what_is_blocked() -> None:
    def behave(c: Conversation) -> None:
        while request := c.request():
            if b"/transactions/" in request:
                c.answer(DONE)
            else:
                word = "BLOCK" if b'"tx-1"' in request else "APPROVE"
                c.answer(b'{"score":0.5,"action":"%b"}' % word.encode())

    with odd_server(behave) as seen, ride(System(seen.url, seen.url), score_first=True) as riding:
        for row in range(3):
            riding.send(row)
        riding.wait()
    assert [riding.outcome(row).bank.status for row in range(3)] == ["posted", "skipped", "posted"]
    assert riding.outcome(1).bank.detail == "declined before posting"
    assert riding.trips[0].score_end_s == riding.trips[0].bank_start_s
    assert sum(b"/transactions/" in request for request in seen.requests) == 2


def test_one_target_alone_and_none() -> None:
    with odd_server(both) as seen:
        for system, bank, decision in (
            (System(seen.url), BankStatus.POSTED, Decision.NONE),
            (System("", seen.url), BankStatus.SKIPPED, Decision.REVIEW),
            (System(), BankStatus.SKIPPED, Decision.NONE),
        ):
            with ride(system) as riding:
                riding.send(0)
                riding.wait()
            assert (riding.outcome(0).bank.status, riding.outcome(0).detector.decision) == (bank, decision)


def test_rows_without_bytes_go_to_the_full_client() -> None:
    with odd_server(both) as seen, ride(System(seen.url)) as riding:
        for row in range(50):
            riding.send(row, raw=b"")
        riding.wait()
    assert {riding.outcome(row).bank.status for row in range(50)} == {BankStatus.POSTED}
    assert riding.transactions == 50
    assert all(trip.bank_by_client for trip in riding.trips.values())
    assert len(riding.system.notebook.movements) == 50


def test_the_first_answer_under_a_head_needs_no_full_client() -> None:
    """A Date that changes, a length that was not seen: a whole answer all the same."""

    def behave(c: Conversation) -> None:
        number = 0
        while c.request():
            number += 1
            c.answer(DONE[:-1] + b',"n":"%s"}' % (b"x" * number), head=b"Date: %d\r\n" % number)

    with odd_server(behave) as seen, ride(System(seen.url), concurrency=1) as riding:
        for row in range(20):
            riding.send(row)
        riding.wait()
    assert (riding.transactions, seen.connections) == (0, 1)
    assert {riding.outcome(row).bank.status for row in range(20)} == {BankStatus.POSTED}


@pytest.mark.parametrize("cut", [1, 20, -5])
def test_an_answer_in_two_blocks(cut: int) -> None:
    def behave(c: Conversation) -> None:
        while c.request():
            whole = JSON_HEAD + b"Content-Length: %d\r\n\r\n" % len(DONE) + DONE
            c.send(whole[:cut])
            gevent.sleep(0.01)
            c.send(whole[cut:])

    with odd_server(behave) as seen, ride(System(seen.url), concurrency=1) as riding:
        for row in range(5):
            riding.send(row)
        riding.wait()
    assert {riding.outcome(row).bank.status for row in range(5)} == {BankStatus.POSTED}
    assert (riding.transactions, seen.connections) == (0, 1), "no full client is needed"
    assert {trip.bank_received for trip in riding.trips.values()} == {riding.trips[0].bank_received}


def test_an_answer_in_single_bytes() -> None:
    """Known heads and new ones, cut anywhere."""

    def behave(c: Conversation) -> None:
        number = 0
        while c.request():
            number += 1
            for byte in JSON_HEAD + b"X: %d\r\nContent-Length: %d\r\n\r\n" % (number // 2, len(DONE)) + DONE:
                c.send(bytes([byte]))
                gevent.sleep(0)

    with odd_server(behave) as seen, ride(System(seen.url), concurrency=1) as riding:
        for row in range(6):
            riding.send(row)
        riding.wait()
    assert {riding.outcome(row).bank.status for row in range(6)} == {BankStatus.POSTED}
    assert (riding.transactions, seen.connections) == (0, 1)


def test_an_answer_larger_than_a_block() -> None:
    large = DONE[:-1] + b',"n":"' + b"x" * 200_000 + b'"}'

    def behave(c: Conversation) -> None:
        while c.request():
            c.answer(large)

    with odd_server(behave) as seen, ride(System(seen.url), concurrency=1) as riding:
        for row in range(3):
            riding.send(row)
        riding.wait()
    assert {riding.outcome(row).bank.status for row in range(3)} == {BankStatus.POSTED}
    assert {trip.bank_received for trip in riding.trips.values()} == {len(large) + 43}
    assert (riding.transactions, seen.connections) == (0, 1)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("reset", [False, True])
def test_an_answer_that_breaks_off_after_its_head(known: bool, reset: bool) -> None:
    whole = JSON_HEAD + b"Content-Length: %d\r\n\r\n" % len(DONE) + DONE

    def behave(c: Conversation) -> None:
        if known:
            c.request()
            c.send(whole)
        c.request()
        c.send(whole[:-5])
        gevent.sleep(0.03)
        if reset:
            c.reset()

    with odd_server(behave) as seen:
        full = System(seen.url)
        replies = [full.bank.post(planned(row)) for row in range(2)]
        full.close()
        with ride(System(seen.url), concurrency=1) as riding:
            for row in range(2):
                riding.send(row)
                riding.wait()
    assert [bank_view(riding.outcome(row).bank) for row in range(2)] == [bank_view(r) for r in replies]
    assert replies[1].status is BankStatus.UNKNOWN
    assert "broke off" in replies[1].detail


def test_a_request_that_does_not_leave_whole() -> None:
    """Larger than any socket buffer: the rest is written by a greenlet, once."""
    large = b"x" * 20_000_000
    head = b"POST /transactions/deposit HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(large)

    def slow(c: Conversation) -> None:
        gevent.sleep(0.05)
        while c.request():
            c.answer(DONE)

    with odd_server(slow) as seen, ride(System(seen.url, options={"timeout_s": 20}), concurrency=1) as riding:
        riding.send(0, raw=head + large)
        riding.send(1)
        riding.wait()
    assert [riding.outcome(row).bank.status for row in range(2)] == ["posted", "posted"]
    assert seen.requests[0] == head + large
    assert (len(seen.requests), seen.connections) == (2, 1)


# Connections


def test_connections_are_bounded_and_late_rows_are_dropped() -> None:
    def slow(c: Conversation) -> None:
        while c.request():
            gevent.sleep(0.05)
            c.answer(DONE)

    with odd_server(slow) as seen, ride(System(seen.url), concurrency=2, drop_after_s=0.12) as riding:
        for row in range(20):
            riding.send(row)
        riding.wait()
    dropped = [row for row, trip in riding.trips.items() if trip.dropped]
    assert seen.connections == 2
    assert 10 <= len(dropped) < 20
    assert riding.trips[dropped[0]].dropped == "could not start within 0 s"
    assert len(seen.requests) == 20 - len(dropped)
    assert riding.transactions == 0


def test_rows_beyond_the_bound_are_refused() -> None:
    with odd_server(lambda c: gevent.sleep(5)) as seen, ride(System(seen.url), max_trips=3) as riding:
        for row in range(3):
            riding.send(row)
        assert riding.carrier.room == 0
        assert not riding.carrier.put(9, 0.0, b"x", b"")
        riding.carrier.close()
    assert sorted(riding.trips) == [0, 1, 2]


def test_a_server_that_closes_without_a_word_loses_no_movement_twice() -> None:
    """A reused connection that turns out to be closed: sent or not, never twice."""

    def one_each(c: Conversation) -> None:
        c.request()
        c.answer(DONE)

    with odd_server(one_each) as seen, ride(System(seen.url), concurrency=1) as riding:
        for row in range(30):
            riding.send(row)
            riding.wait()
        assert len(riding.trips) == 30
    references = [orjson.loads(body)["reference"] for body in seen.bodies()]
    assert len(set(references)) == len(references)
    statuses = [riding.outcome(row).bank.status for row in range(30)]
    assert statuses.count(BankStatus.POSTED) >= 29
    assert set(statuses) <= {BankStatus.POSTED, BankStatus.UNKNOWN}


def closes_on_second_request(c: Conversation) -> None:
    """A server that loses the race: it takes a request on an old connection and hangs up."""
    c.request()
    c.answer(DONE)
    c.request()


def test_a_movement_lost_on_an_old_connection_is_unknown_and_not_sent_again() -> None:
    with odd_server(closes_on_second_request) as seen, ride(System(seen.url), concurrency=1) as riding:
        for row in range(2):
            riding.send(row)
            riding.wait()
    assert [riding.outcome(row).bank.status for row in range(2)] == ["posted", "unknown"]
    assert len(seen.requests) == 2
    assert riding.booked() == [("a1", 1250, False), ("a0", 1250, True)]


@pytest.mark.parametrize(("retries", "sent"), [(1, 3), (0, 2)])
def test_a_score_lost_on_an_old_connection_is_asked_again_unless_nothing_may_be(
    retries: int, sent: int
) -> None:
    def behave(c: Conversation) -> None:
        c.request()
        c.answer(SCORE)
        c.request()

    with (
        odd_server(behave) as seen,
        ride(System(detector_url=seen.url, options={"max_retries": retries}), concurrency=1) as riding,
    ):
        for row in range(2):
            riding.send(row)
            riding.wait()
    assert [riding.outcome(row).detector.decision for row in range(2)] == [
        Decision.REVIEW,
        Decision.REVIEW if retries else Decision.NONE,
    ]
    assert len(seen.requests) == sent


@pytest.mark.parametrize(
    ("named", "scored"),
    [
        ("", True),  # an answer need not name its transaction
        ('"transaction_id":"tx-0",', True),
        ('"transaction_id":7,', True),  # a number of the detector's own
        ('"transaction_id":"tx-1",', False),  # swapped with another's
        ('"transaction_id":"never-sent",', False),
    ],
)
def test_an_answer_for_another_transaction_is_no_score(named: str, scored: bool) -> None:
    answer = b'{%b"risk_score":0.25,"action":"REVIEW","reasons":[]}' % named.encode()
    with odd_server(lambda c: c.serve(answer)) as seen, ride(System(detector_url=seen.url)) as found:
        by_client = found.system.detector.score(planned(0))
        found.send(0)
        found.wait()
        by_lane = found.trips[0].score
    for reply in (by_client, by_lane):
        assert (reply.score, reply.decision) == ((0.25, Decision.REVIEW) if scored else (None, Decision.NONE))
        assert reply.error == ("" if scored else "the answer is for another transaction")
