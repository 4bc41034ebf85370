"""Outages a scenario asks for: made at their simulated moments, over HTTP and in process alike.

Whatever is broken, the run ends by itself with exit code 0, its figures add up, and no acknowledged
cent is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from banksim.measure.results import encode
from banksim.model import ExitCode, UsageError
from banksim.run.plan import Mode
from banksim.run.run import End, Run, State, check_run
from tests.integration.driver import Driver, assert_adds_up, settings_for

pytestmark = pytest.mark.timing

#: A simulated hour is a wall second with 60 transactions; the fault takes the second hour.
SCENARIO = """\
name: A short day with a fault in it
duration_hours: {hours}
speed_multiplier: 3600
start_at: 2026-01-05 09:00:00
customers: 40
accounts_per_customer: 2
transaction_rate: {{peak_tps: 60, off_peak_tps: 60}}
connections: {{timeout_seconds: 0.5, max_retries: 1}}
fraud:
  rate: 0.1
  patterns: [{{type: card_testing, count: 20}}, {{type: velocity_attack}}]
faults:
  - {{target: {target}, kind: {kind}, start_hour: 1, duration_minutes: 60{more}}}
"""
LONGEST_S = 45.0
MODES = [Mode.DRY_RUN, Mode.SANDBOX]


def conduct(
    folder: Path,
    mode: Mode,
    target: str,
    kind: str,
    more: str = "",
    meanwhile: Callable[[Run], None] | None = None,
    hours: int = 3,
) -> dict[str, Any]:
    """A run with one fault; checks what must hold in every case, and returns its results."""
    settings = settings_for(folder, SCENARIO.format(target=target, kind=kind, more=more, hours=hours), mode)
    started_s = time.monotonic()
    run = Driver(settings, users=30).conduct(meanwhile)
    assert time.monotonic() - started_s < LONGEST_S
    assert (run.end, run.exit_code) == (End.COMPLETED, ExitCode.COMPLETED), run.message
    assert run.results is not None
    assert_adds_up(encode(run.results))
    found = encode(run.results)["reconciliation"]
    assert (found["verdict"], found["unread"]) == ("balanced", 0), found["differences"][:3]
    (row,) = encode(run.results)["run"]["faults"]
    assert row["begun"]
    assert any("faults on purpose" in sentence for sentence in run.results.limits)
    return encode(run.results)


def fault(results: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = results["run"]["faults"][0]
    return row


def errors(results: dict[str, Any], target: str) -> str:
    return " | ".join(row["error"] for row in results["errors"] if row["target"] == target)


@pytest.mark.parametrize("mode", MODES)
def test_a_slow_bank(tmp_path: Path, mode: Mode) -> None:
    results = conduct(tmp_path, mode, "bank", "latency", ", latency_ms: [100, 150]")
    sent = results["transactions"]
    assert (sent["failed"], sent["unknown"]) == (0, 0)
    assert 30 < fault(results)["affected"] < 120
    assert results["latency_ms"]["service"]["p95"] > 100
    assert results["latency_ms"]["service"]["p50"] < 100


@pytest.mark.parametrize("mode", MODES)
def test_half_of_the_answers_are_errors(tmp_path: Path, mode: Mode) -> None:
    results = conduct(tmp_path, mode, "bank", "errors", ", share: 0.5, status: 500")
    sent = results["transactions"]
    assert sent["failed"] + sent["unknown"] == fault(results)["affected"] > 10
    assert "HTTP 500: a fault of the scenario" in errors(results, "nexum")


@pytest.mark.parametrize("mode", MODES)
def test_a_detector_that_hangs(tmp_path: Path, mode: Mode) -> None:
    results = conduct(tmp_path, mode, "detector", "hangs")
    sent = results["transactions"]
    assert (sent["failed"], sent["unknown"]) == (0, 0), "the bank answered every posting"
    assert 0 < results["detection"]["coverage"] < 0.95
    assert "no answer within 0.5 s" in errors(results, "bastion")
    assert next(row for row in results["run"]["circuits"] if row["system"] == "Bastion")["opened"] >= 1


@pytest.mark.parametrize("mode", MODES)
def test_a_bank_that_hangs_leaves_movements_unknown(tmp_path: Path, mode: Mode) -> None:
    results = conduct(tmp_path, mode, "bank", "hangs", ", share: 0.3")
    assert results["transactions"]["unknown"] > 3
    assert results["reconciliation"]["tolerated"] > 0


@pytest.mark.parametrize("mode", MODES)
def test_connections_that_are_reset(tmp_path: Path, mode: Mode) -> None:
    results = conduct(tmp_path, mode, "bank", "resets", ", share: 0.3")
    assert results["transactions"]["unknown"] > 3
    assert "the connection was closed before an answer" in errors(results, "nexum")
    assert fault(results)["affected"] > 5


@pytest.mark.parametrize("mode", MODES)
def test_a_detector_that_talks_nonsense(tmp_path: Path, mode: Mode) -> None:
    results = conduct(tmp_path, mode, "detector", "garbage")
    assert 0 < results["detection"]["coverage"] < 0.95
    for words in ("not JSON", "85 is outside 0..1", "not a JSON object"):
        assert words in errors(results, "bastion")
    assert all(row["opened"] == 0 for row in results["run"]["circuits"]), "it answers, whatever it says"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", ["bank", "detector"])
def test_one_is_killed_and_comes_back(tmp_path: Path, mode: Mode, target: str) -> None:
    results = conduct(tmp_path, mode, target, "restart", hours=7)  # starting takes a second or two
    system = {"bank": "nexum", "detector": "bastion"}[target]
    # What was on the way when it was killed was reset; whoever came later was refused.
    assert "connection refused" in errors(results, system)
    assert fault(results)["affected"] is None
    # The very last point may be a moment only.
    assert sum(point["completed"] for point in results["timeline"][-3:]) > 10, "the run went on after it"
    if target == "bank":
        assert results["transactions"]["failed"] > 5
    else:
        assert results["detection"]["coverage"] < 1


def test_a_fault_follows_the_simulated_clock(tmp_path: Path) -> None:
    """It lasts as long as simulated time says: also through a pause, and a change of speed."""
    seen: list[tuple[str, float, list[str]]] = []

    def meanwhile(run: Run) -> None:
        while run.state is State.OPENING:
            gevent.sleep(0.01)
        run.pause()
        gevent.sleep(1.5)  # longer than the fault is away at the old speed
        faults = next(part for part in run.load.companions if part.name == "faults")
        seen.append(("paused", run.moment()[1], faults.active))
        run.resume()
        while run.moment()[1] < 1.2 * 3600:
            gevent.sleep(0.01)
        seen.append(("inside", run.moment()[1], faults.active))
        run.set_speed(36_00 / 2)
        while run.moment()[1] < 2.2 * 3600:
            gevent.sleep(0.01)
        seen.append(("after", run.moment()[1], faults.active))

    results = conduct(tmp_path, Mode.DRY_RUN, "bank", "latency", ", latency_ms: 5", meanwhile)
    assert [(name, active) for name, _, active in seen] == [
        ("paused", []),
        ("inside", ["bank latency"]),
        ("after", []),
    ]
    row = fault(results)
    assert row["start_s"] == pytest.approx(3600, abs=360)
    assert row["end_s"] == pytest.approx(7200, abs=360)


def test_faults_are_refused_against_live_addresses(tmp_path: Path) -> None:
    text = SCENARIO.format(target="bank", kind="hangs", more="", hours=3)
    with pytest.raises(UsageError, match=r"^faults: .*--sandbox or --dry-run"):
        check_run(settings_for(tmp_path, text, Mode.LIVE))
