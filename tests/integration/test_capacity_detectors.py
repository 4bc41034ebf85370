"""What a search for capacity says of a detector that refuses what is too much for it."""

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
transaction_rate: {peak_tps: 10, off_peak_tps: 10}
fraud:
  rate: 0.25
  sophistication: 0
  patterns: [{type: velocity_attack, transaction_burst: 10}, {type: card_testing}]
load: {start_tps: 60, factor: 1.6, hold_seconds: 5, precision: 0.3, max_tps: 400,
  until: ["response_time.p99 < 1s"]}
"""


class OneDesk(DetectorApi):
    """One desk that takes so long for each score, and answers 503 when many wait."""

    def __init__(self) -> None:
        super().__init__()
        self._free_at_s = 0.0

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> tuple[int, Any]:
        now_s = time.monotonic()
        if path != "/score":
            return super().handle(method, path, query, body)
        if self._free_at_s - now_s > WAITING * SERVICE_S:
            return 503, {"detail": "busy"}
        self._free_at_s = max(now_s, self._free_at_s) + SERVICE_S
        gevent.sleep(self._free_at_s - now_s)
        return super().handle(method, path, query, body)


def search(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> tuple[Results, CapacityFigures, list[CapacityStep]]:
    detector = OneDesk()
    monkeypatch.setattr(targets_module, "DetectorApi", lambda: detector)
    text = SEARCH
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
    results, _, steps = search(monkeypatch, tmp_path)
    assert 50 < held_tps(steps) < 1.1 * LIMIT_TPS
    assert all("coverage" in step.reason for step in failed(steps)) and failed(steps)
    assert any(step.repeats for step in failed(steps))  # believed at the second try only
    assert not any(circuit.refused for circuit in results.run.circuits)  # none thinned the load of a step
    worst = max(steps, key=lambda step: step.tps)
    assert worst.coverage is not None and worst.coverage < 0.97
    words = {word.subject: word for word in results.verdict.words}
    assert "Limit:" in words["Load"].sentence
