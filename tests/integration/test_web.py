"""The web UI as a user meets it: the start form, a run started from it, and the end of the process."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import free_port, results_in, start_locust

SHORT = """\
name: Short
duration_hours: 1
speed_multiplier: 1200
customers: 20
transaction_rate: {peak_tps: 20, off_peak_tps: 20}
"""


class Web:
    """One Locust process with its web UI."""

    def __init__(self, folder: Path, *arguments: str, text: str = SHORT) -> None:
        self.out = folder / "out"
        (folder / "scenarios").mkdir(exist_ok=True)
        (folder / "scenarios" / "short.yaml").write_text(text)
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self.process: subprocess.Popen[str] = start_locust(
            "--web-port", str(self._port), "--report-dir", str(self.out), *arguments, cwd=folder
        )
        self.wait_for(lambda: self.get("/api/status"), "the web UI")

    def get(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as answer:
                text = answer.read().decode()
        except urllib.error.URLError:
            return None
        return json.loads(text) if text.startswith(("{", "[")) else text

    def post(self, path: str, form: dict[str, str] | None = None, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else urllib.parse.urlencode(form or {}).encode()
        kind = "application/json" if body is not None else "application/x-www-form-urlencoded"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}", data, {"Content-Type": kind}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return json.loads(error.read())

    def start(self, **fields: str) -> Any:
        form = {"scenario": "short", "speed": "", "seed": "5", "customers": "", "target_mode": "dry-run"}
        return self.post("/swarm", {**form, "nexum_url": "", "bastion_url": "", **fields})

    def state(self) -> str:
        return str((self.get("/api/status") or {}).get("state"))

    def wait_for(self, condition: Callable[[], Any], what: str, timeout_s: float = 40.0) -> Any:
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            if found := condition():
                return found
            time.sleep(0.1)
        raise AssertionError(f"{what} did not come within {timeout_s} s")

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    site = Web(tmp_path)
    yield site
    if site.process.poll() is None:
        site.process.kill()
    site.process.communicate()


def test_a_run_from_the_form_ends_by_itself_and_leaves_its_report(web: Web) -> None:
    assert web.state() == "idle"
    form = web.get("/")
    for field in ("scenario", "speed", "seed", "target_mode"):
        assert f'"{field}"' in form or f"&#34;{field}&#34;" in form
    assert web.start()["success"] is True
    web.wait_for(lambda: web.state() == "running", "the run")
    web.wait_for(lambda: web.state() == "finished", "the end")
    results = results_in(web.out)
    assert results["run"]["seed"] == 5
    assert results["run"]["end"] == "completed"
    assert results["run"]["scenario"]["name"] == "short"
    report = web.get("/api/status")["report"]
    assert "<html" in web.get(report)
    # The page stays, and the next run starts from the same form.
    web.wait_for(lambda: web.get("/stats/requests")["state"] == "stopped", "Locust's end of the test")
    assert web.start(seed="6")["success"] is True
    web.wait_for(lambda: web.state() == "running", "the second run")
    assert web.get("/api/status")["seed"] == 6


def test_what_cannot_start_is_refused_in_the_form(web: Web) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    refused = web.start(target_mode="live", nexum_url=dead, bastion_url=dead)
    assert refused["success"] is False
    for words in ("Nexum does not answer", "Bastion does not answer", "--sandbox", "--dry-run"):
        assert words in refused["message"]
    assert "--speed" in web.start(speed="0")["message"]
    assert "did you mean short" in web.start(scenario="shrot")["message"]
    assert web.start(scenario="../scenarios/short.yaml")["success"] is False
    assert web.start(target_mode="wet")["success"] is False
    assert web.state() == "idle"


def test_pause_speed_and_stop_from_the_api(web: Web) -> None:
    assert web.start(speed="10")["success"] is True
    web.wait_for(lambda: web.state() == "running", "the run")
    assert web.start()["message"].startswith("A run is under way")
    web.post("/api/control/pause")
    before = web.get("/api/status")
    time.sleep(0.5)
    after = web.get("/api/status")
    assert (after["state"], after["sim_s"]) == ("paused", before["sim_s"])
    web.post("/api/control/resume")
    web.post("/api/control/speed", body={"multiplier": 200})
    assert web.get("/api/status")["speed"] == 200
    assert "from 0.1 to 10000" in json.dumps(web.post("/api/control/speed", body={"multiplier": 0}))
    web.post("/api/control/stop")
    web.wait_for(lambda: web.state() == "finished", "the end")
    assert results_in(web.out)["run"]["end"] == "stopped"


def test_locusts_own_stop_button_drains_and_reports(web: Web) -> None:
    web.start(speed="10")
    web.wait_for(lambda: web.get("/api/metrics")["transactions"]["sent"] > 10, "some transactions")
    assert web.post("/stop")["success"] is True
    results = results_in(web.out)
    assert results["run"]["end"] == "stopped"
    assert results["transactions"]["in_flight"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("running", [True, False])
def test_a_signal_ends_the_process_in_good_order(web: Web, number: signal.Signals, running: bool) -> None:
    if running:
        web.start(speed="10")
        web.wait_for(lambda: web.get("/api/metrics")["transactions"]["sent"] > 10, "some transactions")
    code, said = web.end(number)
    assert code == 130, said[-3000:]
    assert "Traceback" not in said
    if running:
        assert results_in(web.out)["run"]["end"] == "interrupted"


def test_autostart_ends_on_one_signal_and_writes_locusts_own_report_too(tmp_path: Path) -> None:
    html = tmp_path / "locust.html"
    web = Web(tmp_path, "--dry-run", "--autostart", "--scenario", "demo", "--html", str(html))
    web.wait_for(lambda: web.state() == "running", "the run")
    code, said = web.end()
    assert code == 130, said[-3000:]
    assert html.stat().st_size > 10_000
    assert results_in(web.out)["run"]["end"] == "interrupted"
