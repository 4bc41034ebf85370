"""Capacity mode finds a limit that is known."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
import pytest

from banksim.measure.results import encode
from banksim.run import connect as targets_module
from banksim.run.run import End, Run
from banksim.sandbox import BankApi
from tests.integration.cluster import cluster
from tests.integration.driver import Driver, settings_for
from tests.integration.loopback import LoopbackCluster

pytestmark = pytest.mark.timing

#: One teller, who takes this long for each movement: the limit is its inverse.
SERVICE_S = 0.008
LIMIT_TPS = 1 / SERVICE_S

SEARCH = """\
name: Capacity
duration_hours: 500
speed_multiplier: 1000
customers: 40
arrivals: even
max_users: 400
transaction_rate: {peak_tps: 10, off_peak_tps: 10}
fraud: {rate: 0}
load:
  start_tps: 80
  factor: 1.3
  hold_seconds: 5
  precision: 0.03
  until: ["response_time.p99 < 120ms", "errors < 1%", "drops == 0"]
"""


class Teller:
    """Serves one movement at a time, each in a fixed time."""

    def __init__(self) -> None:
        self.open = False
        self._free_at_s = 0.0

    def serve(self) -> None:
        # A queue of one server: wait for everybody before, then for the own service.
        now_s = time.monotonic()
        self._free_at_s = max(now_s, self._free_at_s) + SERVICE_S
        gevent.sleep(self._free_at_s - now_s)

    def open_once_it_runs(self, run: Any) -> None:
        while run.started_at is None:
            gevent.sleep(0.01)
        self.open = True


class OneTeller(BankApi):
    """A bank with one teller; in a dry run every worker has a bank, but all queue at the same one."""

    def __init__(self, teller: Teller) -> None:
        super().__init__()
        self._teller = teller

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any) -> tuple[int, Any]:
        if self._teller.open and path.startswith("/transactions/"):
            self._teller.serve()
        return super().handle(method, path, query, body)


@pytest.fixture
def teller(monkeypatch: pytest.MonkeyPatch) -> Teller:
    teller = Teller()
    monkeypatch.setattr(targets_module, "BankApi", lambda: OneTeller(teller))
    return teller


def test_it_finds_the_limit_of_a_bank_with_one_teller(teller: Teller, tmp_path: Path) -> None:
    run = Driver(settings_for(tmp_path, SEARCH), users=300).conduct(teller.open_once_it_runs)
    assert_limit(run, 0.05)


def test_workers_find_the_same_limit_together(teller: Teller, tmp_path: Path) -> None:
    coarse = {
        "start_tps: 80": "start_tps: 90",
        "factor: 1.3": "factor: 1.6",
        "hold_seconds: 5": "hold_seconds: 3",
        "precision: 0.03": "precision: 0.3",
        "p99 < 120ms": "p99 < 300ms",
    }
    text = SEARCH
    for fine, rough in coarse.items():
        text = text.replace(fine, rough)
    settings = settings_for(tmp_path, text)
    run = LoopbackCluster(settings, 2, users=150).conduct(
        lambda cluster: teller.open_once_it_runs(cluster.run)
    )
    found = assert_limit(run, 0.3)
    assert 0.9 * LIMIT_TPS < found["failed_tps"] < 1.2 * LIMIT_TPS
    assert run.end is End.COMPLETED and run.results is not None
    # Each transaction was in one step, at whichever worker it was.
    sent = sum(step["achieved_tps"] * found["hold_s"] for step in found["steps"])
    assert sent == pytest.approx(run.results.transactions.sent, rel=0.02)


def assert_limit(run: Run, within: float) -> dict[str, Any]:
    assert run.results is not None, run.message
    found: dict[str, Any] = encode(run.results)["run"]["capacity"]
    assert found["finished"] is True
    assert found["found_tps"] == pytest.approx(LIMIT_TPS, rel=within)
    held = [step for step in found["steps"] if step["held"]]
    failed = [step for step in found["steps"] if not step["held"]]
    assert held and failed
    assert max(step["tps"] for step in held) < min(step["tps"] for step in failed)
    assert all("response_time.p99" in step["reason"] for step in failed)
    for step in found["steps"]:
        assert step["offered_tps"] == pytest.approx(step["tps"], rel=max(0.02, within / 2))
    return found


PROCESSES = """\
name: Two steps of two workers
duration_hours: 500
speed_multiplier: 1000
customers: 40
arrivals: even
transaction_rate: {peak_tps: 10, off_peak_tps: 10}
fraud: {rate: 0}
load: {start_tps: 30, factor: 2, hold_seconds: 2, max_tps: 60, until: ["errors < 5%"]}
"""


def test_a_master_searches_with_worker_processes(tmp_path: Path) -> None:
    with cluster(tmp_path, PROCESSES, "--dry-run", workers=2) as made:
        assert made.wait_for_the_end(90) == 0, made.said()
        results = made.results()
        found = results["run"]["capacity"]
        assert (found["found_tps"], found["failed_tps"], found["finished"]) == (60, None, True)
        assert [step["offered_tps"] for step in found["steps"]] == pytest.approx([30, 60], rel=0.2)
        assert len(results["run"]["workers"]) == 2
        assert "Limit: 60.0\u202ftx/s held, the highest rate that was tried" in made.said()


CONDITIONS = """\
name: Conditions on one system and on balances
duration_hours: 500
speed_multiplier: 1000
customers: 40
arrivals: even
transaction_rate: {peak_tps: 10, off_peak_tps: 10}
fraud: {rate: 0}
invariant: {every_seconds: 0.3}
load:
  start_tps: 20
  factor: 2
  hold_seconds: 2
  max_tps: 40
  until:
    - "latency[nexum].p99 < 5s"
    - "latency[bastion].p99 < 5s"
    - "errors[nexum] < 5%"
    - "balance_violations == 0"
"""


def test_a_step_is_judged_by_calls_to_one_system_and_by_balances(tmp_path: Path) -> None:
    run = Driver(settings_for(tmp_path, CONDITIONS), users=20).conduct()
    assert run.results is not None, run.message
    found = encode(run.results)["run"]["capacity"]
    assert [(step["held"], step["reason"]) for step in found["steps"]] == [(True, ""), (True, "")]
    assert found["found_tps"] == 40
