"""The stand-in servers as a real process: start, talk, stop."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "banksim.sandbox.server", *options]


@contextmanager
def running(*options: str, servers: int = 2) -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    """The process and its ports by name."""
    process = subprocess.Popen(
        command("--bank-port", "0", "--detector-port", "0", *options),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )
    try:
        ports = {}
        for _ in range(servers):
            line = process.stdout.readline().strip()
            assert " listening on http://127.0.0.1:" in line, line + process.stderr.read()
            ports[line.split()[0]] = int(line.rpartition(":")[2])
        yield process, ports
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def call(self, method, path, body=None, raw=None, headers=None):
        payload = raw if raw is not None else None if body is None else json.dumps(body)
        self.connection.request(method, path, payload, headers or {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None

    def close(self) -> None:
        self.connection.close()


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with running() as (_, found):
        yield found


@pytest.fixture
def bank(ports):
    client = Client(ports["bank"])
    yield client
    client.close()


def test_a_customers_life_over_one_connection(bank):
    customer = {"first_name": "Ada", "last_name": "L", "email": "ada@example.com"}
    status, reply = bank.call("POST", "/customers", customer)
    local_port = bank.connection.sock.getsockname()[1]
    assert status == 201
    customer_id = reply["customer_id"]
    kyc = {"status": "verified", "tier": "tier_2"}
    assert bank.call("PUT", f"/customers/{customer_id}/kyc", kyc)[0] == 200
    account = {"customer_id": customer_id, "product_type": "checking", "currency": "USD", "name": "Main"}
    account_id = bank.call("POST", "/accounts", account)[1]["account_id"]
    amount = {"amount": "12.50", "currency": "USD"}
    movement = {"account_id": account_id, "amount": amount, "description": "d"}
    assert bank.call("POST", "/transactions/deposit", movement)[1]["state"] == "completed"
    assert bank.call("GET", f"/accounts/{account_id}")[1]["book_balance"] == amount
    assert bank.call("GET", f"/accounts/{account_id}/transactions?limit=1")[1]["total"] == 1
    assert bank.call("GET", "/ledger/trial-balance")[1]["balanced"] is True
    assert bank.connection.sock.getsockname()[1] == local_port  # kept alive throughout


def test_the_detector_scores(ports):
    client = Client(ports["detector"])
    assert client.call("GET", "/health")[0] == 200
    status, reply = client.call("POST", "/score", {"transaction_id": "t", "cif_id": "c", "amount": 5.0})
    assert (status, reply["transaction_id"], reply["action"]) == (200, "t", "APPROVE")
    client.close()


def test_answers_are_not_held_back_for_acknowledgements(bank):
    assert bank.call("GET", "/health")[0] == 200
    started_s = time.perf_counter()
    for _ in range(20):
        bank.call("GET", "/health")
    assert (time.perf_counter() - started_s) / 20 < 0.025  # 40 ms each if they were


def test_bad_requests_do_not_break_the_connection(bank):
    assert bank.call("POST", "/customers", raw="{broken")[0] == 422
    assert bank.call("POST", "/customers", raw="{}", headers={"Content-Type": "text/plain"})[0] == 422
    assert bank.call("GET", "/nowhere")[0] == 404
    assert bank.call("GET", "/health")[0] == 200


def test_an_oversized_body_is_413(bank):
    assert bank.call("POST", "/customers", raw=" " * 1_100_000)[0] == 413
    assert bank.call("GET", "/health")[0] == 200  # on a new connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_a_connection_open(number):
    with running() as (process, ports):
        client = Client(ports["bank"])
        assert client.call("GET", "/health")[0] == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=15)
        assert (process.returncode, out, err) == (0, "", "")
        client.close()


def test_one_of_the_two_with_a_file_that_outlives_it(tmp_path):
    path = str(tmp_path / "bank.db")
    with running("--only", "bank", "--database", path, servers=1) as (process, ports):
        assert set(ports) == {"bank"}
        client = Client(ports["bank"])
        account = {"customer_id": "c", "product_type": "checking", "currency": "USD", "name": "Main"}
        account_id = client.call("POST", "/accounts", account)[1]["account_id"]
        amount = {"amount": "5.00", "currency": "USD"}
        movement = {"account_id": account_id, "amount": amount, "description": "d", "channel": "system"}
        assert client.call("POST", "/transactions/deposit", movement)[0] == 200
        client.close()
        process.kill()
        process.wait()
    with running("--only", "bank", "--database", path, servers=1) as (_, ports):
        client = Client(ports["bank"])
        assert client.call("GET", f"/accounts/{account_id}")[1]["book_balance"] == amount
        assert client.call("GET", "/ledger/trial-balance")[1]["balanced"] is True
        client.close()


@pytest.mark.parametrize("option", ["--bank-port", "--detector-port"])
def test_a_taken_port_is_one_message(option):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        options = ["--bank-port", "0", "--detector-port", "0", option, port]
        done = subprocess.run(command(*options), cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f":{port}: Address already in use" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--bank-port", "99999"], 2, "expected a port"),
        (["--only", "nothing"], 2, "invalid choice"),
        (["--detector-delay-ms", "-1"], 2, "milliseconds"),
        (["--database", "/nowhere/bank.db"], 1, "cannot open the database"),
    ],
)
def test_wrong_options_are_one_message(options, code, text):
    done = subprocess.run(command(*options), cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr
