"""Thresholds from the command line and from a scenario: verdicts, files and exit codes of a whole run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.integration.commands import ROOT, environment, locust, results_in

ATTACK = ("--headless", "--scenario", "fraud_attack", "--speed", "5000", "--seed", "7", "--dry-run")


def thresholds(*texts: str) -> list[str]:
    return [part for text in texts for part in ("--threshold", text)]


def test_met_thresholds_end_in_zero_and_failed_ones_in_99(tmp_path: Path) -> None:
    met = ("response_time.p50 < 10s", "errors <= 50%", "transactions >= 5")
    done = locust(*ATTACK, *thresholds(*met), "--report-dir", str(tmp_path / "met"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert [row["passed"] for row in results_in(tmp_path / "met")["thresholds"]] == [True, True, True]
    assert "All 3 thresholds met" in done.stdout
    assert "\x1b[" not in done.stdout

    unmet = ("errors <= 50%", "response_time.p50 < 1us", "recall[structuring] >= 1%")
    done = locust(*ATTACK, *thresholds(*unmet), "--report-dir", str(tmp_path / "unmet"))
    assert done.returncode == 99, done.stderr[-3000:]
    rows = results_in(tmp_path / "unmet")["thresholds"]
    assert [row["passed"] for row in rows] == [True, False, False]
    assert rows[2]["reason"] == "no data: the detector judged no structuring"
    assert "✗ failed  response_time.p50 < 1us" in done.stdout

    suite = ElementTree.parse(next((tmp_path / "unmet").glob("*/junit.xml"))).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("9", "3", "0")
    report = next((tmp_path / "unmet").glob("*/report.html")).read_text()
    assert "recall[structuring] &gt;= 1%" in report


def test_abort_ends_the_run_at_once_with_its_report(tmp_path: Path) -> None:
    started_s = time.monotonic()
    done = locust(
        "--headless", "--scenario", "demo", "--dry-run", "--report-dir", str(tmp_path),
        *thresholds("response_time.p50 < 1us for 2s abort"),
    )  # fmt: skip
    assert done.returncode == 99, done.stderr[-3000:]
    assert time.monotonic() - started_s < 60  # the demo would take five minutes
    results = results_in(tmp_path)
    assert results["run"]["end"] == "aborted"
    assert "that ended the run" in results["thresholds"][0]["reason"]
    assert results["transactions"]["in_flight"] == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("recal >= 90%", "did you mean recall?"),
        ("recall >= 101%", "more than there can be"),
        ("response_time.p99 < 400", "us, ms, s or min"),
    ],
)
def test_a_wrong_threshold_is_told_before_anything_starts(tmp_path: Path, text: str, told: str) -> None:
    done = locust(*ATTACK, *thresholds(text, "errors <"), "--report-dir", str(tmp_path / "out"))
    assert done.returncode == 2
    assert told in done.stderr
    assert "errors <" in done.stderr  # all mistakes at once
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_validate_checks_the_thresholds_of_a_scenario(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: Mine\nduration_hours: 1\ntransaction_rate: {peak_tps: 1, off_peak_tps: 1}\n"
        "thresholds: ['recall >= 90%', 'latency[bank].p95 < 3ms']\n"
    )
    command = [sys.executable, "-m", "banksim", "validate", str(file)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "unknown system 'bank'" in done.stderr
    assert str(file) in done.stderr
