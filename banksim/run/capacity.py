"""Capacity mode: offer one rate after the other, judge each alone, and close in on the limit.

Each step is offered for a while and then drained with simulated time standing still, so
that what one step left behind never burdens the next.  Its figures are its own: counts of
the same kind as the run's, kept for this step only.  Fraud keeps its share at every rate,
so recall, coverage and latency over the steps are one curve: quality against load.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import gevent

from banksim.measure import Measures, MeasureSettings
from banksim.measure.thresholds.grammar import parse_thresholds
from banksim.measure.thresholds.judge import Judge
from banksim.measure.thresholds.readings import Figures
from banksim.model import At, Ended, Planned
from banksim.scenario import Scenario
from banksim.targets import Call

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
    """Ask `tps` for the rate to try and tell `judge` whether it held, until `tps` is None."""

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
        """Tell whether the current rate held.  Raises ValueError when the search is over."""
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
            assert held is not None
            if held >= self.max_tps:
                return None
            raised = held + self.step if self.step is not None else held * self.factor
            return min(raised, self.max_tps)
        if held is None:
            lowered = failed / self.factor
            return lowered if lowered >= MIN_TPS else None
        if failed / held - 1.0 <= self.precision:
            return None
        return math.sqrt(held * failed)  # the middle in ratio: precision is a share

    @property
    def bounded(self) -> bool:
        """Whether a rate that fails is known; otherwise the limit lies above everything tried."""
        return self.failed_tps is not None


#: Wall seconds that a step's transactions get to be answered; what is left then fails the step.
DRAIN_S = 15.0


class SteppedMeasures(Measures):
    """A run's measures, which also count into those of the current step."""

    def __init__(self, settings: MeasureSettings | None = None) -> None:
        super().__init__(settings)
        self.step: Measures | None = None

    def offered(self, at: At, n: int = 1) -> None:
        super().offered(at, n)
        if self.step is not None:
            self.step.offered(at, n)

    def started(self, at: At, n: int = 1) -> None:
        super().started(at, n)
        if self.step is not None:
            self.step.started(at, n)

    def dropped(self, at: At, planned: Planned | None, reason: str, n: int = 1) -> None:
        super().dropped(at, planned, reason, n)
        if self.step is not None:
            self.step.dropped(at, planned, reason, n)

    def ended(self, at: At, results: Sequence[Ended]) -> None:
        super().ended(at, results)
        if self.step is not None:
            self.step.ended(at, results)

    def called(self, at: At, call: Call) -> None:
        super().called(at, call)
        if self.step is not None:
            self.step.called(at, call)


class Steerable(Protocol):
    """What the search needs of a run."""

    @property
    def measures(self) -> Measures: ...

    def offer(self, tps: float) -> None:
        """From now on offer ``tps`` transactions per wall second."""

    def hold(self) -> None:
        """Stand simulated time still."""

    def go_on(self) -> None:
        """Let it run again."""

    def under_way(self) -> int:
        """Transactions waiting or on their way."""


class Capacity:
    """Conducts the search.  ``steps`` grows by one row a step."""

    def __init__(self, scenario: Scenario, run: Steerable) -> None:
        """Raises ScenarioError with one line for each condition in ``load.until`` that is wrong."""
        load = scenario.load
        assert load is not None, "capacity mode needs a load block"
        self._thresholds = parse_thresholds(load.until)
        self._hold_s = load.hold_seconds
        self._run = run
        self.search = CapacitySearch(load.start_tps, load.factor, load.step, load.precision, load.max_tps)
        self.steps: list[dict[str, Any]] = []

    def conduct(self, done: Callable[[], None]) -> None:
        """Try rates until the limit is known, then call ``done``.  Killed when the run ends first."""
        while (tps := self.search.tps) is not None:
            row = self._try(tps)
            self.steps.append(row)
            self.search.judge(row["held"])
            logger.info(
                "Capacity: %.4g tx/s %s%s",
                tps,
                "held" if row["held"] else "did not hold",
                "" if row["held"] else f" ({row['reason']})",
            )
        done()

    def as_dict(self) -> dict[str, Any]:
        """For results.json: the limit, between which rates it lies, and every step."""
        return {
            "found_tps": self.search.held_tps,
            "failed_tps": self.search.failed_tps,
            "finished": self.search.tps is None,
            "hold_s": self._hold_s,
            "until": [threshold.expression for threshold in self._thresholds],
            "steps": self.steps,
        }

    def _try(self, tps: float) -> dict[str, Any]:
        measures = self._run.measures
        assert isinstance(measures, SteppedMeasures)
        step = measures.step = Measures(measures.settings)
        self._run.offer(tps)
        self._run.go_on()
        started_s = time.monotonic()
        gevent.sleep(self._hold_s)
        held_s = time.monotonic() - started_s
        self._run.hold()
        left = self._drain()
        measures.step = None
        verdicts = Judge(self._thresholds).verdicts(Figures(step, held_s))
        failed = [f"{v.threshold.expression}: {v.reason}" for v in verdicts if not v.passed]
        if left:
            failed.append(f"{left} transactions were not answered within {DRAIN_S:.0f} s")
        return {
            "tps": tps,
            **_figures(step, held_s),
            "held": not failed,
            "reason": "; ".join(failed),
        }

    def _drain(self) -> int:
        until_s = time.monotonic() + DRAIN_S
        while self._run.under_way() and time.monotonic() < until_s:
            gevent.sleep(0.01)
        return self._run.under_way()


def _figures(step: Measures, held_s: float) -> dict[str, Any]:
    """One step's figures: rates per wall second, latency in ms, shares 0..1 (None without data)."""
    detection = step.detection.figures(step.settings.prevalence, step.settings.false_alert_cost_cents)
    p50, p95, p99 = step.latency["response"].percentiles((50, 95, 99))
    tally = step.tally.as_dict()
    sent = tally["sent"]
    return {
        "offered_tps": tally["offered"] / held_s,
        "achieved_tps": sent / held_s,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "errors": (tally["failed"] + tally["unknown"]) / sent if sent else None,
        "dropped": tally["dropped"],
        "recall": detection["recall"],
        "recall_low": detection["recall_low"],
        "recall_high": detection["recall_high"],
        "false_positive_rate": detection["false_positive_rate"],
        "coverage": detection["coverage"],
        "fraud": detection["confusion"]["tp"] + detection["confusion"]["fn"],
    }
