"""The gate of a run: looks at its thresholds about once a second, and judges them at its end.

The looks are cheap (some milliseconds at most) and happen only when a threshold asks for
them with `for` or `abort`.  What the thresholds mean is measure/thresholds.py's business.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import gevent

from banksim.measure import Measures
from banksim.measure.thresholds import Judge, Verdict, thresholds_of
from banksim.measure.thresholds_figures import Figures
from banksim.scenario import Scenario

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class Gate:
    """The thresholds of one run."""

    def __init__(self, scenario: Scenario) -> None:
        """Raises ScenarioError with one line for each threshold that is wrong."""
        thresholds = thresholds_of(scenario)
        self._judge = Judge(thresholds)
        self.live = self._judge.live
        self.verdicts: list[Verdict] = []

    @property
    def failed(self) -> bool:
        """Whether a threshold was not met, once judged."""
        return any(not verdict.passed for verdict in self.verdicts)

    def watch(
        self,
        measures: Callable[[], Measures],
        wall_s: Callable[[], float],
        paused: Callable[[], bool],
        abort: Callable[[], None],
    ) -> None:
        """Look once a second until it is killed or a threshold ends the run, by calling ``abort``.

        A paused second does not count towards `for`.
        """
        looked_s = time.monotonic()
        while True:
            gevent.sleep(LOOK_EVERY_S)
            now_s = time.monotonic()
            elapsed_s, looked_s = now_s - looked_s, now_s
            if paused():
                continue
            verdict = self._judge.watch(Figures(measures(), wall_s()), elapsed_s)
            if verdict is not None:
                logger.error("Threshold %s: %s", verdict.threshold.expression, verdict.reason)
                abort()
                return

    def decide(self, measures: Measures, wall_s: float) -> list[Verdict]:
        """Judge everything, at the end of a run of ``wall_s`` wall seconds."""
        self.verdicts = self._judge.verdicts(Figures(measures, wall_s))
        for verdict in self.verdicts:
            if verdict.passed:
                logger.info("Threshold passed: %s (%s)", verdict.threshold.expression, verdict.measured)
            else:
                logger.error("Threshold failed: %s: %s", verdict.threshold.expression, verdict.reason)
        return self.verdicts
