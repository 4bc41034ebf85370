"""What a user can get wrong ends in one clear message, the documented exit code and no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.commands import free_port, locust

SIX_MISTAKES = """\
name: "Six mistakes"
duration_hours: -1
speed_multiplier: 100
customers: many
transaction_rate:
  peek_tps: 5
  peak_tps: 5
  off_peak_tps: 1
  business_hours: [9, 25]
fraud:
  rate: 1.5
  patterns:
    - type: card_testin
"""


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    said = done.stdout + done.stderr
    assert done.returncode == code, said[-3000:]
    assert "Traceback" not in said
    for word in words:
        assert word in said


def test_six_mistakes_are_six_lines_and_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "mistakes.yaml"
    file.write_text(SIX_MISTAKES)
    done = locust("--headless", "--dry-run", "--scenario", str(file), cwd=tmp_path)
    assert_refused(done, 2)
    lines = [line for line in done.stderr.splitlines() if "mistakes.yaml line" in line]
    keys = [
        "duration_hours",
        "customers",
        "transaction_rate.peek_tps",
        "business_hours",
        "fraud.rate",
        "type",
    ]
    assert len(lines) == 6, done.stderr
    for key, line in zip(keys, lines, strict=True):
        assert key in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--scenario", "normal_dya"), ("normal_dya", "did you mean normal_day?")),
        (("--speed", "0"), ("--speed", "0.1", "10000", "got")),
        (("--speed", "fast"), ("--speed", "fast")),
        (("--customers", "0"), ("--customers",)),
        (("--seed", "x"), ("--seed", "x")),
        (("--target-mode", "wet-run"), ("--target-mode", "wet-run", "dry-run")),
        (("--nexum-url", "", "--bastion-url", ""), ("nothing to send to",)),
    ],
)
def test_a_wrong_option_is_named(arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path) -> None:
    mode = () if {"--target-mode", "--nexum-url"} & set(arguments) else ("--dry-run",)
    assert_refused(locust("--headless", *mode, *arguments, cwd=tmp_path), 2, *words)


def test_an_unreachable_target_is_named_with_the_way_out(tmp_path: Path) -> None:
    port = free_port()
    done = locust("--headless", "--nexum-url", f"http://127.0.0.1:{port}", "--bastion-url", "", cwd=tmp_path)
    assert_refused(done, 1, "Nexum does not answer", str(port), "banksim sandbox", "--dry-run")


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_refused(locust("--dry-run", "--web-port", port, cwd=tmp_path), 1, port, "--web-port")


@pytest.mark.skipif(os.name == "nt", reason="needs a path that nobody can make a folder in")
def test_a_report_folder_that_cannot_be_made_is_told_before_the_run(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = locust("--headless", "--dry-run", "--report-dir", str(file / "out"), cwd=tmp_path)
    assert_refused(done, 1, "cannot write the report", "--report-dir")


def test_a_taken_port_of_the_master_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        where = ("--master-bind-host", "127.0.0.1", "--master-bind-port", port)
        found = locust("--headless", "--dry-run", "--master", *where, cwd=tmp_path)
    assert_refused(found, 1, port, "--master-bind-port", "--master-port")


def test_workers_go_when_their_master_is_refused(tmp_path: Path) -> None:
    scenario = tmp_path / "search.yaml"
    scenario.write_text(
        "name: Balances of workers\nduration_hours: 1\ncustomers: 5\n"
        "transaction_rate: {peak_tps: 1, off_peak_tps: 1}\nload: {until: ['balance_violations == 0']}\n"
    )
    started_s = time.monotonic()
    found = locust("--headless", "--dry-run", "--scenario", str(scenario), "--processes", "2", cwd=tmp_path)
    assert found.returncode == 2
    assert "with workers, balances are not read while the run goes on" in found.stderr
    assert time.monotonic() - started_s < 30, "Locust alone lets them wait for a minute"
