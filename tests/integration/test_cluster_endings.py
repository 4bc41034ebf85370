"""Signals to a master, to a worker, to all of them: a complete report and the documented exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster import LOCUST, STEADY, Cluster, cluster, free_port, wait_until

GOES_ON = "Transaction generation started"
#: Long enough to be ended before its time.
LONG = STEADY.format(hours=2.0, speed=120.0, tps=30.0)
SHORT = STEADY.format(hours=0.2, speed=72.0, tps=30.0)


def running(found: Cluster) -> None:
    found.wait_for(GOES_ON, timeout_s=60)
    wait_until(lambda: "TPS" in found.said(), 30, "some load")


def whole(results: dict[str, Any]) -> bool:
    counts = results["transactions"]
    ended = counts["completed"] + counts["failed"] + counts["unknown"] + counts["dropped"]
    return bool(counts["offered"] == ended > 0 and counts["in_flight"] == 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_headless_master(tmp_path: Path, number: signal.Signals) -> None:
    with cluster(tmp_path, LONG, "--dry-run", "--html", str(tmp_path / "locust.html")) as found:
        running(found)
        found.master.send_signal(number)
        assert found.wait_for_the_end(60) == 130
        results = found.results()
        assert results["run"]["end"] == "interrupted"
        assert whole(results), "every worker has handed over its last figures"
        assert (found.run_folder() / "report.html").is_file()
        assert (tmp_path / "locust.html").is_file()
        assert [worker.wait(20) for worker in found.workers] == [0, 0]


def test_a_master_that_waits_for_workers(tmp_path: Path) -> None:
    """Nothing has begun, so there is nothing to report; the worker that is there is sent home."""
    with cluster(tmp_path, LONG, "--dry-run", workers=1, expect=2) as found:
        found.wait_for("1 workers connected")
        found.master.send_signal(signal.SIGTERM)
        assert found.wait_for_the_end(40) == 130
        assert found.workers[0].wait(20) == 0
    assert not list(tmp_path.glob("out/*/results.json"))


def test_workers_whose_master_is_killed(tmp_path: Path) -> None:
    """They end soon, say why in a few lines, and a supervisor sees it from the exit code."""
    with cluster(tmp_path, LONG, "--dry-run") as found:
        running(found)
        before = [len(found.said(f"worker-{n}").splitlines()) for n in range(2)]
        found.master.kill()
        assert [worker.wait(60) for worker in found.workers] == [1, 1]
        for number, lines in enumerate(before):
            said = found.said(f"worker-{number}")
            assert "has not answered for 20 s: this worker ends with exit code 1" in said
            assert "Traceback" not in said
            assert len(said.splitlines()) - lines <= 8, said


def test_all_workers_are_away_for_some_seconds(tmp_path: Path) -> None:
    """Locust would end the test; the run goes on when they are back, and nothing is counted twice."""
    with cluster(tmp_path, STEADY.format(hours=0.4, speed=72.0, tps=30.0), "--dry-run") as found:
        running(found)
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for worker in found.workers:
                worker.send_signal(number)
            time.sleep(6.0)
        assert found.wait_for_the_end(90) == 0, found.said()
        results = found.results()
    assert results["run"]["end"] == "completed"
    assert whole(results)
    assert [row["ended"] for row in results["run"]["workers"]] == ["final", "final"]
    assert all(row["losses"] for row in results["run"]["workers"])
    assert results["reconciliation"]["verdict"] == "balanced"


def test_all_workers_are_killed(tmp_path: Path) -> None:
    with cluster(tmp_path, LONG, "--dry-run") as found:
        running(found)
        for worker in found.workers:
            worker.kill()
        assert found.wait_for_the_end(60) == 1
        assert found.results()["run"]["end"] == "failed"
        assert [row["ended"] for row in found.results()["run"]["workers"]] == ["lost", "lost"]
        assert "Traceback" not in found.said()


def test_one_of_the_workers(tmp_path: Path) -> None:
    """It hands over what it has and goes; the others take its customers, and the run completes."""
    with cluster(tmp_path, SHORT, "--dry-run") as found:
        running(found)
        found.workers[0].send_signal(signal.SIGTERM)
        assert found.workers[0].wait(40) == 130
        assert found.wait_for_the_end(60) == 0, found.said()
        results = found.results()
    assert whole(results)
    rows = results["run"]["workers"]
    assert [row["ended"] for row in rows] == ["final", "final"]
    assert sorted(row["left"] for row in rows) == [False, True]
    assert sum(row["losses"] for row in rows) == 0


def test_ctrl_c_in_a_terminal_with_processes(tmp_path: Path) -> None:
    """The terminal's signal goes to the parent and all its workers at once."""
    file = tmp_path / "scenario.yaml"
    file.write_text(LONG)
    log = tmp_path / "all.log"
    port = str(free_port())
    command = [*LOCUST, "--headless", "--processes", "2", "--scenario", str(file), "--dry-run"]
    command += ["--master-bind-port", port, "--master-port", port]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--report-dir", str(tmp_path / "out")],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        wait_until(lambda: log.read_text().count("TPS") > 2, 60, "some load")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130, log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    (results,) = (tmp_path / "out").glob("*/results.json")
    assert whole(json.loads(results.read_text()))
    assert "Traceback" not in log.read_text()
    assert "Bad response code" not in log.read_text()


def ask(port: int, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{port}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        return {"status": error.code, **json.load(error)}
    return found


def test_a_master_with_its_page(tmp_path: Path) -> None:
    """Without a worker a start is refused with a reason; with one it runs, twice; then SIGTERM."""
    with cluster(tmp_path, LONG, "--dry-run", web=True, workers=0) as found:
        found.wait_for("Starting web interface")
        wait_until(lambda: _answers(found.web_port), 20, "the page")
        refused = ask(found.web_port, "/api/control/start", {})
        assert "No worker is connected" in json.dumps(refused)
        assert f"--master-port {found.port}" in json.dumps(refused)
        assert "No worker is connected" in ask(found.web_port, "/api/status")["message"]
        found.add_worker()
        found.wait_for("1 workers connected")
        wait_until(lambda: ask(found.web_port, "/api/status")["workers"], 20, "the worker is listed")
        for nth in (1, 2):
            started = ask(found.web_port, "/api/control/start", {})
            assert "error" not in started, started
            wait_until(lambda: _state(found.web_port) == "running", 40, f"run {nth} goes on")
            wait_until(lambda: _sent(found.web_port) > 0, 30, "something is sent")
            if nth == 1:
                ask(found.web_port, "/api/control/stop", {})
                wait_until(lambda: _state(found.web_port) == "finished", 60, "the first run ends")
                found.wait_for("ready. 1 workers connected", timeout_s=30)
        found.master.send_signal(signal.SIGTERM)
        assert found.wait_for_the_end(60) == 130
        assert found.workers[0].wait(30) == 0
        ends = {json.loads(file.read_text())["run"]["end"] for file in tmp_path.glob("out/*/results.json")}
    assert ends == {"stopped", "interrupted"}


def _answers(port: int) -> bool:
    try:
        ask(port, "/api/status")
    except OSError:
        return False
    return True


def _state(port: int) -> str:
    return str(ask(port, "/api/status")["state"])


def _sent(port: int) -> int:
    return int(ask(port, "/api/metrics").get("transactions", {}).get("sent", 0))
