"""Capacity mode: offer one rate after the other, judge each alone, and close in on the limit.

Each step is offered for a while and then drained with simulated time standing still, so
that what one step left behind never burdens the next.  Its figures are its own: counts of
the same kind as the run's, kept for this step only.  Steps differ by chance in which fraud
falls into them, so their recall is compared at the run's mix of typologies.

A step holds when it meets the scenario's conditions, the detector scored what it was asked, and
recall did not surely fall below the first step's.  One that does not hold is repeated once before it
is believed.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import gevent

from banksim.measure import Measures, MeasureSettings
from banksim.measure.campaigns import Mix, Tried, design_effects, recall_at_mix, with_ends
from banksim.measure.results import CapacityFigures, CapacityStep
from banksim.measure.thresholds.judge import Judge, Threshold, parse_thresholds
from banksim.measure.thresholds.readings import Figures
from banksim.model import ScenarioError
from banksim.run.plan import Mode, RunSettings
from banksim.run.sink import Tee
from banksim.run.timekeeper import Timekeeper
from banksim.scenario.models import Load

logger = logging.getLogger(__name__)

# -- The search for the highest rate at which everything still holds: a pure sequence of guesses ----
#
#     climb      start, ×factor (or +step) …      while steps hold
#     bisect     between the last that held and the first that did not
#     descend    ÷factor, when not even the first step held
#
# It ends when the two are within ``precision`` of each other, at ``max_tps``, or when
# the rate has become too small to mean anything.


MIN_TPS = 0.1


@dataclass(slots=True)
class CapacitySearch:
    """Read `tps` for the rate to try and call `judge` with whether it held, until `tps` is None."""

    start_tps: float
    factor: float
    step: float | None
    precision: float
    max_tps: float
    held_tps: float | None = None
    failed_tps: float | None = None
    tps: float | None = field(init=False)

    def __post_init__(self) -> None:
        self.tps = min(self.start_tps, self.max_tps)

    def judge(self, held: bool) -> None:
        """Note whether the current rate held.  Raises ValueError when the search is over."""
        if self.tps is None:
            raise ValueError("the search is over")
        if held:
            self.held_tps = self.tps
        else:
            self.failed_tps = self.tps
        self.tps = self._next()

    def _next(self) -> float | None:
        held, failed = self.held_tps, self.failed_tps
        if failed is None:
            if held is None or held >= self.max_tps:
                return None
            raised = held + self.step if self.step is not None else held * self.factor
            return min(raised, self.max_tps)
        if held is None:
            lowered = failed / self.factor
            return lowered if lowered >= MIN_TPS else None
        if failed / held - 1.0 <= self.precision:
            return None
        return math.sqrt(held * failed)  # the middle in ratio: precision is a share

    def steps_left(self) -> int | None:
        """Steps still to try, the current one included; None before a rate has failed."""
        held, failed = self.held_tps, self.failed_tps
        if self.tps is None or failed is None:
            return 0 if self.tps is None else None
        low = held or failed / self.factor
        return max(1, math.ceil(math.log2(math.log(failed / low) / math.log1p(self.precision))))

    @property
    def bounded(self) -> bool:
        """Whether a rate that fails is known; otherwise the limit lies above everything tried."""
        return self.failed_tps is not None


#: Wall seconds that a step's transactions get to be answered; what is left then fails the step.
DRAIN_S = 15.0
#: The 80 % point of the normal distribution: a step that recall fails by chance (one in five) is repeated,
#: and both fail by chance one time in 25.
Z_80 = 0.8416
#: Wall seconds that a round of reading balances takes at most, as far as a step is planned for it.
ROUND_S = 1.0


def check_conditions(settings: RunSettings, workers: bool = False) -> None:
    """Raise ScenarioError when a condition in ``load.until`` is wrong, or can never be judged in a step.

    ``workers``: other processes make the load.
    """
    load, problems = settings.scenario.load, []
    for condition in parse_thresholds(load.until) if load is not None else ():
        problem = _cannot_be_judged(condition, settings, workers)
        if problem:
            problems.append(f"load.until: {condition.expression!r} cannot be judged in a step: {problem}")
    if problems:
        raise ScenarioError(problems)


def _cannot_be_judged(condition: Threshold, settings: RunSettings, workers: bool) -> str:
    """Why a step can never have a figure for it; "" when it can."""
    scenario, connections = settings.scenario, settings.scenario.connections
    urls = {"nexum": connections.nexum_url, "bastion": connections.bastion_url}
    if settings.mode is Mode.LIVE and not urls.get(condition.label, "here"):
        return f"the run has no {condition.label}"
    if condition.live:
        return "`for` and `abort` belong to thresholds of a whole run"
    if condition.metric.name != "balance_violations" or scenario.load is None:
        return ""
    if workers:
        return "with workers, balances are not read while the run goes on"
    if not scenario.invariant.enabled or (settings.mode is Mode.LIVE and not connections.nexum_url):
        return "balances are not read while the run goes on"
    if scenario.invariant.every_seconds + ROUND_S > scenario.load.hold_seconds:
        return (
            f"balances are read every {scenario.invariant.every_seconds:g} s, a step lasts "
            f"{scenario.load.hold_seconds:g} s; lower invariant.every_seconds or raise load.hold_seconds"
        )
    return ""


class Backlog(Protocol):
    """What has been handed out and has not ended."""

    @property
    def in_flight(self) -> int:
        """Transactions that wait for a user or for an answer."""


class Source(Protocol):
    """What hands out transactions."""

    @property
    def behind(self) -> bool:
        """Whether something is due that has not been handed out."""

    def plan(self) -> None:
        """Return once the campaigns of the present rate are planned."""

    def stop(self) -> None:
        """Offer nothing more."""


def unfinished(backlog: Backlog, source: Source) -> int:
    """Transactions of a step that have not ended, those that are late to begin at least as one."""
    return backlog.in_flight + source.behind


@dataclass(frozen=True, slots=True)
class Offered:
    """What came of offering one rate: its counts, its wall seconds, and what went unanswered.

    ``disturbed`` says what was wrong with the step itself; "" when nothing was.
    """

    counts: Measures
    held_s: float
    left: int
    disturbed: str = ""


class Stage(Protocol):
    """Where steps are tried: this process, or the workers of a master."""

    @property
    def measures(self) -> Measures:
        """The run's counts; those of the last step are among them."""

    def offer(self, tps: float, hold_s: float) -> Offered:
        """Offer one rate for so many wall seconds, then drain with simulated time standing still."""

    def stop(self) -> None:
        """Offer nothing more."""


