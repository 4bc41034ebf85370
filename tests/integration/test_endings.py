"""A run ended from outside, at any moment: its report, the documented code, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.commands import environment, locust_command, results_in

SCENARIO = """\
name: A minute
duration_hours: 1
speed_multiplier: 60
start_at: 2026-01-05 10:00:00
customers: {customers}
transaction_rate: {{peak_tps: 20, off_peak_tps: 20, business_hours: [0, 24]}}
"""


class Terminal:
    """A command with a process group of its own, as a shell starts it."""

    def __init__(self, folder: Path, *arguments: str, customers: int = 50) -> None:
        self.folder = folder
        (folder / "s.yaml").write_text(SCENARIO.format(customers=customers))
        self.log = folder / "log"
        command = locust_command("--headless", "--scenario", "s.yaml", *arguments)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_for(self, text: str) -> None:
        until_s = time.monotonic() + 60.0
        while text not in self.log.read_text():
            assert time.monotonic() < until_s and self.process.poll() is None, self.log.read_text()[-2000:]
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> int:
        """Signal the whole group, as a terminal does; returns the exit code."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, number)
        code = self.process.wait(timeout=60.0)
        _, alive = psutil.wait_procs(family, timeout=10.0)
        assert alive == []
        assert "Traceback" not in self.log.read_text()
        return code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_leaves_the_stand_ins_until_balances_are_compared(
    tmp_path: Path, number: signal.Signals
) -> None:
    terminal = Terminal(tmp_path, "--sandbox")
    terminal.wait_for("TPS")
    assert terminal.end(number) == 130
    results = results_in(tmp_path / "reports")
    assert results["run"]["end"] == "interrupted"
    assert results["reconciliation"]["verdict"] == "balanced", results["reconciliation"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_a_signal_while_customers_are_opened_leaves_a_report(
    tmp_path: Path, number: signal.Signals, processes: tuple[str, ...]
) -> None:
    terminal = Terminal(tmp_path, "--sandbox", *processes, customers=20_000)
    terminal.wait_for("customer profiles")
    time.sleep(1.0)
    assert terminal.end(number) == 130
    assert results_in(tmp_path / "reports")["run"]["end"] == "interrupted"
    assert "Ended before simulated time began" in terminal.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.0])
def test_a_signal_in_the_first_second_has_the_documented_code(
    tmp_path: Path, number: signal.Signals, after_s: float
) -> None:
    """From the moment the locustfile is read; before that the process is Locust's alone."""
    terminal = Terminal(tmp_path, "--dry-run")
    until_s = time.monotonic() + 60.0
    while not _catches(terminal.process.pid, signal.SIGTERM):
        assert time.monotonic() < until_s
        time.sleep(0.01)
    time.sleep(after_s)
    assert terminal.end(number) == 130


def _catches(pid: int, number: signal.Signals) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = int(next(line for line in lines if line.startswith("SigCgt")).split()[1], 16)
    return bool(mask >> (number - 1) & 1)
