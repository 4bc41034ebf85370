"""Carrying rows while connections age, hang, break and come back; logins, columns and the end."""

from __future__ import annotations

import gc
import socket
from itertools import pairwise

import gevent
import numpy as np
import orjson
import pytest

from banksim.model import (
    BankStatus,
    LocalLimit,
)
from banksim.targets import Login
from banksim.targets import carrier as carriers
from banksim.targets.calls import Circuit
from banksim.targets.carrier import (
    BANK_STATUSES,
    CUT_OFF,
    DECISIONS,
    ENDED_FIRST,
    Carrier,
    Results,
    results_of,
)
from banksim.targets.http import lanes as lane_module
from banksim.targets.http.lanes import Trip
from tests.unit.targets.odd_servers import JSON_HEAD, Conversation, odd_server
from tests.unit.targets.rides import ANSWER_OF, DONE, System, planned, ride
from tests.unit.targets.test_carrier import bank_view, both, hang


def test_idle_connections_are_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "MAX_IDLE_S", 0.0)
    with odd_server(both) as seen, ride(System(seen.url), concurrency=1) as riding:
        for row in range(3):
            riding.send(row)
            riding.wait()
    assert seen.connections == 3
    assert {riding.outcome(row).bank.status for row in range(3)} == {BankStatus.POSTED}


def test_connections_are_replaced_with_age() -> None:
    with odd_server(both) as seen, ride(System(seen.url, options={"max_age_s": 0.05})) as riding:
        for row in range(2):
            riding.send(row)
            riding.wait()
            gevent.sleep(0.1)
    assert seen.connections == 2


def test_a_close_that_is_announced_is_followed() -> None:
    def one_each(c: Conversation) -> None:
        c.request()
        c.answer(DONE, head=b"Connection: close\r\n")

    with odd_server(one_each) as seen, ride(System(seen.url), concurrency=2) as riding:
        for row in range(20):
            riding.send(row)
        riding.wait()
    assert {riding.outcome(row).bank.status for row in range(20)} == {BankStatus.POSTED}
    assert (len(seen.requests), seen.connections, riding.transactions) == (20, 20, 0)


# Systems that fail


def test_a_hung_server_meets_the_deadline() -> None:
    with (
        odd_server(hang) as seen,
        ride(System(seen.url, seen.url, options={"timeout_s": 0.2}), concurrency=1) as riding,
    ):
        for row in range(2):
            riding.send(row)
        riding.wait()
    assert [bank_view(riding.outcome(row).bank)[:2] for row in range(2)] == [
        (BankStatus.UNKNOWN, "no answer within 0.2 s")
    ] * 2
    assert riding.outcome(0).detector.error == "no answer within 0.2 s"
    assert len([r for r in seen.requests if b"/transactions/" in r]) == 2
    assert [certain for _, _, certain in riding.booked()] == [False, False]
    assert riding.outcome(0).bank.latency_ms == pytest.approx(250, abs=120)


def test_half_an_answer_meets_the_same_deadline() -> None:
    def drip(c: Conversation) -> None:
        c.request()
        c.send(JSON_HEAD + b"Content-Length: 1000\r\n\r\n")
        while True:
            c.send(b" ")
            gevent.sleep(0.01)

    with odd_server(drip) as seen, ride(System(seen.url, options={"timeout_s": 0.2})) as riding:
        riding.send(0)
        riding.wait()
    reply = riding.outcome(0).bank
    assert (reply.status, "no answer within 0.2 s" in reply.detail) == (BankStatus.UNKNOWN, True)
    assert reply.latency_ms == pytest.approx(200, abs=80), "from its beginning, not from the hand-over"


def test_a_system_that_is_gone_opens_the_circuit_and_comes_back() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        with ride(System(url)) as riding:
            for row in range(40):
                riding.send(row)
                riding.wait()
            breaker = riding.system.breakers["Nexum"]
            assert breaker.status.opened == 1
            details = [riding.outcome(row).bank.detail for row in range(40)]
            assert details[:20] == ["connection refused"] * 20
            assert details[-1] == "circuit open: connection refused"
            sock.listen()  # it is back, as far as connecting goes
            assert {riding.outcome(row).bank.status for row in range(40)} == {BankStatus.FAILED}


