"""A headless run on a terminal, looked at through a pseudo-terminal, and the same run in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from banksim.report.console import BAR_WIDTH
from tests.integration.commands import ROOT, environment, free_port, locust, locust_command, results_in

RUN = ("--headless", "--scenario", "fraud_attack", "--seed", "7", "--dry-run")
SMALL = ("response", "fraud", "report")
COLOUR = re.compile(r"\x1b\[\d+m")


class TerminalRun:
    """A run whose output is a terminal of 40 rows and 120 columns, or of other ``size``."""

    def __init__(self, *arguments: str, size: tuple[int, int] = (40, 120), **env: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        variables = {**environment(), "TERM": "xterm", **env}
        for name in {"NO_COLOR", "COLUMNS", "FORCE_COLOR"} - set(env):
            variables.pop(name, None)
        self.process = subprocess.Popen(
            locust_command(*arguments), cwd=ROOT, env=variables, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        self.text = ""

    def read_until(self, sign: str | None, within_s: float = 60.0) -> str:
        """What has been shown up to ``sign``, or to the end."""
        ends_s = time.monotonic() + within_s
        while time.monotonic() < ends_s:
            readable, _, _ = select.select([self._master], [], [], 0.2)
            if not readable:
                if self.process.poll() is not None:
                    return self.text
                continue
            try:
                self.text += os.read(self._master, 65_536).decode(errors="replace")
            except OSError:  # the other side is closed
                return self.text
            if sign is not None and sign in self.text:
                return self.text
        raise AssertionError(f"{sign!r} was not shown: {self.text[-2000:]}")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}], ids=["colours", "NO_COLOR"])
def test_a_terminal_shows_how_far_it_is(env: dict[str, str], tmp_path: Path) -> None:
    run = TerminalRun(*RUN, "--speed", "4000", "--report-dir", str(tmp_path), **env)
    try:
        text = run.read_until(None)
        assert run.process.wait(timeout=30) == 0
    finally:
        run.close()
    lines = [line for line in text.split("\r") if " left  " in line]
    assert len(lines) > 3
    assert any("TPS" in line and "lag" in line and "recall" in line and "left" in line for line in lines)
    assert bool(COLOUR.search("".join(lines))) is not bool(env)
    assert "Aggregated" not in text  # none of Locust's tables
    assert "Fraud Attack: " in text and "completed)" in text


def test_the_last_screen_of_a_small_terminal_is_the_answer(tmp_path: Path) -> None:
    run = TerminalRun(*RUN, "--speed", "4000", "--report-dir", str(tmp_path), size=(24, 80))
    try:
        text = COLOUR.sub("", run.read_until(None))
        assert run.process.wait(timeout=30) == 0
    finally:
        run.close()
    lines = [line for line in text.split("\r") if " left" in line and "%" in line]
    going = [line for line in lines if "recall" in line]
    assert going and all(BAR_WIDTH < len(line.strip("\n\x1b[K")) < 80 for line in lines)
    said = [line.rstrip() for line in text.replace("\x1b[K", "").splitlines() if line.strip()]
    assert "Fraud Attack: " in said[-8] and said[-1].endswith("report.html"), said[-8:]
    assert [line.split()[0] for line in said[-7:]] == ["Load", "Bank", "Money", "Detector", *SMALL]
    rows = sum(-(-len(line) // 80) for line in said[-8:]) + 3  # wrapped, with the blank lines
    assert rows < 24
    log = [line for line in said if "Generated 500 customer profiles" in line]
    assert re.search(r"\d\d:\d\d:\d\d Generated 500 customer profiles$", log[0])


def test_a_pipe_gets_neither_line_nor_colour(tmp_path: Path) -> None:
    done = locust(*RUN, "--speed", "8000", "--report-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert not COLOUR.search(done.stdout + done.stderr)
    assert "\r" not in done.stdout + done.stderr and "█" not in done.stdout
    assert "Aggregated" not in done.stdout + done.stderr


@pytest.mark.parametrize(("option", "tables"), [("--only-summary", 2), ("--print-stats", 3)])
def test_locusts_tables_come_when_they_are_asked_for(option: str, tables: int, tmp_path: Path) -> None:
    done = locust(*RUN, "--speed", "8000", "--report-dir", str(tmp_path), option)
    assert done.returncode == 0, done.stderr
    found = (done.stdout + done.stderr).count("Aggregated")
    assert found == tables if tables == 2 else found >= tables


def test_ctrl_c_on_a_terminal_ends_with_the_report_and_130(tmp_path: Path) -> None:
    run = TerminalRun(*RUN, "--speed", "100", "--report-dir", str(tmp_path))
    try:
        run.read_until(" left  ")
        time.sleep(2)
        run.process.send_signal(signal.SIGINT)
        text = run.read_until(None)
        assert run.process.wait(timeout=30) == 130
    finally:
        run.close()
    assert "Fraud Attack: " in text and "interrupted" in text
    assert results_in(tmp_path)["run"]["end"] == "interrupted"


def test_ctrl_c_after_a_run_with_its_page_ends_with_the_answer_too(tmp_path: Path) -> None:
    web = ("--autostart", "--web-port", str(free_port()), *RUN[1:])
    run = TerminalRun(*web, "--speed", "8000", "--report-dir", str(tmp_path), size=(24, 80))
    try:
        run.read_until("leaving web ui running")
        run.process.send_signal(signal.SIGINT)
        text = COLOUR.sub("", run.read_until(None))
        assert run.process.wait(timeout=30) == 130
    finally:
        run.close()
    assert "Aggregated" not in text
    said = [line.rstrip() for line in text.replace("\x1b[K", "").splitlines() if line.strip()]
    assert "Fraud Attack: " in said[-8] and said[-1].endswith("report.html"), said[-12:]


ONE_HOUR = """\
name: One hour in five seconds
duration_hours: 1
speed_multiplier: 720
start_at: 2026-01-05 10:00:00
customers: 50
transaction_rate: {peak_tps: 20, off_peak_tps: 20}
fraud: {rate: 0}
"""


@pytest.mark.parametrize(
    ("streams", "options"), [(">/dev/full", ""), (">&- 2>&-", ""), (">/dev/null", "--logfile /dev/full")]
)
def test_output_that_cannot_be_written_costs_neither_run_nor_report(
    tmp_path: Path, streams: str, options: str
) -> None:
    (tmp_path / "hour.yaml").write_text(ONE_HOUR)
    own = (
        "--headless",
        "--dry-run",
        "--scenario",
        str(tmp_path / "hour.yaml"),
        "--report-dir",
        str(tmp_path),
    )
    line = f"{shlex.join([*locust_command(*own), *shlex.split(options)])} {streams}"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert results_in(tmp_path)["run"]["end"] == "completed"
    assert done.stderr.count("Traceback") <= 1  # of Locust's own first line, before anybody else has a say
    assert done.stderr.count("cannot be") == (0 if "2>" in streams else 1)
