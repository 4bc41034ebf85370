"""A headless run from the command line: ends by itself, exits as documented, leaves its results."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import locust, results_in, start_locust

FRAUD_ATTACK = ("--headless", "--scenario", "fraud_attack", "--speed", "1000", "--seed", "7")


def assert_adds_up(results: dict[str, Any]) -> None:
    tx = results["transactions"]
    assert tx["offered"] == tx["sent"] + tx["dropped"]
    ended = tx["completed"] + tx["failed"] + tx["unknown"]
    assert tx["sent"] == ended + tx["in_flight"]
    assert tx["in_flight"] == 0
    confusion = results["detection"]["confusion"]
    assert sum(confusion.values()) == tx["sent"]
    assert confusion["tp"] + confusion["fn"] == results["fraud"]["transactions"]


def test_a_dry_run_of_the_attack_leaves_everything_a_pipeline_needs(tmp_path: Path) -> None:
    started_s = time.monotonic()
    done = locust(*FRAUD_ATTACK, "--dry-run", "--report-dir", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started_s < 60  # 14.4 s of simulated day, start and report beside it

    results = results_in(tmp_path / "out")
    assert_adds_up(results)
    run = results["run"]
    assert run["seed"] == 7
    assert run["scenario"]["name"] == "fraud_attack"
    assert re.fullmatch(r"[0-9a-f]{64}", run["scenario"]["hash"])
    assert (run["mode"], run["end"]) == ("dry-run", "completed")
    assert run["simulated_s"] == 4 * 3600
    fraud = results["fraud"]["by_typology"]
    assert fraud["card_testing"]["transactions"] > 0
    assert fraud["account_takeover"]["transactions"] > 0
    detection = results["detection"]
    assert detection["recall"] == pytest.approx(
        detection["confusion"]["tp"] / (detection["confusion"]["tp"] + detection["confusion"]["fn"])
    )
    assert 0 <= detection["false_positive_rate"] < 0.1
    assert results["rate"]["offered_tps"] > 0
    assert results["rate"]["achieved_tps"] > 0
    for name in ("response", "service", "lag", "nexum", "bastion"):
        assert results["latency_ms"][name]["p99"] > 0
    assert results["reconciliation"]["balanced"] is True

    report = next((tmp_path / "out").glob("*/report.html")).read_text()
    markup = re.sub(r"<script\b.*?</script>", "", report, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", markup)
    assert "fraud_attack" in report


def test_the_sandbox_crosses_http_and_its_ledger_agrees_to_the_cent(tmp_path: Path) -> None:
    done = locust(*FRAUD_ATTACK, "--sandbox", "--print-stats", "--report-dir", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr[-3000:]
    results = results_in(tmp_path / "out")
    assert_adds_up(results)
    assert results["run"]["mode"] == "sandbox"
    assert results["run"]["targets"]["nexum"].startswith("http://127.0.0.1:")
    reconciliation = results["reconciliation"]
    assert reconciliation["balanced"] is True
    assert reconciliation["accounts"] >= results["run"]["customers"]
    assert re.search(r"POST\s+/transactions/transfer", done.stdout + done.stderr)
    assert re.search(r"POST\s+/score", done.stdout + done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_its_report(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    process = start_locust("--headless", "--scenario", "demo", "--dry-run", "--report-dir", str(out))
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(r"TPS \d", line):
            break
    process.send_signal(number)
    rest = process.stdout.read()
    assert process.wait(timeout=60) == 130, rest[-3000:]
    assert "Traceback" not in rest
    results = results_in(out)
    assert results["run"]["end"] == "interrupted"
    assert_adds_up(results)
    assert next(out.glob("*/report.html")).stat().st_size > 10_000


def test_two_runs_with_one_seed_have_the_same_transactions_of_fraud(tmp_path: Path) -> None:
    found = []
    for name in ("first", "second"):
        done = locust(*FRAUD_ATTACK, "--dry-run", "--speed", "5000", "--report-dir", str(tmp_path / name))
        assert done.returncode == 0, done.stderr[-3000:]
        results = results_in(tmp_path / name)
        found.append(sorted((c["campaign"], c["transactions"]) for c in results["fraud"]["campaigns"]))
    assert found[0] == found[1]
