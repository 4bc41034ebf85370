"""What shipped scenarios promise of a live run: the rate is held, newcomers wait, one system is enough."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.commands import ROOT, environment, locust, results_in
from tests.services.sandbox import Server

pytestmark = pytest.mark.timing

HEADLESS = ("--headless", "--only-summary")


def test_a_thousand_a_second_are_held_in_a_dry_run(tmp_path: Path) -> None:
    """Ten seconds of the stress test; its own thresholds judge, and they are in its exit code."""
    text = (ROOT / "scenarios" / "stress_1000.yaml").read_text()
    scenario = tmp_path / "stress.yaml"
    scenario.write_text(re.sub("^duration_hours: 1$", f"duration_hours: {10 / 3600:.6f}", text, flags=re.M))
    done = locust(*HEADLESS, "--scenario", str(scenario), "--dry-run", "--report-dir", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    results = results_in(tmp_path / "out")
    assert results["rate"]["achieved_tps"] > 900
    assert results["transactions"]["dropped"] == results["transactions"]["failed"] == 0


def test_nobody_who_joins_acts_before_the_first_deposit(tmp_path: Path) -> None:
    """The onboarding scenario, busier, in two seconds."""
    text = (ROOT / "scenarios" / "onboarding.yaml").read_text()
    for key, value in (
        ("duration_hours", "12"),
        ("customers", "300"),
        ("  peak_tps", "200"),
        ("  off_peak_tps", "200"),
    ):
        text = re.sub(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.M)
    scenario = tmp_path / "onboarding.yaml"
    scenario.write_text(text)
    flags = (
        "--dry-run",
        "--speed",
        "10000",
        "--seed",
        "3",
        "--transaction-log",
        "--report-dir",
        str(tmp_path / "out"),
    )
    done = locust(*HEADLESS, "--scenario", str(scenario), *flags)
    assert done.returncode == 0, done.stderr[-3000:]
    [log] = (tmp_path / "out").glob("*/transactions.csv")
    first: dict[str, dict[str, str]] = {}
    with log.open() as lines:
        for row in sorted(csv.DictReader(lines), key=lambda row: float(row["sim_s"])):
            first.setdefault(row["customer"], row)
    newcomers = [row for customer, row in first.items() if int(customer) >= 60]  # a fifth were there before
    assert len(newcomers) > 100
    assert {row["kind"] for row in newcomers} == {"deposit"}
    joined = json.loads(next((tmp_path / "out").glob("*/results.json")).read_text())["run"]["onboarding"]
    assert 0.8 < joined["joined"] / (joined["joined"] + joined["rejected"]) < 0.98


def test_the_core_bank_alone_is_enough(tmp_path: Path) -> None:
    """Without a detector nothing is scored, and no recall is made up."""
    command = [sys.executable, str(ROOT / "run.py"), "--scenario", "fraud_attack", "--speed", "4000"]
    with Server("bank") as bank:
        done = subprocess.run(
            [*command, "--nexum-url", bank.url, "--no-bastion", "--no-kafka", "--customers", "100"],
            cwd=tmp_path,
            env=environment(BASTION_URL="http://127.0.0.1:9"),  # the line wins
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    results = results_in(tmp_path / "reports")
    assert results["transactions"]["completed"] == results["transactions"]["sent"] > 20
    assert results["detection"]["recall"] is None
    assert results["detection"]["unasked"] == results["transactions"]["sent"]
    assert results["reconciliation"]["verdict"] == "balanced"
    assert "Bastion left out" in done.stderr
