"""Targets that die, hang, lie and drop connections in the middle of a run.

Whatever happens, the run ends by itself, exits as documented, and its figures add up:
sent = answered + failed + unknown, and no cent is missing that the bank acknowledged.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.pywsgi import WSGIServer

from banksim.measure.results import encode
from banksim.model import ExitCode
from banksim.run.plan import Mode
from banksim.run.run import End, Run, State
from tests.integration.driver import Driver, assert_adds_up, settings_for
from tests.services.postgres import PostgresServer
from tests.services.proxy import ResettingProxy
from tests.services.sandbox import Server

#: Three wall seconds at 60 transactions a second.
SCENARIO = """\
name: A short day with a fault in it
duration_hours: 3
speed_multiplier: 3600
start_at: 2026-01-05 09:00:00
customers: 40
accounts_per_customer: 2
transaction_rate: {peak_tps: 60, off_peak_tps: 60}
connections: {timeout_seconds: 1, max_retries: 1}
fraud:
  rate: 0.1
  patterns: [{type: card_testing, count: 20}, {type: velocity_attack}]
"""
#: Starting, draining (every call may time out) and the report, beside the simulated time.
LONGEST_S = 40.0


@pytest.fixture
def detector() -> Iterator[Server]:
    with Server("detector") as server:
        yield server


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Server]:
    """On a file, so that it knows its accounts after it was killed."""
    with Server("bank", "--database", str(tmp_path / "bank.db")) as server:
        yield server


def conduct(
    folder: Path, nexum_url: str, bastion_url: str, fault: Callable[[Run], None] | None = None
) -> dict[str, Any]:
    """A run with ``fault`` in its middle; checks what must hold in every case, and returns its results."""

    def meanwhile(run: Run) -> None:
        while run.state is State.OPENING or run.measures.tally.started < 60:
            gevent.sleep(0.01)
        if fault is not None:
            fault(run)

    settings = settings_for(folder, SCENARIO, Mode.LIVE, nexum_url=nexum_url, bastion_url=bastion_url)
    started_s = time.monotonic()
    run = Driver(settings, users=16).conduct(meanwhile)
    assert time.monotonic() - started_s < LONGEST_S
    assert (run.end, run.exit_code) == (End.COMPLETED, ExitCode.COMPLETED), run.message
    assert run.results is not None
    assert_adds_up(encode(run.results))
    assert (settings.folder / "report.html").stat().st_size > 10_000
    return encode(run.results)


@contextmanager
def as_long_as_it_takes(run: Run) -> Iterator[None]:
    """Simulated time crawls meanwhile, and until sixty more transactions were answered."""
    speed = run.speed
    run.set_speed(speed / 100)
    yield
    answered = run.measures.tally.completed
    while run.measures.tally.completed < answered + 60:
        gevent.sleep(0.01)
    run.set_speed(speed)


def circuit(results: dict[str, Any], system: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in results["run"]["circuits"] if row["system"] == system)
    return found


def test_without_a_fault_everything_is_answered(tmp_path: Path, bank: Server, detector: Server) -> None:
    results = conduct(tmp_path, bank.url, detector.url)
    sent = results["transactions"]
    assert (sent["failed"], sent["unknown"]) == (0, 0)
    assert results["reconciliation"]["verdict"] == "balanced"
    assert [row["opened"] for row in results["run"]["circuits"]] == [0, 0]


def test_the_bank_is_killed_and_comes_back(tmp_path: Path, bank: Server, detector: Server) -> None:
    def fault(run: Run) -> None:
        with as_long_as_it_takes(run):
            bank.kill()
            gevent.sleep(0.5)
            bank.start()

    results = conduct(tmp_path, bank.url, detector.url, fault)
    sent = results["transactions"]
    assert sent["failed"] > 10
    assert circuit(results, "Nexum")["opened"] >= 1
    assert any("Nexum did not answer for" in sentence for sentence in results["limits"])
    held_back = circuit(results, "Nexum")["refused"]
    assert sum(row["count"] for row in results["calls"] if row["target"] == "nexum") <= (
        sent["sent"] - held_back
    ), "calls that were held back have no latency"
    assert circuit(results, "Nexum")["state"] == "closed", "it noticed that the bank is back"
    assert results["reconciliation"]["verdict"] == "balanced"
    assert results["reconciliation"]["unread"] == 0


def test_the_bank_is_killed_and_stays_away(tmp_path: Path, bank: Server, detector: Server) -> None:
    results = conduct(tmp_path, bank.url, detector.url, lambda run: bank.kill())
    assert results["transactions"]["failed"] > 50
    found = results["reconciliation"]
    assert found["verdict"] == "not checked"
    assert "could not be read" in found["reason"]
    assert circuit(results, "Nexum")["since"] is not None
    assert circuit(results, "Nexum")["refused"] > 50
    confusion = results["detection"]["confusion"]
    assert sum(confusion.values()) == results["transactions"]["sent"], "Bastion went on scoring"


def test_the_detector_hangs(tmp_path: Path, bank: Server, detector: Server) -> None:
    results = conduct(tmp_path, bank.url, detector.url, lambda run: detector.freeze())
    sent = results["transactions"]
    assert (sent["failed"], sent["unknown"]) == (0, 0), "the bank answered every posting"
    detection = results["detection"]
    assert 0 < detection["coverage"] < 0.9
    errors = {row["error"] for row in results["errors"] if row["target"] == "bastion"}
    assert "no answer within 1 s" in errors
    assert any(error.startswith("circuit open") for error in errors)
    assert circuit(results, "Bastion")["opened"] >= 1
    assert results["reconciliation"]["verdict"] == "balanced"


GARBAGE = [
    ("200 OK", "text/html", b"<html>Welcome to the office printer</html>"),
    ("200 OK", "application/json", b'{"risk_score": 0.'),
    ("200 OK", "application/json", b'{"risk_score": 85, "action": "BLOCK"}'),
    ("200 OK", "application/json", b'{"risk_score": 0.2, "action": "PERHAPS"}'),
    ("200 OK", "application/json", b"[]"),
    ("200 OK", "application/json", b"null"),
    ("500 Oh", "text/plain", b"Traceback (most recent call last):"),
    ("200 OK", "application/json", b'{"risk_score": "NaN", "action": ["BLOCK"], "reasons": {"a": 1}}'),
    ("200 OK", "application/octet-stream", bytes(range(256))),
]


@contextmanager
def garbage() -> Iterator[str]:
    """A server that is healthy and talks nonsense."""
    turn = itertools.cycle(GARBAGE)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read()
        healthy = environ["PATH_INFO"] == "/health"
        status, kind, body = ("200 OK", "application/json", b"{}") if healthy else next(turn)
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.stop(timeout=0)


def test_the_detector_talks_nonsense(tmp_path: Path, bank: Server) -> None:
    with garbage() as url:
        results = conduct(tmp_path, bank.url, url)
    assert results["detection"]["coverage"] < 0.2, "one of nine answers has a score"
    errors = " ".join(row["error"] for row in results["errors"])
    for words in (
        "not JSON",
        "85 is outside 0..1",
        "'PERHAPS' is not known",
        "not a JSON object",
        "HTTP 500",
    ):
        assert words in errors, errors
    assert circuit(results, "Bastion")["opened"] == 0, "it answers, whatever it says"
    assert results["reconciliation"]["verdict"] == "balanced"


def test_a_tenth_of_all_requests_is_reset(tmp_path: Path, bank: Server, detector: Server) -> None:
    proxies = [ResettingProxy(bank.url, 0.1), ResettingProxy(detector.url, 0.1, seed=2)]
    try:
        results = conduct(tmp_path, proxies[0].url, proxies[1].url)
    finally:
        for proxy in proxies:
            proxy.stop()
    assert all(proxy.resets > 10 for proxy in proxies)
    sent = results["transactions"]
    # Half of the resets hit after the bank had booked: nobody knows, and nobody may retry.
    assert 0 < sent["unknown"] + sent["failed"] < 0.25 * sent["sent"]
    assert results["detection"]["coverage"] > 0.95, "scores are asked for again"
    found = results["reconciliation"]
    assert found["verdict"] == "balanced", found["differences"][:3]
    assert found["tolerated"] > 0


def test_postgresql_restarts_under_the_bank(
    tmp_path: Path, detector: Server, postgres: PostgresServer
) -> None:
    def fault(run: Run) -> None:
        with as_long_as_it_takes(run):
            postgres.stop()
            postgres.start()

    with Server("bank", "--database-url", postgres.new_database("restarted")) as bank:
        results = conduct(tmp_path, bank.url, detector.url, fault)
    sent = results["transactions"]
    assert sent["completed"] > 100
    assert results["reconciliation"]["verdict"] == "balanced"
    assert results["reconciliation"]["unread"] == 0
