"""Runs that left their results in the report folder, newest first, each in one row.

A row is read from the run's results.json in a thread and kept until that file changes.
Bound: the newest MAX_RUNS folders are looked at; larger results than MAX_BYTES are listed
by name only.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import gevent

from banksim.cli.scenarios import describe
from banksim.fraud.calendar import Calendar
from banksim.measure.results import Results
from banksim.model import ScenarioError, UsageError
from banksim.report.write import read_results
from banksim.scenario import Scenario, load_scenario, survey_scenarios
from banksim.scenario.loader import find_scenario, scenario_files
from banksim.schedule.clock import offered_rate

logger = logging.getLogger(__name__)

# -- The scenarios a page can offer, each in numbers, and those that do not load with the reason ----
#
# Reading and checking all files is CPU work of some tens of milliseconds; it happens in a
# thread, and again only when a file has changed.


#: Points of a card's curve.
CURVE_POINTS = 48


@dataclass(frozen=True, slots=True)
class Card:
    """A scenario in numbers; lengths as named, rates per wall second, ``fraud_rate`` 0..1 of all.

    ``curve`` is the rate at even moments, ``attacks`` are (from, to) as parts of the length.
    """

    name: str
    title: str
    description: str
    duration_hours: float
    speed: float
    wall_s: float
    customers: int
    peak_tps: float
    transactions: int
    fraud_rate: float
    frauds: int
    curve: list[float]
    attacks: list[tuple[float, float]]
    typologies: list[str]
    search: bool


@dataclass(frozen=True, slots=True)
class BrokenScenario:
    """A scenario that does not load, and why."""

    name: str
    error: str


@dataclass(frozen=True, slots=True)
class Cards:
    """What can be started; ``selected`` is the scenario of the next start, ``mode`` its target mode."""

    scenarios: list[Card]
    broken: list[BrokenScenario]
    selected: str = ""
    mode: str = ""


class ScenarioList:
    """Cards of all scenarios; ``given`` is what the command line named, perhaps a path."""

    def __init__(self) -> None:
        self._stamp: tuple[tuple[str, float], ...] | None = None
        self._cards = Cards([], [])
        self._one: tuple[str, float, Scenario] | None = None

    def cards(self, given: str) -> Cards:
        """All scenarios that load, and those that do not."""
        stamp = _stamp(given)
        if stamp != self._stamp:
            self._cards = gevent.get_hub().threadpool.apply(_read, (given,))
            self._stamp = stamp
        return self._cards

    def find(self, name: str) -> Scenario | None:
        """One scenario, or None when it does not load."""
        try:
            path = find_scenario(name)
            changed_s = path.stat().st_mtime
            if self._one is None or self._one[:2] != (name, changed_s):
                self._one = (name, changed_s, load_scenario(path, environ={}))
            return self._one[2]
        except (ScenarioError, OSError):
            return None


def _stamp(given: str) -> tuple[tuple[str, float], ...]:
    files = {**scenario_files()}
    if given not in files and Path(given).is_file():
        files[given] = Path(given)
    return tuple((name, path.stat().st_mtime) for name, path in files.items())


def _read(given: str) -> Cards:
    good, broken = survey_scenarios()
    if given not in dict(good):
        with suppress(ScenarioError):  # the start says why, when it is asked for
            good.insert(0, (given, load_scenario(given, environ={})))
    cards = [_card(name, scenario) for name, scenario in good]
    return Cards(cards, [BrokenScenario(row.name, str(row.error)) for row in broken])


def _card(name: str, scenario: Scenario) -> Card:
    offered, length_s = offered_rate(scenario), scenario.duration_s
    summed = describe(scenario, offered)
    windows = Calendar.of(scenario.fraud, scenario.start_at, length_s).windows
    return Card(
        name=name,
        title=scenario.name,
        description=scenario.description,
        duration_hours=scenario.duration_hours,
        speed=scenario.speed_multiplier,
        wall_s=scenario.duration_s / scenario.speed_multiplier,
        customers=scenario.customers,
        peak_tps=summed.peak_tps,
        transactions=round(summed.expected_transactions),
        fraud_rate=summed.fraud_share,
        frauds=round(summed.expected_fraud),
        curve=[offered.at(length_s * place / CURVE_POINTS) for place in range(CURVE_POINTS)],
        attacks=[(window.start_s / length_s, window.end_s / length_s) for window in windows],
        typologies=list(dict.fromkeys(pattern.type for pattern in scenario.fraud.all_patterns)),
        search=scenario.load is not None,
    )


MAX_RUNS = 60
MAX_BYTES = 50_000_000

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file that a run left."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that left its results; without figures, and with a ``problem``, when they cannot be read."""

    run_id: str
    files: list[RunFile]
    problem: str = ""
    scenario: str | None = None
    title: str | None = None
    started_at: str | None = None
    end: str | None = None
    verdict: str | None = None
    verdict_kind: str | None = None
    mode: str | None = None
    seed: int | None = None
    speed: float | None = None
    wall_s: float | None = None
    simulated_s: float | None = None
    customers: int | None = None
    transactions: int | None = None
    offered: int | None = None
    dropped: int | None = None
    error_share: float | None = None
    peak_tps: float | None = None
    achieved_tps: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    fraud: int | None = None
    recall: float | None = None
    recall_low: float | None = None
    recall_high: float | None = None
    precision: float | None = None
    false_positive_rate: float | None = None
    coverage: float | None = None
    thresholds: int | None = None
    thresholds_failed: int | None = None


