"""What a search for capacity says of a detector that refuses, sheds, slows down, or holds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import gevent
import pytest

from banksim.measure.results import CapacityFigures, CapacityStep, Results
from banksim.run import connect as targets_module
from banksim.sandbox import DetectorApi
from tests.integration.driver import Driver, settings_for

pytestmark = pytest.mark.timing

#: One desk serves 95 a second: of the rates that are tried (57, 85, 126) two surely hold and one does not.
SERVICE_S = 0.0105
LIMIT_TPS = 1 / SERVICE_S
#: Requests that may wait before the detector protects itself.
WAITING = 12

#: Fraud of one kind that is done within minutes, by daylight: a step's rate and its share of fraud are about
#: those that are planned.  At night such campaigns wait, and a step is offered far less than it asks for.
SEARCH = """\
name: Capacity of a detector
duration_hours: 120
speed_multiplier: 2500
start_at: 2026-01-05 08:00:00
customers: 300
max_users: 400
arrivals: even
transaction_rate: {peak_tps: 10, off_peak_tps: 10}
fraud:
  rate: 0.3
  sophistication: 1
  patterns: [{type: online_fraud}]
load: {start_tps: 57, factor: 1.49, hold_seconds: 4, precision: 0.5, max_tps: 126,
  least_coverage: 0.95, recall_drop: 0.05, until: ["response_time.p99 < 300ms"]}
"""


class OneDesk(DetectorApi):
    """One desk that takes so long for each score; what it does when many wait is told by its kind.

    It raises an alert on a share of all transactions, whatever they are, so that nothing but being busy
    changes what it catches: a rule on velocity catches more as customers are made to act more often.
    """

    def __init__(self, when_busy: str, alerts: float = 1.0) -> None:
        super().__init__()
        self._when_busy = when_busy
        self._share = alerts
        self._free_at_s = 0.0

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> tuple[int, Any]:
        if path != "/score":
            return super().handle(method, path, query, body)
        status, answer = super().handle(method, path, query, body)
        alert = crc32(body["transaction_id"].encode()) % 1000 < 1000 * self._share
        if self._when_busy != "holds":
            now_s = time.monotonic()
            if self._free_at_s - now_s > WAITING * SERVICE_S and self._when_busy != "slows":
                if self._when_busy == "refuses":
                    return 503, {"detail": "busy"}
                alert = False
            else:
                self._free_at_s = max(now_s, self._free_at_s) + SERVICE_S
                gevent.sleep(self._free_at_s - now_s)
        found = {"risk_score": 0.9, "action": "BLOCK"} if alert else {"risk_score": 0.01, "action": "APPROVE"}
        return status, {**answer, **found}


def search(
    monkeypatch: pytest.MonkeyPatch, folder: Path, when_busy: str, alerts: float = 1.0, drop: float = 0.05
) -> tuple[Results, CapacityFigures, list[CapacityStep]]:
    detector = OneDesk(when_busy, alerts)
    monkeypatch.setattr(targets_module, "DetectorApi", lambda: detector)
    seen: list[float | None] = []

    def look(run: Any) -> None:
        while run.results is None and not run.message.startswith("The run failed"):
            state = run.load.capacity
            if state is not None and state.testing_tps is not None:
                seen.append(state.testing_tps)
            gevent.sleep(0.5)
            if run.end is not None:
                return

    run = Driver(
        settings_for(folder, SEARCH.replace("recall_drop: 0.05", f"recall_drop: {drop}")), users=300
    ).conduct(look)
    assert run.results is not None, run.message
    found = run.results.run.capacity
    assert found is not None and found.finished
    assert {step.tps for step in found.steps} >= set(seen) and seen  # the ladder was there to be shown
    for step in found.steps:
        assert step.offered_tps == pytest.approx(step.tps, rel=0.35)  # campaigns begin, and end
    return run.results, found, found.steps


def assert_at_its_limit(found: CapacityFigures) -> list[CapacityStep]:
    """The limit lies between the rates that are sure; returns the steps that did not hold."""
    assert (found.found_tps, found.failed_tps) == (pytest.approx(84.93), 126), found.steps
    assert 0.7 * LIMIT_TPS < found.found_tps < LIMIT_TPS < found.failed_tps
    # A step that a busy machine disturbed was repeated; what counts is why the rate beyond the limit failed.
    failed = [step for step in found.steps if not step.held and step.tps == found.failed_tps]
    assert any(step.repeats for step in failed)  # believed at the second try only
    return failed


def test_one_that_answers_503_is_at_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    results, found, steps = search(monkeypatch, tmp_path, "refuses")
    failed = assert_at_its_limit(found)
    assert all("coverage" in step.reason for step in failed)
    assert all(step.coverage is not None and step.coverage < 0.95 for step in failed)
    assert all(step.coverage is not None and step.coverage >= 0.95 for step in steps if step.held)
    assert not any(circuit.refused for circuit in results.run.circuits)  # none thinned the load of a step
    words = {word.subject: word for word in results.verdict.words}
    assert "Limit:" in words["Load"].sentence


def test_one_that_approves_when_busy_is_at_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, found, steps = search(monkeypatch, tmp_path, "approves")
    failed = assert_at_its_limit(found)
    assert all("recall at the run's mix" in step.reason for step in failed)
    assert all(step.coverage == 1.0 for step in steps)  # a score came for each, however little it was worth
    assert all(step.mixed_recall is not None and step.mixed_recall < 0.93 for step in failed)
    assert steps[0].mixed_recall == pytest.approx(1.0, abs=0.05)


def test_one_that_only_slows_down_is_at_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, found, steps = search(monkeypatch, tmp_path, "slows")
    failed = assert_at_its_limit(found)
    assert all("response_time.p99" in step.reason and "mix" not in step.reason for step in failed)
    assert all(step.coverage == step.mixed_recall == 1.0 for step in steps)


def test_one_that_never_degrades_has_a_flat_curve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, found, steps = search(monkeypatch, tmp_path, "holds", alerts=0.9, drop=0.15)
    assert (found.found_tps, found.failed_tps) == (126, None)
    for step in steps:
        assert step.mixed_recall is not None and step.mixed_recall_low is not None
        half = step.mixed_recall - step.mixed_recall_low
        assert 0.01 < half < 0.25  # the interval says something, and
        assert abs(step.mixed_recall - 0.9) < 2 * half  # its level is the detector's at every rate
