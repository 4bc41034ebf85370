"""How a run is going: log lines for operators, a point a second for the live page, live thresholds."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import gevent

from banksim.measure import Measures
from banksim.measure.latency import LatencyHistogram
from banksim.measure.thresholds.judge import Judge, Verdict, thresholds_of
from banksim.measure.thresholds.readings import Figures
from banksim.measure.timeline import Bucket
from banksim.model import At
from banksim.run.plan import Mode, RunSettings
from banksim.run.process import ResourceMeter
from banksim.run.timekeeper import Timekeeper
from banksim.scenario import Scenario

logger = logging.getLogger(__name__)

# -- How the targets did since the last look: percentiles and errors of one stretch, per target -----
#
# The measures keep one histogram per target for the whole run; the stretch is the difference
# of two looks at it.  Keys are flat ("nexum_p99_ms"), as points of a curve are.


PERCENTS = (50, 95, 99)


#: Figures of one second by name; None is "no data".
Point = dict[str, float | None]


class TargetPace:
    """Differences between looks; the first look counts from the start of the run."""

    def __init__(self) -> None:
        self._before: dict[str, LatencyHistogram] = {}

    def look(self, measures: Measures) -> Point:
        """{"nexum_p50_ms", "nexum_p95_ms", "nexum_p99_ms", …}; None without calls."""
        found: Point = {}
        calls = measures.calls
        for system in calls.systems:
            total = calls.of_system(system)
            stretch = total.since(self._before.get(system))
            self._before[system] = total
            for percent, value in zip(PERCENTS, stretch.percentiles(PERCENTS), strict=True):
                found[f"{system}_p{percent}_ms"] = value
        return found


# -- The curve of a run as a live page draws it: one numbered point a second ------------------------
#
# Readers ask for what is new by number.  A long run is thinned (every second one of the
# older points goes) instead of cut, so the whole of it stays visible in bounded memory.


MAX_POINTS = 3_600


@dataclass(frozen=True, slots=True)
class Curve:
    """Points in order, and the number to ask from next."""

    next: int
    points: list[Point]


class History:
    """Points numbered from 0; a number is never used twice."""

    def __init__(self, max_points: int = MAX_POINTS) -> None:
        self._max_points = max_points
        self._points: list[tuple[int, Point]] = []
        self._next = 0

    def add(self, point: Point) -> None:
        self._points.append((self._next, point))
        self._next += 1
        if len(self._points) > self._max_points:
            half = len(self._points) // 2
            self._points = self._points[:half:2] + self._points[half:]

    def since(self, number: int) -> Curve:
        """Points numbered ``number`` or later."""
        return Curve(self._next, [point for n, point in self._points if n >= number])


# -- The live thresholds of a run: looked at about once a second, and judged at its end -------------
#
# A look takes some milliseconds at most and happens only when a threshold asks for it with
# `for` or `abort`.


LOOK_EVERY_S = 1.0


class Watched(Protocol):
    """The load of a run, as its monitors see it."""

    @property
    def measures(self) -> Measures:
        """What was counted so far."""

    def counted_until(self) -> At:
        """The moment up to which everything has been counted."""

    def asked_tps(self, sim_s: float) -> float:
        """What is asked for at a simulated second, transactions per wall second; nothing while paused."""


class ThresholdWatch:
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

    def watch(self, load: Watched, timekeeper: Timekeeper) -> Verdict:
        """Look once a second until a threshold ends the run; returns its verdict.

        A paused second does not count towards `for`.
        """
        looked_s = time.monotonic()
        while True:
            gevent.sleep(LOOK_EVERY_S)
            now_s = time.monotonic()
            elapsed_s, looked_s = now_s - looked_s, now_s
            if timekeeper.clock.paused:
                continue
            verdict = self._judge.watch(Figures(load.measures, timekeeper.now().wall_s), elapsed_s)
            if verdict is not None:
                logger.error("Threshold %s: %s", verdict.threshold.expression, verdict.reason)
                return verdict

    def decide(self, measures: Measures, wall_s: float) -> list[Verdict]:
        """Judge everything, at the end of a run of ``wall_s`` wall seconds."""
        self.verdicts = self._judge.verdicts(Figures(measures, wall_s))
        for verdict in self.verdicts:
            if verdict.passed:
                logger.info("Threshold passed: %s (%s)", verdict.threshold.expression, verdict.measured)
            else:
                logger.error("Threshold failed: %s: %s", verdict.threshold.expression, verdict.reason)
        return self.verdicts


POINT_EVERY_S = 1.0
#: A line with the rate goes to the log after this many points.
POINTS_PER_LINE = 5
#: What a point takes over from the bucket of its second, under the same names.
COUNTED = (
    *("fraud_alerted", "false_positives", "failed", "unknown", "dropped"),
    *("resent", "timeouts", "http_errors"),
)


def report_start(settings: RunSettings) -> None:
    """The first lines of a run: mode, scenario, speed with the wall length it means, seed."""
    scenario = settings.scenario
    wall_s = scenario.duration_s / settings.speed
    length = f"{wall_s / 60:.0f} minutes" if wall_s >= 120 else f"{wall_s:.0f} s"
    logger.info("Mode: %s", _targets(settings) if settings.mode is Mode.LIVE else settings.mode.meaning)
    logger.info("Scenario: %s", scenario.name)
    logger.info(
        "Speed: %gx (%g simulated hours in about %s)", settings.speed, scenario.duration_hours, length
    )
    logger.info("Seed: %d", settings.seed)


def _targets(settings: RunSettings) -> str:
    connections = settings.scenario.connections
    nexum, bastion = connections.nexum_url or "left out", connections.bastion_url or "left out"
    return f"live, Nexum {nexum}, Bastion {bastion}"


def simulated_time(start_at: datetime, sim_s: float) -> str:
    """ "day 2, 14:23": days of the calendar since the run's start, counted from 1."""
    since_midnight_s = (
        start_at - start_at.replace(hour=0, minute=0, second=0, microsecond=0)
    ).total_seconds()
    day, rest = divmod(int(since_midnight_s + sim_s), 86_400)
    return f"day {day + 1}, {rest // 3600:02d}:{rest % 3600 // 60:02d}"


