"""A master and its workers as processes of their own, as a user with several machines starts them."""

from __future__ import annotations

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
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOCUST = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / "banking.py")]

#: A flat rate, so that what is offered can be told from what should be.
STEADY = """\
name: A steady rate
duration_hours: {hours}
speed_multiplier: {speed}
start_at: 2026-01-05 10:00:00
customers: 400
seed: 11
transaction_rate: {{peak_tps: {tps}, off_peak_tps: {tps}, business_hours: [0, 24]}}
fraud:
  rate: 0.01
  patterns: [{{type: card_testing, weight: 0.5}}, {{type: velocity_attack, weight: 0.5}}]
metrics: {{collect_interval_seconds: 1}}
connections: {{timeout_seconds: 5}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Any, timeout_s: float, what: str) -> None:
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, f"{what} within {timeout_s:g} s"
        time.sleep(0.05)


class Cluster:
    """One master and any number of workers; outputs go to files below ``folder``."""

    def __init__(
        self, folder: Path, scenario: str, *options: str, web: bool = False, expect: int = 1
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.web_port = free_port() if web else 0
        file = folder / "scenario.yaml"
        file.write_text(scenario)
        how = ["--web-port", str(self.web_port)] if web else ["--headless", "--expect-workers", str(expect)]
        self.options = ["--scenario", str(file), "--report-dir", str(folder / "out"), *options]
        self.master = self._start(
            "master",
            [*how, "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(self.port)],
        )
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self, *more: str) -> subprocess.Popen[bytes]:
        """Start one more worker; ``more`` options win over those of all."""
        name = f"worker-{len(self.workers)}"
        worker = self._start(
            name, ["--worker", "--master-host", "127.0.0.1", "--master-port", str(self.port), *more]
        )
        self.workers.append(worker)
        return worker

    def said(self, name: str = "master") -> str:
        """What a process has logged so far."""
        return (self.folder / f"{name}.log").read_text()

    def wait_for(self, text: str, name: str = "master", timeout_s: float = 30.0) -> None:
        wait_until(lambda: text in self.said(name), timeout_s, f"{name} says {text!r}")

    def wait_for_the_end(self, timeout_s: float) -> int:
        """The master's exit code."""
        return self.master.wait(timeout_s)

    def results(self) -> dict[str, Any]:
        """What the one run has left."""
        (file,) = (self.folder / "out").glob("*/results.json")
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def run_folder(self) -> Path:
        (folder,) = (self.folder / "out").iterdir()
        return folder

    def close(self) -> None:
        for process in (self.master, *self.workers):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(10)

    def _start(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [*LOCUST, *self.options, *arguments],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )


@contextmanager
def cluster(
    folder: Path, scenario: str, *options: str, web: bool = False, workers: int = 2, expect: int = 0
) -> Iterator[Cluster]:
    """A master that waits for ``expect`` workers (0: all of them), and ``workers`` workers."""
    made = Cluster(folder, scenario, *options, web=web, expect=expect or workers)
    try:
        for _ in range(workers):
            made.add_worker()
        yield made
    finally:
        made.close()
