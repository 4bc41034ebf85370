"""A run's line of life, over a load that is made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from banksim.measure import Measures
from banksim.measure.kafka import StreamFigures
from banksim.measure.results import Account, RunInfo, ThresholdRow
from banksim.model import At, BanksimError, ExitCode
from banksim.run import run as module
from banksim.run.plan import Mode, Parts, RunSettings
from banksim.run.run import End, LoadLost, NoLoad, Run, State, Totals
from banksim.run.timekeeper import Timekeeper
from banksim.scenario import parse_scenario

SCENARIO = """\
name: A line of life
duration_hours: 1
speed_multiplier: 3600
customers: 10
transaction_rate: {{peak_tps: 5, off_peak_tps: 5}}
thresholds: {thresholds}
"""


class MadeUp(NoLoad):
    """A load that lasts until it is stopped, or for ``lasts_s``; ``seen`` is what was asked of it."""

    def __init__(
        self, settings: RunSettings, lasts_s: float = 10.0, fails: dict[str, Exception] | None = None
    ) -> None:
        super().__init__(settings)
        self.seen: list[str] = []
        self.lasts_s = lasts_s
        self.fails = fails or {}
        self.stopped = gevent.event.Event()
        self.timekeeper: Timekeeper

    def _do(self, what: str) -> None:
        self.seen.append(what)
        if what in self.fails:
            raise self.fails[what]

    def prepare(self, plan: Parts, timekeeper: Timekeeper) -> MadeUp:
        self._do("prepare")
        self.timekeeper = timekeeper
        return self

    def __enter__(self) -> MadeUp:
        return self

    def __exit__(self, *_: object) -> None:
        self._do("close")

    def open_customers(self, report: Callable[[str], None]) -> None:
        report("Opening")
        self._do("open")

    def begin(self) -> None:
        self._do("begin")
        self.timekeeper.start(0.0)

    def wait(self) -> None:
        self._do("wait")
        self.stopped.wait(self.lasts_s)

    def stop(self, end: End) -> None:
        self._do(f"stop {end}")
        self.stopped.set()

    def drain(self, end: End) -> None:
        self._do(f"drain {end}")

    def totals(self, report: Callable[[str], None]) -> Totals:
        self._do("totals")
        return Totals(self.measures, None, StreamFigures().results(), Account(), [])

    def counted_until(self) -> At:
        return self.timekeeper.now()

    def asked_tps(self, sim_s: float) -> float:
        return 5.0


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def results(info: RunInfo, *_: Any, thresholds: list[ThresholdRow], **__: Any) -> SimpleNamespace:
        verdict = SimpleNamespace(words=[], overall="PASSED")
        counts = SimpleNamespace(ended=1, completed=1)
        return SimpleNamespace(run=info, thresholds=thresholds, verdict=verdict, transactions=counts)

    monkeypatch.setattr(module, "build_results", results)
    monkeypatch.setattr(module, "write_report", lambda *_, **__: None)
    monkeypatch.setattr(module, "keep_books", lambda *_: None)
    monkeypatch.setattr("banksim.run.monitor.LOOK_EVERY_S", 0.01)


def made(tmp_path: Path, thresholds: str = "[]", **options: Any) -> tuple[Run, MadeUp]:
    scenario = parse_scenario(SCENARIO.format(thresholds=thresholds), "life.yaml", {})
    settings = RunSettings(scenario, 1, 3600.0, Mode.DRY_RUN, tmp_path)
    load = MadeUp(settings, **options)
    return Run(settings, load.prepare), load


def test_a_whole_life(tmp_path: Path) -> None:
    run, load = made(tmp_path, lasts_s=0.05)
    assert (run.state, run.parts, run.moment()) == (State.OPENING, None, At(0.0, 0.0))
    run.conduct()
    assert load.seen == ["prepare", "open", "begin", "wait", "drain completed", "totals", "close"]
    assert (run.state, run.end, run.exit_code) == (State.FINISHED, End.COMPLETED, ExitCode.COMPLETED)
    assert run.finished.is_set() and run.message.startswith("Report: ")
    assert run.results is not None and run.results.run.detector is None


def test_an_end_before_simulated_time_is_reported_as_nothing_measured(tmp_path: Path) -> None:
    run, load = made(tmp_path)
    run.request_end(End.STOPPED)
    run.conduct()
    assert load.seen == ["prepare", "drain stopped", "totals", "close"]
    assert run.state is State.FINISHED and run.message.startswith("Report: ")


def test_only_the_first_end_counts(tmp_path: Path) -> None:
    run, load = made(tmp_path)
    living = gevent.spawn(run.conduct)
    while run.state is not State.RUNNING:
        gevent.sleep(0.01)
    run.request_end(End.INTERRUPTED)
    run.request_end(End.STOPPED)
    living.get(timeout=10)
    assert [what for what in load.seen if what.startswith("stop")] == ["stop interrupted"]
    assert run.exit_code is ExitCode.INTERRUPTED and run.results is not None


def test_pause_resume_and_speed_work_while_it_runs_and_not_before(tmp_path: Path) -> None:
    run, _ = made(tmp_path)
    with pytest.raises(ValueError, match="no run"):
        run.set_speed(10.0)
    run.pause()
    assert run.state is State.OPENING
    living = gevent.spawn(run.conduct)
    while run.state is not State.RUNNING:
        gevent.sleep(0.01)
    run.pause()
    assert run.state is State.PAUSED and run.timekeeper.clock.paused
    run.set_speed(7200.0)
    run.resume()
    assert (run.state, run.speed, run.timekeeper.clock.paused) == (State.RUNNING, 7200.0, False)
    run.request_end(End.STOPPED)
    living.get(timeout=10)


@pytest.mark.parametrize("where", ["prepare", "open", "begin", "drain completed", "totals"])
def test_a_failure_ends_in_a_message(tmp_path: Path, where: str) -> None:
    run, load = made(tmp_path, lasts_s=0.0, fails={where: BanksimError("out of order")})
    run.conduct()
    assert (run.state, run.end, run.message) == (State.FAILED, End.FAILED, "out of order")
    assert run.exit_code is ExitCode.ERROR and run.finished.is_set()
    assert where == "prepare" or "close" in load.seen


def test_a_load_that_is_lost_still_gets_its_report(tmp_path: Path) -> None:
    run, load = made(tmp_path, fails={"wait": LoadLost("All workers were lost")})
    run.conduct()
    assert load.seen[-4:] == ["stop failed", "drain failed", "totals", "close"]
    assert (run.state, run.exit_code) == (State.FAILED, ExitCode.ERROR)
    assert run.message.startswith("All workers were lost. Report: ")


def test_a_threshold_that_aborts_ends_the_run(tmp_path: Path) -> None:
    run, load = made(tmp_path, '["drops < 1 abort"]')
    load.measures.offered(At(0.0, 0.0), 10)
    load.measures.dropped(At(0.0, 0.0), None, "why", 10)
    run.conduct()
    assert (run.end, run.exit_code) == (End.ABORTED, ExitCode.THRESHOLD_FAILED)


def test_a_threshold_that_fails_at_the_end_decides_the_exit_code(tmp_path: Path) -> None:
    run, _ = made(tmp_path, '["transactions > 5"]', lasts_s=0.0)
    run.conduct()
    assert (run.end, run.exit_code) == (End.COMPLETED, ExitCode.THRESHOLD_FAILED)
    assert isinstance(run.measures, Measures)
