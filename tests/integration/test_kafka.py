"""Whole runs with Kafka: every decision matched, nothing leaks, and a dead broker stops nobody.

They run against librdkafka's mock cluster, and against a real broker where the environment
names one in BANKSIM_TEST_KAFKA (host:port).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest

from banksim.kafka import CUSTOMERS, TRANSACTIONS, EmbeddedBroker, TopicReader, publisher
from banksim.measure.results import encode
from banksim.run.local_load import LocalLoad
from banksim.run.plan import KafkaUse, Mode, RunSettings
from banksim.run.run import End, Run
from banksim.sandbox.detector.kafka import DetectorBridge
from tests.integration.commands import ROOT, environment, free_port, locust, results_in
from tests.integration.driver import Driver, settings_for
from tests.integration.test_no_leak import FORBIDDEN

SCENARIO = """\
name: Events
duration_hours: 4
speed_multiplier: 3600
start_at: 2026-01-05 09:00:00
customers: 40
transaction_rate: {peak_tps: 60, off_peak_tps: 60}
fraud:
  rate: 0.2
  patterns:
    - {type: card_testing, count: 30}
    - {type: velocity_attack, weight: 1}
    - {type: large_amount, weight: 1}
    - {type: mule_network, weight: 1}
    - {type: structuring, weight: 1}
"""
#: A whole minute of load on the wall clock would be no better a test than these seconds.
LONGER = SCENARIO.replace("duration_hours: 4", "duration_hours: 8")
#: The hub may stand still for so long while a broker is down.
STALL_P99_MS = 50.0
DETECTOR_WITH_A_BROKER = ("--only", "detector", "--detector-port", "0", "--kafka-servers", "embedded")


def asked(
    folder: Path, servers: str, mode: Mode = Mode.DRY_RUN, text: str = SCENARIO, **more: Any
) -> RunSettings:
    return replace(settings_for(folder, text, mode, kafka_servers=servers, **more), kafka=KafkaUse.ASKED)


def figures(run: Run) -> dict[str, Any]:
    """The run's Kafka results, after what must always hold has been checked."""
    assert run.end is End.COMPLETED, run.message
    assert run.results is not None
    found: dict[str, Any] = encode(run.results)["kafka"]
    assert found["offered"] == found["published"] + found["dropped"] + found["unavailable"]
    assert found["published"] == found["delivered"] + found["failed"]
    assert found["waiting"] == 0
    return found


@pytest.fixture(scope="module", params=["mock", "real"])
def servers(request: pytest.FixtureRequest) -> Iterator[str]:
    """Brokers outside the run, that a test can listen to."""
    if request.param == "real":
        named = os.environ.get("BANKSIM_TEST_KAFKA")
        if not named:
            pytest.skip("no Kafka broker: name one in BANKSIM_TEST_KAFKA as host:port")
        yield named
        return
    broker = EmbeddedBroker()
    yield broker.start()
    broker.close()


@pytest.mark.parametrize("form", ["flat", "envelope"])
def test_every_decision_is_matched(form: str, servers: str, tmp_path: Path) -> None:
    settings = asked(tmp_path, servers, **{"connections.kafka_format": form})
    driver = Driver(settings)
    found = figures(driver.conduct())
    assert driver.run.results is not None
    posted = found["topics"][TRANSACTIONS]["delivered"]
    assert posted > 100 and found["not_published"] == 0
    assert found["topics"][CUSTOMERS]["delivered"] == 40
    decisions = found["decisions"]
    assert decisions["matched"] == decisions["received"] == posted
    assert decisions["undecided"] == decisions["repeated"] == decisions["no_verdict"] == 0
    confusion = decisions["confusion"]
    assert sum(confusion.values()) == posted
    assert 30 <= confusion["tp"] + confusion["fn"] <= sum(p.truth.is_fraud for p in driver.planned)
    assert decisions["recall"] is not None and decisions["latency_ms"]["count"] == posted
    assert driver.run.load.events.status().ok is True


def test_in_sandbox_mode_the_stand_in_decides_in_its_own_process(tmp_path: Path) -> None:
    found = figures(Driver(asked(tmp_path, "embedded", Mode.SANDBOX)).conduct())
    decisions = found["decisions"]
    assert decisions["matched"] == found["topics"][TRANSACTIONS]["delivered"] > 100
    assert decisions["undecided"] == 0


@pytest.mark.parametrize("form", ["flat", "envelope"])
def test_no_event_tells_fraud_apart(form: str, servers: str, tmp_path: Path) -> None:
    raw: list[tuple[str, bytes]] = []
    reader = TopicReader(servers, (TRANSACTIONS, CUSTOMERS), lambda name, value: raw.append((name, value)))
    reader.start()
    driver = Driver(asked(tmp_path, servers, **{"connections.kafka_format": form}))
    found = figures(driver.conduct())
    with gevent.Timeout(10):
        while len(raw) < found["delivered"]:
            gevent.sleep(0.01)
    reader.close()
    truth = {p.transaction.transaction_id: p.truth for p in driver.planned}
    campaigns = {one.campaign_id for one in truth.values() if one.campaign_id}
    words = [word.lower().encode() for word in (*FORBIDDEN, *campaigns)]
    pattern = re.compile(b"|".join(rb"(?<![a-z])" + re.escape(word) + rb"(?![a-z])" for word in words))
    shapes: dict[tuple[str, bool], set[str]] = defaultdict(set)
    for topic, value in raw:
        leak = pattern.search(value.lower())
        assert leak is None, f"{leak[0]!r} in an event on {topic}: {value!r}"
        if topic == TRANSACTIONS:
            event = json.loads(value)
            fields = event.get("data", event)
            is_fraud = truth[fields["transaction_id"]].is_fraud
            shapes[fields["transaction_type"], is_fraud].add(_shape(event))
    frauds = {kind for kind, is_fraud in shapes if is_fraud}
    assert frauds
    for kind in frauds:
        assert shapes[kind, True] <= shapes[kind, False], f"{kind}: a shape of event that only fraud has"