def step_measures(settings: MeasureSettings) -> Measures:
    """Counts for one step.  It has no warm-up of its own: it is judged by everything that happened in it."""
    return Measures(replace(settings, warm_up_s=0.0))


def hold(timekeeper: Timekeeper, tps: float, hold_s: float, plan: Callable[[], None]) -> float:
    """Offer one rate for so many wall seconds, then stop simulated time; returns the wall seconds it ran.

    ``plan`` returns once the rate's campaigns are planned: fraud has its share from the first moment on.
    """
    timekeeper.offer(tps)
    plan()
    timekeeper.resume()
    started_s = time.monotonic()
    gevent.sleep(hold_s)
    held_s = time.monotonic() - started_s
    timekeeper.pause()
    return held_s


class StepCounter:
    """Counts each step by itself: a step begins with its rate, so this follows the run's timekeeper."""

    def __init__(self, tee: Tee, settings: MeasureSettings) -> None:
        self.step: Measures | None = None
        self._tee = tee
        self._settings = settings

    def change_rate(self, sim_s: float, tps: float) -> None:  # noqa: ARG002 - whatever the rate is
        if self.step is not None:
            self._tee.remove(self.step)
        self.step = step_measures(self._settings)
        self._tee.add(self.step)

    def change_speed(self, sim_s: float, speed: float) -> None:
        """A step may have two speeds."""

    def clock_changed(self) -> None:
        """What was begun before a pause still counts."""


