"""The transaction log is the whole truth: another program comes to the same figures from it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.commands import locust

RECOMPUTE = Path(__file__).with_name("recompute.py")
SCENARIO = """\
name: Everything at once
duration_hours: 6
warm_up_hours: 0.5
speed_multiplier: 3600
start_at: 2026-01-05 09:00:00
customers: 80
accounts_per_customer: 2
transaction_rate: {peak_tps: 120, off_peak_tps: 120}
fraud:
  rate: 0.15
  patterns:
    - {type: card_testing, count: 40}
    - {type: account_takeover, count: 12, follows: card_testing, delay_minutes: 10}
    - {type: velocity_attack}
    - {type: large_amount}
    - {type: mule_network}
    - {type: structuring}
"""


def recompute(folder: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own that cannot import banksim (-I leaves the folder out of the path)."""
    command = [sys.executable, "-I", str(RECOMPUTE), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("logged")
    (place / "scenario.yaml").write_text(SCENARIO)
    arguments = ("--headless", "--scenario", str(place / "scenario.yaml"), "--dry-run", "--seed", "5")
    done = locust(*arguments, "--transaction-log", "--report-dir", str(place / "out"))
    assert done.returncode == 0, done.stderr[-3000:]
    return next((place / "out").iterdir())


def test_the_log_gives_the_figures_of_the_run(run_folder: Path) -> None:
    results = json.loads((run_folder / "results.json").read_text())
    assert results["transactions"]["sent"] > 300
    assert results["fraud"]["transactions"] > 60
    assert results["warm_up"]["detection"]["scored"] > 0  # the log has the cold ones too
    assert results["run"]["transaction_log"] == {
        "file": "transactions.csv",
        "lines": results["transactions"]["offered"],
        "lost": 0,
        "files": None,
    }
    done = recompute(run_folder)
    assert done.returncode == 0, done.stdout
    assert "0 differ" in done.stdout


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("decision", "approve", "confusion"),
        ("amount_cents", "1", "value_cents"),
        ("stage", "laundering", "tried_cents"),
        ("bank_status", "unknown", "completed"),
        ("service_ms", "90000.0", "response max"),
        ("typology", "app_scam", "names in by_typology"),
    ],
)
def test_one_changed_cell_is_noticed(
    run_folder: Path, tmp_path: Path, column: str, value: str, told: str
) -> None:
    with (run_folder / "transactions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    caught = next(
        row for row in reversed(rows) if row["stage"] == "harm" and row["decision"] in ("review", "block")
    )
    caught[column] = value
    with (tmp_path / "transactions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(caught))
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "results.json").write_text((run_folder / "results.json").read_text())
    done = recompute(tmp_path)
    assert done.returncode == 1
    assert told in done.stdout


def test_a_run_without_the_option_leaves_no_log(tmp_path: Path) -> None:
    arguments = ("--headless", "--scenario", "fraud_attack", "--dry-run", "--speed", "9000")
    done = locust(*arguments, "--report-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list(tmp_path.glob("*/transactions.csv"))
