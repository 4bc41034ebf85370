"""The whole stack at once: the attack against a bank on PostgreSQL, events and decisions through Kafka."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from banksim.kafka import EmbeddedBroker
from tests.integration.commands import locust, results_in
from tests.services.postgres import PostgresServer
from tests.services.sandbox import Server


@pytest.fixture
def brokers() -> Iterator[str]:
    """A real broker where one is named in BANKSIM_TEST_KAFKA, else librdkafka's own."""
    named = os.environ.get("BANKSIM_TEST_KAFKA")
    if named:
        yield named
        return
    broker = EmbeddedBroker()
    yield broker.start()
    broker.close()


def test_the_attack_end_to_end(postgres: PostgresServer, brokers: str, tmp_path: Path) -> None:
    with (
        Server("bank", "--database-url", postgres.url()) as bank,
        Server("detector", "--kafka-servers", brokers) as detector,
    ):
        done = locust(
            *("--headless", "--only-summary", "--scenario", "fraud_attack", "--speed", "1000", "--seed", "7"),
            *("--nexum-url", bank.url, "--bastion-url", detector.url, "--kafka-servers", brokers),
            *("--report-dir", str(tmp_path / "out")),
        )
    assert done.returncode == 0, done.stderr[-3000:]
    results = results_in(tmp_path / "out")
    assert results["run"]["mode"] == "live"
    reconciliation = results["reconciliation"]
    assert (reconciliation["verdict"], reconciliation["accounts"]) == ("balanced", 1000)
    kafka = results["kafka"]
    published = kafka["topics"]["nexum.transactions"]
    assert published["delivered"] == published["offered"] > 200
    decisions = kafka["decisions"]
    assert decisions["received"] == decisions["matched"] == published["delivered"]
    assert decisions["undecided"] == decisions["unmatched"] == 0
    assert decisions["recall"] is not None
