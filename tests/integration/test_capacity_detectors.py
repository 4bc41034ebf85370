"""What a search for capacity says of a detector that refuses, sheds, slows down, or holds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
import pytest

from banksim.measure.results import CapacityFigures, CapacityStep, Results
from banksim.run import connect as targets_module
from banksim.sandbox import DetectorApi
from tests.integration.driver import Driver, settings_for

pytestmark = pytest.mark.timing

SERVICE_S = 0.008
LIMIT_TPS = 1 / SERVICE_S
#: Requests that may wait before the detector protects itself.
WAITING = 10

SEARCH = """\
name: Capacity of a detector
duration_hours: 500
speed_multiplier: 400
customers: 300
max_users: 400
transaction_rate: {{peak_tps: 10, off_peak_tps: 10}}
fraud:
  rate: 0.25
  sophistication: 0
  patterns: [{{type: velocity_attack, transaction_burst: 10}}, {{type: card_testing}}]
load: {{start_tps: 60, factor: 1.6, hold_seconds: {hold}, precision: 0.3, max_tps: {most},
  until: ["{until}"]}}
"""


class OneDesk(DetectorApi):
    """One desk that takes so long for each score; what it does when many wait is told by its kind."""

    def __init__(self, when_busy: str) -> None:
        super().__init__()
        self._when_busy = when_busy
        self._free_at_s = 0.0

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> tuple[int, Any]:
        now_s = time.monotonic()
        if path != "/score" or self._when_busy == "holds":
            return super().handle(method, path, query, body)
        busy = self._free_at_s - now_s > WAITING * SERVICE_S
        if busy and self._when_busy == "refuses":
            return 503, {"detail": "busy"}
        if busy and self._when_busy == "approves":
            status, answer = super().handle(method, path, query, body)
            return status, {**answer, "risk_score": 0.01, "action": "APPROVE"}
        self._free_at_s = max(now_s, self._free_at_s) + SERVICE_S
        gevent.sleep(self._free_at_s - now_s)
        return super().handle(method, path, query, body)


def search(
    monkeypatch: pytest.MonkeyPatch, folder: Path, when_busy: str, most: int = 400, hold: float = 5
) -> tuple[Results, CapacityFigures, list[CapacityStep]]:
    detector = OneDesk(when_busy)
    monkeypatch.setattr(targets_module, "DetectorApi", lambda: detector)
    text = SEARCH.format(most=most, hold=hold, until="response_time.p99 < 1s")
    seen: list[float | None] = []

    def look(run: Any) -> None:
        while run.results is None and not run.message.startswith("The run failed"):
            state = run.load.capacity
            if state is not None and state.testing_tps is not None:
                seen.append(state.testing_tps)
            gevent.sleep(0.5)
            if run.end is not None:
                return

    run = Driver(settings_for(folder, text), users=300).conduct(look)
    assert run.results is not None, run.message
    found = run.results.run.capacity
    assert found is not None and found.finished
    assert {step.tps for step in found.steps} >= set(seen) and seen  # the ladder was there to be shown
    return run.results, found, found.steps


def held_tps(steps: list[CapacityStep]) -> float:
    """The highest rate that a step which held offered: campaigns make it differ from the one asked for."""
    return max(step.offered_tps for step in steps if step.held)


def failed(steps: list[CapacityStep]) -> list[CapacityStep]:
    return [step for step in steps if not step.held]


def test_one_that_answers_503_is_at_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    results, _, steps = search(monkeypatch, tmp_path, "refuses")
    assert 50 < held_tps(steps) < 1.1 * LIMIT_TPS
    assert all("coverage" in step.reason for step in failed(steps)) and failed(steps)
    assert any(step.repeats for step in failed(steps))  # believed at the second try only
    assert not any(circuit.refused for circuit in results.run.circuits)  # none thinned the load of a step
    worst = max(steps, key=lambda step: step.tps)
    assert worst.coverage is not None and worst.coverage < 0.97
    words = {word.subject: word for word in results.verdict.words}
    assert "Limit:" in words["Load"].sentence


def test_one_that_approves_when_busy_is_at_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, _, steps = search(monkeypatch, tmp_path, "approves", hold=8)
    assert 50 < held_tps(steps) < 1.8 * LIMIT_TPS  # a tenth of recall is lost at 1.1 times the limit
    assert all("recall at the run's mix" in step.reason for step in failed(steps)) and failed(steps)
    assert all(step.coverage == 1.0 for step in steps)
    first, worst = steps[0], max(steps, key=lambda step: step.tps)
    assert first.mixed_recall is not None and worst.mixed_recall is not None
    assert worst.mixed_recall < 0.8 * first.mixed_recall


def test_one_that_only_slows_down_is_at_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, _, steps = search(monkeypatch, tmp_path, "slows")
    assert 50 < held_tps(steps) < 1.1 * LIMIT_TPS
    assert all("response_time" in step.reason for step in failed(steps)) and failed(steps)
    assert all("coverage" not in step.reason and "mix" not in step.reason for step in failed(steps))


def test_one_that_never_degrades_has_a_flat_curve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, found, steps = search(monkeypatch, tmp_path, "holds", most=200)
    assert found.found_tps == 200 and found.failed_tps is None
    lows, highs = zip(*((step.mixed_recall_low, step.mixed_recall_high) for step in steps), strict=True)
    assert max(lows) <= min(highs)  # one level is within every step's interval