def test_the_circuit_closes_again_and_lanes_carry_on() -> None:
    ok = [False]

    def behave(c: Conversation) -> None:
        while c.request():
            if not ok[0]:
                return
            c.answer(DONE)

    with odd_server(behave) as seen, ride(System(seen.url), concurrency=2) as riding:
        for row in range(30):
            riding.send(row)
            riding.wait()
        breaker = riding.system.breakers["Nexum"]
        assert breaker.status.state is Circuit.OPEN
        ok[0] = True
        gevent.sleep(0.1)
        before = riding.transactions
        for row in range(100, 120):
            riding.send(row)
            riding.wait()
    assert breaker.status.state is Circuit.CLOSED
    assert {riding.outcome(row).bank.status for row in range(100, 120)} == {BankStatus.POSTED}
    assert riding.transactions == before + 1, "the probe; all others by lanes"


def test_successes_in_between_keep_the_circuit_closed() -> None:
    """Two of three calls fail, far more than the circuit allows in a row."""

    def behave(c: Conversation) -> None:
        while request := c.request():
            row = int(orjson.loads(request.partition(b"\r\n\r\n")[2])["reference"][3:])
            if row % 3:
                return
            c.answer(DONE)

    with odd_server(behave) as seen, ride(System(seen.url), concurrency=1) as riding:
        for row in range(90):
            riding.send(row)
            riding.wait()
    assert riding.system.breakers["Nexum"].status.opened == 0
    assert sum(trip.bank.status is BankStatus.POSTED for trip in riding.trips.values()) == 30


