"""The examples of docs/extending.md at work: a detector, an endpoint; its contract is what is sent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from banksim.model import Kind
from banksim.targets import nexum_wire
from banksim.targets.bastion import DECISION_FIELDS, SCORE_FIELDS, score_body
from banksim.targets.nexum import AccountDirectory
from tests.docs.pages import DOCS, examples
from tests.integration.commands import environment, free_port, locust, results_in
from tests.unit.targets.people import customer, transaction

FILES = examples(DOCS / "extending.md")
CONTRACTS = (DOCS / "targets.md").read_text("utf-8").partition("## The contracts")[2].partition("\n## ")[0]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


@pytest.fixture
def detector(place: Path) -> Iterator[str]:
    command = [sys.executable, "my_detector.py", "0"]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
        server.terminate()


def test_a_detector_of_ones_own_is_measured(place: Path, detector: str) -> None:
    done = locust(
        *("--headless", "--scenario", "fraud_attack", "--speed", "3000", "--seed", "7", "--no-kafka"),
        *("--nexum-url", "", "--bastion-url", detector, "--report-dir", str(place / "out")),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = results_in(place / "out")["detection"]
    assert found["coverage"] == 1.0
    assert found["confusion"]["tp"] > 0
    assert found["confusion"]["fn"] > 0


def test_an_endpoint_of_ones_own_is_served_beside_the_pages(place: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "locust", "-f", "my_bank.py", "--scenario", "demo", "--dry-run"]
    with subprocess.Popen(
        [*command, "--web-port", str(port)], cwd=place, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        answer = _get(f"http://127.0.0.1:{port}/api/custom/endpoint")
        status = _get(f"http://127.0.0.1:{port}/api/status")
        process.terminate()
    assert json.loads(answer) == {"custom": "data", "finished": False}
    assert json.loads(status)["state"] == "idle"


def _get(address: str) -> str:
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {address}")


def test_every_example_is_named_in_a_command_or_a_scenario() -> None:
    text = (DOCS / "extending.md").read_text("utf-8")
    rest = {name: re.sub(rf"<!-- example: {re.escape(name)} -->", "", text) for name in FILES}
    assert [name for name in FILES if name not in rest[name]] == ["refunds.yaml"]  # run by test_plugins.py


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("score", score_body(transaction(Kind.PURCHASE), AccountDirectory(7))),
        ("posting", nexum_wire.movement_body(transaction(Kind.PURCHASE), "a", None)),
        ("transfer", nexum_wire.movement_body(transaction(Kind.TRANSFER), "a", "b")),
        ("customer", nexum_wire.customer_body(customer())),
        ("kyc", nexum_wire.kyc_body(customer(), True)),
        ("account", nexum_wire.account_body("c", "checking", "USD", "1")),
    ],
)
def test_the_contracts_name_every_field_that_is_sent(kind: str, body: dict[str, object]) -> None:
    metadata = body.get("metadata") or {}
    assert isinstance(metadata, dict)
    assert [name for name in (*body, *metadata) if f"`{name}`" not in CONTRACTS] == []


def test_the_contracts_name_every_field_that_is_read() -> None:
    words = (*SCORE_FIELDS, *DECISION_FIELDS, *nexum_wire.BUSINESS_REFUSALS, "customer_id", "account_id")
    assert [name for name in words if f"`{name}`" not in CONTRACTS] == []
