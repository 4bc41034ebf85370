"""A real broker that wants TLS and a login: what works, and what each mistake says."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from banksim.kafka import TRANSACTIONS, broker_problem, client
from tests.integration.driver import Driver
from tests.integration.test_kafka import asked, figures
from tests.kafka.broker import PASSWORD, USER

VARIABLES = (
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_CA_FILE",
)


@dataclass(frozen=True)
class Secure:
    servers: str
    monkeypatch: pytest.MonkeyPatch

    def given(self, **changes: str) -> str | None:
        """What is wrong when all is as it should be, but for ``changes``."""
        for name, value in changes.items():
            self.monkeypatch.setenv(name, value) if value else self.monkeypatch.delenv(name, raising=False)
        return broker_problem(self.servers)


@pytest.fixture
def secure(monkeypatch: pytest.MonkeyPatch) -> Secure:
    named = os.environ.get("BANKSIM_TEST_KAFKA_SECURE")
    if not named:
        pytest.skip(
            "no Kafka broker with a login: BANKSIM_TEST_KAFKA_SECURE names one (tests/kafka/broker.py)"
        )
    servers, authority = named.split(" ", 1)
    for name, value in zip(VARIABLES, ("SASL_SSL", "PLAIN", USER, PASSWORD, authority), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(client, "METADATA_TIMEOUT_S", 6.0)
    return Secure(servers, monkeypatch)


def test_a_whole_run_with_tls_and_a_login(
    secure: Secure, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        driver = Driver(asked(tmp_path, secure.servers))
        found = figures(driver.conduct())
    assert found["not_published"] == 0
    assert found["decisions"]["matched"] == found["topics"][TRANSACTIONS]["delivered"] > 100
    assert "SASL_SSL" in caplog.text
    told = caplog.text + str(driver.run.results)
    assert PASSWORD not in told
    for file in (tmp_path / driver.run.settings.run_id).iterdir():
        assert PASSWORD.encode() not in file.read_bytes(), file


def test_a_wrong_password(secure: Secure) -> None:
    problem = secure.given(KAFKA_SASL_PASSWORD="wrong-one")
    assert problem is not None
    assert "KAFKA_SASL_PASSWORD" in problem and "login is refused" in problem
    assert "wrong-one" not in problem


def test_an_unknown_authority(secure: Secure) -> None:
    problem = secure.given(KAFKA_CA_FILE="")
    assert problem is not None and "KAFKA_CA_FILE" in problem


def test_a_plain_client_at_a_broker_that_wants_tls(secure: Secure) -> None:
    problem = secure.given(**dict.fromkeys(VARIABLES, ""))
    assert problem is not None and "KAFKA_SECURITY_PROTOCOL" in problem


def test_a_tls_client_at_a_plain_broker(secure: Secure) -> None:
    problem = broker_problem(os.environ["BANKSIM_TEST_KAFKA"])
    assert problem is not None and "KAFKA_SECURITY_PROTOCOL" in problem