class PastRuns:
    """Rows of one report folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[str, tuple[float, PastRun]] = {}

    def rows(self) -> list[PastRun]:
        rows: list[PastRun] = gevent.get_hub().threadpool.apply(self._read)
        return rows

    def path(self, run_id: str, name: str) -> Path | None:
        """A plain file directly in a run's folder, or None."""
        root = self._folder.resolve()
        path = (root / run_id / name).resolve()
        return path if path.parent.parent == root and path.is_file() else None

    def _read(self) -> list[PastRun]:
        found = []
        for folder in self._newest():
            results = folder / "results.json"
            changed_s = results.stat().st_mtime
            known = self._rows.get(folder.name)
            if known is None or known[0] != changed_s:
                known = (changed_s, _row(folder, results))
            found.append((folder.name, known))
        self._rows = dict(found)
        return [row for _, (_, row) in found]

    def _newest(self) -> list[Path]:
        try:
            folders = [
                path
                for path in self._folder.iterdir()
                if RUN_ID.fullmatch(path.name) and (path / "results.json").is_file()
            ]
        except OSError:
            return []
        # A run's name begins with its moment, so the names sort by time.
        return sorted(folders, key=lambda path: path.name, reverse=True)[:MAX_RUNS]


def _row(folder: Path, path: Path) -> PastRun:
    files = files_of(folder)
    try:
        if path.stat().st_size > MAX_BYTES:
            return PastRun(folder.name, files, "its results are too large to list")
        return summary(folder.name, files, read_results(path))
    except (OSError, UsageError) as error:
        logger.warning("%s cannot be read: %s", path, error)
        return PastRun(folder.name, files, "its results cannot be read")


def files_of(folder: Path) -> list[RunFile]:
    """What a run left."""
    return [
        RunFile(path.name, path.stat().st_size)
        for path in sorted(folder.iterdir())
        if path.is_file() and RUN_ID.fullmatch(path.name)
    ]


def summary(run_id: str, files: list[RunFile], results: Results) -> PastRun:
    """The figures two runs are compared by."""
    run, found, counts = results.run, results.detection, results.transactions
    response = results.latency_ms["response"]
    return PastRun(
        run_id=run_id,
        files=files,
        scenario=run.scenario.name,
        title=run.scenario.title,
        started_at=run.started_at,
        end=run.end,
        verdict=results.verdict.overall,
        verdict_kind=results.verdict.kind,
        mode=run.mode,
        seed=run.seed,
        speed=run.speed,
        wall_s=run.wall_s,
        simulated_s=run.simulated_s,
        customers=run.customers,
        transactions=counts.ended,
        offered=counts.offered,
        dropped=counts.dropped,
        error_share=counts.error_share,
        peak_tps=results.rate.peak_tps,
        achieved_tps=results.rate.achieved_tps,
        p50_ms=response.p50,
        p99_ms=response.p99,
        fraud=results.fraud.transactions,
        recall=found.recall,
        recall_low=found.recall_low,
        recall_high=found.recall_high,
        precision=found.precision,
        false_positive_rate=found.false_positive_rate,
        coverage=found.coverage,
        thresholds=len(results.thresholds),
        thresholds_failed=sum(not row.passed for row in results.thresholds),
    )