class LocalStage:
    """This process, which makes the whole load."""

    def __init__(
        self,
        measures: Measures,
        tee: Tee,
        timekeeper: Timekeeper,
        backlog: Backlog,
        source: Source,
    ) -> None:
        """``measures`` are the run's: a step counts in the same way, and has its checks of balances."""
        self.measures = measures
        self.stop = source.stop
        self._tee = tee
        self._timekeeper = timekeeper
        self._backlog = backlog
        self._source = source

    def offer(self, tps: float, hold_s: float) -> Offered:
        step = step_measures(self.measures.settings)
        before = copy(self.measures.balance_checks)
        self._tee.add(step)
        try:
            self._timekeeper.pause()
            held_s = hold(self._timekeeper, tps, hold_s, self._source.plan)
            left = self._drain()
        finally:
            self._tee.remove(step)
        now, checks = self.measures.balance_checks, step.balance_checks
        checks.rounds, checks.readings = now.rounds - before.rounds, now.readings - before.readings
        checks.unread, checks.late = now.unread - before.unread, now.late - before.late
        checks.violations = now.violations - before.violations
        return Offered(step, held_s, left)

    def _drain(self) -> int:
        until_s = time.monotonic() + DRAIN_S
        while (left := unfinished(self._backlog, self._source)) and time.monotonic() < until_s:
            gevent.sleep(0.01)
        return left