def test_a_machine_that_is_out_of_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_port(*_: object, **__: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr("gevent.socket.create_connection", no_port)
    with ride(System("http://127.0.0.1:9", "http://127.0.0.1:9")) as riding:
        for row in range(30):
            riding.send(row)
        riding.wait()
    assert {riding.outcome(row).limit for row in range(30)} == {LocalLimit.PORTS}
    assert {trip.dropped for trip in riding.trips.values()} == {"this machine is out of ports"}
    assert riding.system.breakers["Nexum"].status.opened == 0
    assert riding.system.notebook.calls == []


def test_a_login_follows_a_401_and_the_movement_goes_out_again() -> None:
    def behave(c: Conversation) -> None:
        while request := c.request():
            if b"/rbac/" in request:
                c.answer(b'{"access_token":"new"}')
            elif b"Bearer new" in request:
                c.answer(DONE)
            else:
                c.answer(b'{"detail":"Token expired"}', "401 No")

    with odd_server(behave) as seen, ride(System(seen.url, login=Login("u", "p"))) as riding:
        stale = [riding.system.post_bytes(row) for row in range(5)]
        for row in range(5):
            riding.send(row, raw=stale[row])
        riding.wait()
        riding.send(5)
        riding.wait()
    assert {riding.outcome(row).bank.status for row in range(6)} == {BankStatus.POSTED}
    assert sum(b"/rbac/" in request for request in seen.requests) == 1
    assert riding.transactions == 5


def test_rows_made_under_an_older_token_need_no_further_login() -> None:
    tokens = ["new"]

    def behave(c: Conversation) -> None:
        while request := c.request():
            if b"/rbac/" in request:
                c.answer(b'{"access_token":"%b"}' % tokens[0].encode())
            elif f"Bearer {tokens[0]}\r\n".encode() in request:
                c.answer(DONE)
            else:
                c.answer(b'{"detail":"Token expired"}', "401 No")

    with odd_server(behave) as seen, ride(System(seen.url, login=Login("u", "p"))) as riding:
        stale = [riding.system.post_bytes(row) for row in range(6)]
        for row in range(5):
            riding.send(row, raw=stale[row])
            riding.wait()
        assert sum(b"/rbac/" in request for request in seen.requests) == 1
        tokens[0] = "newer"  # the bank ends the token without having said so
        gevent.sleep(1.05)
        riding.send(5)
        riding.wait()
    assert {riding.outcome(row).bank.status for row in range(6)} == {BankStatus.POSTED}
    assert sum(b"/rbac/" in request for request in seen.requests) == 2
    references = [orjson.loads(body).get("reference") for body in seen.bodies()]
    assert references.count("tx-5") == 3, "under its own token, under the same, under the newer"


def test_a_token_is_renewed_ahead_without_a_failed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def behave(c: Conversation) -> None:
        while request := c.request():
            c.answer(b'{"access_token":"t","expires_in":0.1}' if b"/rbac/" in request else DONE)

    monkeypatch.setattr("banksim.targets.auth.AFTER_SUCCESS_S", 0.1)
    with odd_server(behave) as seen, ride(System(seen.url, login=Login("u", "p"))) as riding:
        riding.system.bank.log_in()
        gevent.sleep(0.35)
    assert sum(b"/rbac/" in request for request in seen.requests) >= 2


def test_results_as_columns() -> None:
    def behave(c: Conversation) -> None:
        while request := c.request():
            if b'"tx-1"' in request and b"/transactions/" in request:
                c.answer(b'{"detail":"Insufficient funds: 1"}', "400 Bad")
            elif b'"tx-2"' in request and b"/score" in request:
                c.answer(b"{}", "500 Oops")
            else:
                c.answer(ANSWER_OF[b"/transactions/" in request])

    with odd_server(behave) as seen, ride(System(seen.url, seen.url)) as riding:
        for row in range(3):
            riding.send(row)
        riding.send(3, due_s=lane_module.time.monotonic() - 11, raw=b"")
        riding.wait()
    trips = [riding.trips[row] for row in range(4)]
    columns = results_of(trips)
    assert columns.row.tolist() == [0, 1, 2, 3]
    assert [BANK_STATUSES[code] for code in columns.bank] == ["posted", "refused", "posted", "skipped"]
    assert [DECISIONS[code] for code in columns.decision] == ["review", "review", "n/a", "n/a"]
    assert columns.score[:2].tolist() == [0.25, 0.25]
    assert np.isnan(columns.score[2:]).all()
    assert columns.bank_counted.tolist() == [False, True, False, False]
    assert columns.score_counted.tolist() == [False, False, True, False]
    assert columns.dropped.tolist() == [False, False, False, True]
    for name in ("due_s", "start_s", "end_s", "bank_start_s", "bank_end_s", "score_start_s", "score_end_s"):
        assert getattr(columns, name).tolist() == [getattr(trip, name) for trip in trips]
    assert all(len(getattr(columns, name)) == 4 for name in Results.__dataclass_fields__)
    assert len(results_of([]).row) == 0


# The end


def test_what_is_cut_off_is_unknown_where_it_may_have_been_sent() -> None:
    with odd_server(hang) as seen, ride(System(seen.url), concurrency=2) as riding:
        for row in range(5):
            riding.send(row)
        gevent.sleep(0.05)
        riding.carrier.drain(0.05)
        riding.carrier.close()
    assert [riding.outcome(row).bank.status for row in range(2)] == ["unknown"] * 2
    assert [riding.trips[row].dropped for row in range(5)] == [""] * 2 + [ENDED_FIRST] * 3
    assert riding.outcome(0).bank.detail == CUT_OFF
    assert len(seen.requests) == 2
    assert riding.carrier.in_flight == 0


def test_calls_that_a_full_client_holds_are_cut_off_too() -> None:
    with odd_server(hang) as seen, ride(System(seen.url)) as riding:
        riding.send(0, raw=b"")
        gevent.sleep(0.05)
        assert riding.transactions == 1
        riding.carrier.close()
    assert riding.outcome(0).bank.status is BankStatus.UNKNOWN
    assert riding.system.notebook.movements == [("a0", 1250, False)]


def test_nothing_is_left_open() -> None:
    """A socket that is only dropped would be a ResourceWarning, which is an error here."""
    with odd_server(both) as seen, ride(System(seen.url, seen.url), concurrency=3) as riding:
        for row in range(20):
            riding.send(row)
        riding.wait()
    gc.collect()
    assert all(half.connections == 0 for half in riding.carrier._halves)


def test_a_flush_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    seen_rows: list[int] = []

    def flush(trips: list[Trip]) -> None:
        seen_rows.extend(trip.row for trip in trips)
        if len(seen_rows) == 1:
            raise ValueError("a fault of the consumer")

    carrier = Carrier(None, None, planned, flush)
    for row in range(2):
        carrier.put(row, 0.0, b"", b"")
        gevent.sleep(2 * carriers.TICKS * carriers.TICK_S)
    carrier.close()
    assert seen_rows == [0, 1]
    assert "could not be counted" in caplog.text


def test_who_asked_is_not_delayed_by_a_slow_answer() -> None:
    """Handing over never waits: the hub goes on."""
    seen_at: list[float] = []

    def behave(c: Conversation) -> None:
        while c.request():
            c.send(JSON_HEAD)
            gevent.sleep(0.3)
            c.send(b"Content-Length: %d\r\n\r\n" % len(DONE) + DONE)

    def heartbeat() -> None:
        while True:
            seen_at.append(lane_module.time.monotonic())
            gevent.sleep(0.01)

    heart = gevent.spawn(heartbeat)
    with odd_server(behave) as seen, ride(System(seen.url), concurrency=8) as riding:
        for row in range(8):
            riding.send(row)
        riding.wait()
    heart.kill()
    assert max(b - a for a, b in pairwise(seen_at)) < 0.1
