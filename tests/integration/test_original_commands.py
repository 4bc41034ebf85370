"""Every command line of the original simulator's description that starts a run or a chore still works.

What a test must change, and nothing else: hosts and ports are those of stand-ins on this machine, every
run has the highest speed and few customers, and the scenarios last a few simulated hours.  What then
comes to the same command runs once; three run at a time.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from tests.integration.commands import ROOT, environment, free_port
from tests.integration.original_commands import COMMANDS
from tests.unit.scenario import examples

AT_ONCE = 3
MOST_CUSTOMERS = 10
FULL_SPEED = "10000"
#: Commands that end by themselves without a run.
CHORES = ("--list-scenarios", "--validate-scenario")
DASHBOARD = ("--dashboard", "--dashboard-port")


@dataclass(frozen=True)
class Targets:
    """Where bank, detector and broker of this test are."""

    bank: str
    detector: str
    broker: str


@dataclass(frozen=True)
class Ended:
    """How a command went.  ``page``: what its status said, of those with a dashboard."""

    code: int
    output: str
    page: dict[str, object] | None = None


def adapted(command: str, targets: Targets) -> tuple[str, ...]:
    """The flags of a printed command, in one order, with this machine's hosts, full speed, a small crowd."""
    hosts = {
        "--nexum-url": targets.bank,
        "--bastion-url": targets.detector,
        "--kafka-servers": f"{targets.broker},{targets.broker}",
        "--dashboard-port": "PORT",  # a free one each time
    }
    printed: dict[str, list[str]] = {}
    for word in command.split()[2:]:
        if word.startswith("--"):
            flag = word
            printed[flag] = []
        else:
            printed[flag].append(hosts.get(flag, word))
    if not set(CHORES) & set(printed):
        printed["--speed"] = [FULL_SPEED]
    if "--customers" in printed:
        printed["--customers"] = [str(min(MOST_CUSTOMERS, int(printed["--customers"][0])))]
    return tuple(word for flag, values in sorted(printed.items()) for word in (flag, *values))


@pytest.fixture(scope="module")
def targets() -> Iterator[Targets]:
    command = [sys.executable, "-u", "-m", "banksim", "sandbox", "--bank-port", "0", "--detector-port", "0"]
    server = subprocess.Popen(
        [*command, "--kafka-servers", "embedded"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield _addresses(server)
    finally:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()


def _addresses(server: subprocess.Popen[str]) -> Targets:
    assert server.stdout is not None
    found: dict[str, str] = {}
    for line in server.stdout:
        if match := re.match(r"(kafka|bank|detector) listening on (\S+)", line):
            found[match[1]] = match[2]
        if len(found) == 3:
            return Targets(found["bank"], found["detector"], found["kafka"])
    raise AssertionError("the stand-ins did not start")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scenarios the commands name: ours, shortened, and the reader's own."""
    place = tmp_path_factory.mktemp("original")
    scenarios = place / "scenarios"
    scenarios.mkdir()
    noon = {"normal_day": "2026-01-05 11:00:00", "peak_load": "2025-11-28 12:00:00"}
    for name in ("normal_day", "fraud_attack", "peak_load"):
        text = (ROOT / "scenarios" / f"{name}.yaml").read_text()
        if name in noon:
            text = re.sub(r"^start_at: .*\n", "", text, flags=re.MULTILINE)
            text = re.sub(
                r"^duration_hours: .*", f"duration_hours: 3\nstart_at: {noon[name]}", text, flags=re.M
            )
        (scenarios / f"{name}.yaml").write_text(re.sub(r"^customers: .*", "customers: 60", text, flags=re.M))
    (scenarios / "my_test.yaml").write_text(examples.MY_TEST)
    for name in ("my_scenario", "new_scenario", "base_scenario"):  # `cp scenarios/normal_day.yaml …`
        (scenarios / f"{name}.yaml").write_text((scenarios / "normal_day.yaml").read_text())
    return place


@pytest.fixture(scope="module")
def ended(targets: Targets, folder: Path) -> dict[tuple[str, ...], Ended]:
    """Every distinct command, run."""
    distinct = sorted({adapted(command, targets) for command in COMMANDS})
    with ThreadPool(AT_ONCE) as pool:
        results = pool.map(lambda words: _run(words, targets, folder), distinct, chunksize=1)
    return dict(zip(distinct, results, strict=True))


def _run(words: tuple[str, ...], targets: Targets, folder: Path) -> Ended:
    port = str(free_port())
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *(port if w == "PORT" else w for w in words)],
        cwd=folder,
        env=environment(
            NEXUM_URL=targets.bank,
            BASTION_URL=targets.detector,
            KAFKA_BOOTSTRAP_SERVERS=targets.broker,
            DASHBOARD_PORT=port,
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    page = None
    try:
        if set(DASHBOARD) & set(words):
            page = _finished_page(f"http://127.0.0.1:{port}", process)
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return Ended(process.returncode, output, page)


def _finished_page(address: str, process: subprocess.Popen[str]) -> dict[str, object] | None:
    """What the dashboard says once its run is over; None when it never says so."""
    ends_s = time.monotonic() + 60
    while time.monotonic() < ends_s and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/api/status", timeout=5) as answer:
                status: dict[str, object] = json.load(answer)
            if status["state"] in ("finished", "failed"):
                with urllib.request.urlopen(f"{address}/banksim/", timeout=5) as answer:
                    return status if b"<title>" in answer.read() else None
        except OSError:
            pass
        time.sleep(0.2)
    return None


@pytest.mark.parametrize("command", COMMANDS)
def test_it_works(command: str, targets: Targets, ended: dict[tuple[str, ...], Ended]) -> None:
    words = adapted(command, targets)
    result = ended[words]
    assert "Traceback" not in result.output, result.output[-3000:]
    if set(CHORES) & set(words):
        assert result.code == 0, result.output
        assert re.search("normal_day|Normal Business Day", result.output)
    elif set(DASHBOARD) & set(words):
        assert result.page is not None, result.output[-3000:]
        assert (result.page["state"], result.code) == ("finished", 130), result.output[-3000:]
    else:
        assert result.code == 0, result.output[-3000:]
        assert re.search(r"[1-9]\d* due transactions were sent", result.output), result.output[-3000:]
    if "--verbose" in words:
        assert "Transaction processed: " in result.output and "Call: POST" in result.output
    if "--dry-run" in words:
        assert "Mode: dry run" in result.output


def test_the_log_is_where_the_original_left_it(folder: Path, ended: dict[tuple[str, ...], Ended]) -> None:
    log = (folder / "banking_simulator.log").read_text()
    assert re.search(r"^\S+ \S+ - INFO - Scenario: Normal Business Day$", log, re.MULTILINE)
    assert "Transaction processed" in log  # one of them was --verbose