class Capacity:
    """Conducts the search.  ``steps`` grows by one row a step."""

    name = "capacity"

    def __init__(self, load: Load, stage: Stage) -> None:
        self._thresholds = parse_thresholds(load.until)
        self._hold_s = load.hold_seconds
        self._stage = stage
        self.search = CapacitySearch(load.start_tps, load.factor, load.step, load.precision, load.max_tps)
        self.steps: list[CapacityStep] = []
        self._tried: list[dict[str, tuple[int, int]]] = []
        self._least_coverage, self._recall_drop = load.least_coverage, load.recall_drop
        self._step_began_s: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """The search goes on while this lasts; the load is stopped when the limit is known."""
        searching = gevent.spawn(self.conduct)
        try:
            yield
        finally:
            searching.kill()

    def conduct(self) -> None:
        """Try rates until the limit is known, then stop the load.  Killed when the run ends first."""
        while (tps := self.search.tps) is not None:
            row = self._try(tps)
            if not row.held:  # one hiccup of a machine is no limit
                row = self._try(tps, repeats=True)
            self.search.judge(row.held)
        self._stage.stop()

    def figures(self) -> CapacityFigures:
        """The limit, between which rates it lies, every step, and how far the search is."""
        mix, effects = self._mix()
        steps = [
            replace(step, **_ends(recall_at_mix(tried, mix, effects)))
            for step, tried in zip(self.steps, self._tried, strict=True)
        ]
        return CapacityFigures(
            found_tps=self.search.held_tps,
            failed_tps=self.search.failed_tps,
            finished=self.search.tps is None,
            hold_s=self._hold_s,
            until=[*(threshold.expression for threshold in self._thresholds), *self._conditions()],
            steps=steps,
            testing_tps=self.search.tps,
            testing_s=None if self._step_began_s is None else time.monotonic() - self._step_began_s,
            left_s=self._left_s(),
        )

    def _conditions(self) -> Iterator[str]:
        if self._least_coverage:
            yield f"coverage >= {self._least_coverage:.4g} where a detector is asked"
        if self._recall_drop < 1:
            yield f"recall at the run's mix at most {self._recall_drop:.0%} below the first step's"

    def _left_s(self) -> float | None:
        steps = self.search.steps_left()
        if not steps:
            return None if steps is None else 0.0
        elapsed_s = 0.0 if self._step_began_s is None else time.monotonic() - self._step_began_s
        return max(0.0, steps * self._hold_s - min(elapsed_s, self._hold_s))

    def _try(self, tps: float, repeats: bool = False) -> CapacityStep:
        self._step_began_s = time.monotonic()
        offered = self._stage.offer(tps, self._hold_s)
        step, held_s = offered.counts, offered.held_s
        verdicts = Judge(self._thresholds).verdicts(Figures(step, held_s))
        failed = [f"{v.threshold.expression}: {v.reason}" for v in verdicts if not v.passed]
        if offered.disturbed:
            failed.append(offered.disturbed)
        if offered.left:
            failed.append(f"{offered.left} transactions were not answered within {DRAIN_S:.0f} s")
        tried = {name: (one.judged, one.alerted) for name, one in step.detection.fraud.items()}
        failed += self._degraded(step, tried)
        row = _row(tps, step, held_s, "; ".join(failed), repeats)
        self.steps.append(row)
        self._tried.append(tried)
        logger.info(
            "Capacity: %.4g tx/s %s%s",
            tps,
            "held" if row.held else "did not hold",
            "" if row.held else f" ({row.reason})",
        )
        return row

    def _degraded(self, step: Measures, tried: Tried) -> Iterator[str]:
        """What the detector no longer does; nothing where none is asked."""
        detection = step.detection.figures(step.settings.prevalence, step.settings.false_positive_cost_cents)
        coverage = detection.coverage
        if coverage is not None and coverage < self._least_coverage:
            yield f"coverage: {coverage:.1%} were scored, expected at least {self._least_coverage:.4g}"
        first = next((mine for mine, row in zip(self._tried, self.steps, strict=True) if row.held), None)
        if first is None or self._recall_drop >= 1:
            return
        mix, effects = self._mix()
        common = {name: n for name, n in mix.items() if name in first and name in tried}
        before, now = (recall_at_mix(one, common, effects) for one in (first, tried))
        if before is None or now is None:
            return
        kept = 1 - self._recall_drop
        short = kept * before[0] - now[0]
        if short > Z_80 * math.sqrt(now[1] + kept**2 * before[1]):  # more than chance
            yield f"recall at the run's mix: {now[0]:.1%}, {before[0]:.1%} in the first step that held"

    def _mix(self) -> tuple[Mix, Mapping[str, float]]:
        found = self._stage.measures.detection
        return (
            {name: group.judged for name, group in found.fraud.items()},
            design_effects(found.campaigns.lines.values()),
        )


def _ends(found: tuple[float, float] | None) -> dict[str, Any]:
    """A recall with its 95 % interval, under the names of a step."""
    if found is None:
        return {}
    return dict(zip(("mixed_recall", "mixed_recall_low", "mixed_recall_high"), with_ends(found), strict=True))


def _row(tps: float, step: Measures, held_s: float, reason: str, repeats: bool) -> CapacityStep:
    """One step's figures: rates per wall second, latency in ms, shares 0..1 (None without data)."""
    detection = step.detection.figures(step.settings.prevalence, step.settings.false_positive_cost_cents)
    p50, p95, p99 = step.latency["response"].percentiles((50, 95, 99))
    tally = step.tally
    return CapacityStep(
        tps=tps,
        offered_tps=tally.offered / held_s,
        achieved_tps=tally.started / held_s,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        errors=(tally.failed + tally.unknown) / tally.started if tally.started else None,
        dropped=tally.dropped,
        recall=detection.recall,
        recall_low=detection.recall_low,
        recall_high=detection.recall_high,
        false_positive_rate=detection.false_positive_rate,
        coverage=detection.coverage,
        fraud=detection.confusion.fraud,
        held=not reason,
        reason=reason,
        repeats=repeats,
    )
