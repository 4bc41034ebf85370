"""The services of docker-compose.yml, run as processes: their commands, environments and health checks.

The order is the file's: each service starts when those it depends on are healthy.  Kafka itself is
started with the file's settings where the jars of tests/kafka are there (make kafka, or
`python -m tests.kafka.broker true`), else librdkafka's own test broker stands in.
"""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from banksim.kafka import EmbeddedBroker
from tests.kafka import broker as kafka
from tests.services.compose import ROOT, Stack, compose, kafka_properties
from tests.services.postgres import PostgresServer

WORKERS = 2
SCENARIO = """\
name: Composed
duration_hours: 4
speed_multiplier: 1800
seed: 7
customers: 60
transaction_rate: {peak_tps: 60, off_peak_tps: 60}
fraud: {rate: 0.05}
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    if not (kafka.JARS / "complete").exists() or not shutil.which("java"):
        embedded = EmbeddedBroker()
        yield embedded.start()
        embedded.close()
        return
    settings = kafka_properties(compose()["services"]["kafka"])
    inside, outside, controller = (kafka.free_port() for _ in range(3))
    ports = {":29092": f":{inside}", ":9092": f":{outside}", ":9093": f":{controller}"}
    for name, value in settings.items():
        for port, ours in ports.items():
            value = value.replace(port, ours)
        settings[name] = value.replace("//:", "//127.0.0.1:").replace("//kafka:", "//127.0.0.1:")
    settings["log.dirs"] = str(tmp_path / "kafka-data")
    text = "".join(f"{name}={value}\n" for name, value in settings.items())
    folder = tmp_path / "kafka"
    folder.mkdir()
    process = kafka.start(folder, inside, text)
    yield f"127.0.0.1:{inside}"
    process.kill()
    process.wait()


def test_the_stack_carries_out_a_run_with_two_workers(
    postgres: PostgresServer, broker: str, tmp_path: Path
) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "locustfiles").symlink_to(ROOT / "locustfiles")
    (folder / "short.yaml").write_text(SCENARIO)
    stack = Stack({"SCENARIO": "short.yaml"}, postgres.url(), broker, folder)
    try:
        for name in ("nexum", "bastion", "simulator", *["worker"] * WORKERS):
            needed = set(stack.services[name]["depends_on"]) - {"postgres", "kafka"}
            assert all(stack.healthy(one) for one in needed)
            stack.start(name)
        status = wait_for_the_end(stack.page)
    finally:
        ended = stack.stop()
    said = "\n".join(f"== {name} {code}\n{text[-2500:]}" for name, code, text in ended)
    assert status.get("state") == "finished", said
    assert "Traceback" not in said
    [results] = [json.loads(path.read_text()) for path in folder.glob("reports/*/results.json")]
    assert results["transactions"]["sent"] > 200, said
    assert len(results["run"]["workers"]) == WORKERS
    assert results["reconciliation"]["verdict"] == "balanced", said
    published = results["kafka"]["topics"]["nexum.transactions"]
    assert published["delivered"] == published["offered"] > 200
    assert results["detection"]["confusion"]["tp"] > 0


def wait_for_the_end(page: str, within_s: float = 90.0) -> dict[str, object]:
    ends_s = time.monotonic() + within_s
    status: dict[str, object] = {}
    while time.monotonic() < ends_s:
        with urllib.request.urlopen(f"{page}/api/status", timeout=10) as answer:
            status = json.load(answer)
        if status["state"] in ("finished", "failed"):
            break
        time.sleep(0.3)
    return status