def _shape(value: Any) -> str:
    """Which fields there are and whether they say anything."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_shape(value[name])}" for name in sorted(value)) + "}"
    return "-" if value in ("", None) else "x"


# -- brokers that are not there, or no longer ------------------------------------------------


class Host:
    """Stand-in detector and mock cluster in a process of their own, to be killed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "banksim.sandbox.server", *DETECTOR_WITH_A_BROKER],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.servers = line.rpartition(" ")[2].strip()
        assert line.startswith("kafka listening on"), line
        assert "detector reading" in self.process.stdout.readline()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.stop()


class Heartbeat:
    """A greenlet that wants to run every 5 ms and notes how much later it was."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self._greenlet = gevent.spawn(self._beat)

    def _beat(self) -> None:
        while True:
            due_s = time.monotonic() + 0.005
            gevent.sleep(0.005)
            self.late_ms.append(max(0.0, time.monotonic() - due_s) * 1000)

    def stop(self) -> float:
        """The 99th percentile of lateness, ms."""
        self._greenlet.kill()
        ordered = sorted(self.late_ms)
        return ordered[int(len(ordered) * 0.99)]


def test_a_broker_that_dies_stops_nobody(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    monkeypatch.setattr(publisher, "DELIVERY_TIMEOUT_S", 2.0)
    beats: list[float] = []
    told: list[dict[str, Any]] = []

    def meanwhile(run: Run) -> None:
        assert _wait_for(run, lambda found: found.delivered > 100)
        heartbeat = Heartbeat()
        host.kill()
        assert _wait_for(run, lambda found: found.failed > 20)
        assert isinstance(run.load, LocalLoad)
        told.append(run.load.events.status())
        beats.append(heartbeat.stop())

    driver = Driver(asked(tmp_path, host.servers, text=LONGER))
    # The detector of this run is the one that dies; a second one in this process would share its topic.
    monkeypatch.setattr(DetectorBridge, "start", lambda bridge: None)
    run = driver.conduct(meanwhile)
    found = figures(run)
    assert found["delivered"] > 100 and found["failed"] > 20
    assert found["not_published"] == found["failed"] + found["dropped"]
    assert sum(row["count"] for row in found["errors"]) == found["failed"]
    assert run.results is not None
    counts = encode(run.results)["transactions"]
    assert counts["offered"] == counts["completed"] + counts["failed"] + counts["unknown"] + counts["dropped"]
    assert counts["completed"] > 300  # the bank never noticed
    assert told[0].ok is False and "not published" in told[0].detail
    record_property("hub_stall_p99_ms", beats[0])
    print(f"hub stall p99 while the broker was down: {beats[0]:.1f} ms")
    assert beats[0] < STALL_P99_MS


def _wait_for(run: Run, enough: Any) -> bool:
    """Whether it came true before the run was over."""
    while not run.finished.is_set():
        if isinstance(run.load, LocalLoad) and enough(run.load.events.figures.results()):
            return True
        gevent.sleep(0.02)
    return False


def test_without_a_broker_a_run_counts_what_it_could_not_publish(tmp_path: Path) -> None:
    servers = f"127.0.0.1:{free_port()}"
    run = Driver(asked(tmp_path, servers)).conduct()
    found = figures(run)
    assert found["enabled"] is False and found["published"] == 0
    assert found["unavailable"] == found["not_published"] == found["offered"] > 100
    assert found["detail"] == f"no broker answers at {servers}, events are counted as not published"


# -- from the command line -------------------------------------------------------------------


@pytest.fixture
def scenario_file(tmp_path: Path) -> Path:
    path = tmp_path / "events.yaml"
    path.write_text(SCENARIO.replace("duration_hours: 4", "duration_hours: 2"))
    return path


def run_once(scenario_file: Path, *arguments: str, **env: str) -> tuple[str, dict[str, Any]]:
    folder = scenario_file.parent / "reports"
    where = ("--scenario", str(scenario_file), "--report-dir", str(folder))
    done = locust("--headless", "--dry-run", *where, *arguments, **env)
    assert done.returncode == 0, done.stderr
    return done.stderr, results_in(folder)


def test_embedded_from_the_command_line(scenario_file: Path) -> None:
    log, results = run_once(scenario_file, "--kafka-servers", "embedded")
    found = results["kafka"]
    assert found["decisions"]["matched"] == found["topics"][TRANSACTIONS]["delivered"] > 50
    assert "embedded test broker" in log and "events delivered, 0 failed" in log
    assert any(
        row["target"] == "kafka" and row["call"] == f"PUBLISH {TRANSACTIONS}" for row in results["calls"]
    )
    assert "rdkafka" not in log  # the client's own chatter


def test_no_kafka_from_the_command_line(scenario_file: Path) -> None:
    _, results = run_once(scenario_file, "--kafka-servers", "embedded", "--no-kafka")
    assert results["kafka"]["detail"] == "disabled: --no-kafka" and results["kafka"]["offered"] == 0


def test_a_dry_run_leaves_a_configured_broker_alone(scenario_file: Path) -> None:
    log, results = run_once(scenario_file, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    assert results["kafka"]["offered"] == 0 and "dry-run" in results["kafka"]["detail"]
    assert "Kafka" not in log
