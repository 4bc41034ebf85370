"""Tells how a run is going: log lines for operators, a point a second for the live page."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import gevent

from banksim.engine.history import History
from banksim.engine.resources import ResourceMeter
from banksim.engine.settings import Mode, RunSettings
from banksim.engine.target_pace import TargetPace
from banksim.measure import Measures

logger = logging.getLogger(__name__)

POINT_EVERY_S = 1.0
#: A line with the rate goes to the log after so many points.
POINTS_PER_LINE = 5


def tell_start(settings: RunSettings) -> None:
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
    """ "day 2, 14:23" for people: days of the calendar since the run's start, counted from 1."""
    since_midnight_s = (
        start_at - start_at.replace(hour=0, minute=0, second=0, microsecond=0)
    ).total_seconds()
    day, rest = divmod(int(since_midnight_s + sim_s), 86_400)
    return f"day {day + 1}, {rest // 3600:02d}:{rest % 3600 // 60:02d}"


class Narrator:
    """Speaks once a second while simulated time runs, until it is killed."""

    def __init__(
        self,
        measures: Callable[[], Measures],
        start_at: datetime,
        history: History,
        moment: Callable[[], tuple[float, float]],
        predicted_tps: Callable[[float], float],
    ) -> None:
        """``predicted_tps`` tells the rate that is asked for at a simulated second."""
        self._measures = measures
        self._start_at = start_at
        self._history = history
        self._moment = moment
        self._predicted_tps = predicted_tps
        self._meter = ResourceMeter()
        self._pace = TargetPace(measures)
        self._use: tuple[float, float, float] = (0.0, 0.0, 0.0)
        self._sent_before = 0
        self._told_s = time.monotonic()

    def run(self) -> None:
        for count in range(1, 2**62):
            gevent.sleep(POINT_EVERY_S)
            self._note_resources()
            self._history.add(self._point())
            if count % POINTS_PER_LINE == 0:
                self._tell_rate()

    def _note_resources(self) -> None:
        wall_s, sim_s = self._moment()
        cpu_percent, rss_bytes, network_bytes_s = self._use = self._meter.read()
        if self._predicted_tps(sim_s) > 0:  # a pause stays a gap in the timeline
            self._measures().resources(cpu_percent, rss_bytes, network_bytes_s, sim_s=sim_s, wall_s=wall_s)

    def _point(self) -> dict[str, Any]:
        wall_s, sim_s = self._moment()
        window = self._measures().timeline.window(wall_s, POINT_EVERY_S)
        point: dict[str, Any] = {
            "wall_s": wall_s,
            "sim_s": sim_s,
            "predicted_tps": self._predicted_tps(sim_s),
            "offered_tps": 0.0,
            "achieved_tps": 0.0,
            "fraud": 0,
            "fraud_alerted": 0,
            "false_alerts": 0,
            "alerts": 0,
            "failed": 0,
            "unknown": 0,
            "dropped": 0,
            "p50_ms": None,
            "p99_ms": None,
            **dict(zip(("cpu_percent", "rss_bytes", "network_bytes_s"), self._use, strict=True)),
            **self._pace.look(),
        }
        if window is not None:
            bucket, covered_s = window
            point |= {
                "offered_tps": bucket.offered / covered_s,
                "achieved_tps": bucket.sent / covered_s,
                "fraud": bucket.fraud_sent,
                "fraud_alerted": bucket.fraud_alerted,
                "false_alerts": bucket.false_alerts,
                "alerts": bucket.fraud_alerted + bucket.false_alerts,
                "failed": bucket.failed,
                "unknown": bucket.unknown,
                "dropped": bucket.dropped,
                "p50_ms": bucket.response.percentile(50),
                "p99_ms": bucket.response.percentile(99),
            }
        return point

    def _tell_rate(self) -> None:
        tally, now_s = self._measures().tally, time.monotonic()
        logger.info(
            "TPS %.1f | simulated %s | %s sent, %s dropped",
            (tally.started - self._sent_before) / (now_s - self._told_s),
            simulated_time(self._start_at, self._moment()[1]),
            f"{tally.started:,}",
            f"{tally.dropped:,}",
        )
        self._sent_before, self._told_s = tally.started, now_s