class ProgressLog:
    """Adds a point to the history once a second, and a line to the log every few, until it is killed."""

    def __init__(self, load: Watched, start_at: datetime, history: History) -> None:
        self._load = load
        self._start_at = start_at
        self._history = history
        self._meter = ResourceMeter()
        self._pace = TargetPace()
        self._use: tuple[float, float, float] = (0.0, 0.0, 0.0)
        self._sent_before = 0
        self._logged_s = time.monotonic()

    def run(self) -> None:
        for count in range(1, 2**62):
            gevent.sleep(POINT_EVERY_S)
            self._note_resources()
            self._history.add(self._point())
            if count % POINTS_PER_LINE == 0:
                self._log_rate()

    def _note_resources(self) -> None:
        at = self._load.counted_until()
        self._use = self._meter.read()
        if self._load.asked_tps(at.sim_s) > 0:  # a pause stays a gap in the timeline
            self._load.measures.resources(at, *self._use)

    def _point(self) -> Point:
        measures = self._load.measures
        wall_s, sim_s = self._load.counted_until()
        bucket, covered_s = measures.timeline.window(wall_s, POINT_EVERY_S) or (Bucket(sim_s), 1.0)
        return {
            "wall_s": wall_s,
            "sim_s": sim_s,
            "predicted_tps": self._load.asked_tps(sim_s),
            "offered_tps": bucket.offered / covered_s,
            "achieved_tps": bucket.sent / covered_s,
            "fraud": bucket.fraud_sent,
            "alerts": bucket.fraud_alerted + bucket.false_positives,
            **{name: getattr(bucket, name) for name in COUNTED},
            "p50_ms": bucket.response.percentile(50),
            "p99_ms": bucket.response.percentile(99),
            **dict(zip(("cpu_percent", "rss_bytes", "network_bytes_s"), self._use, strict=True)),
            **self._pace.look(measures),
        }

    def _log_rate(self) -> None:
        tally, now_s = self._load.measures.tally, time.monotonic()
        logger.info(
            "TPS %.1f | simulated %s | %s sent, %s dropped",
            (tally.started - self._sent_before) / (now_s - self._logged_s),
            simulated_time(self._start_at, self._load.counted_until().sim_s),
            f"{tally.started:,}",
            f"{tally.dropped:,}",
        )
        self._sent_before, self._logged_s = tally.started, now_s
