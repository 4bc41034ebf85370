"""Tells how a run is going: log lines for operators, a point a second for the live page."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent

from banksim.engine.history import History
from banksim.engine.resources import ResourceMeter
from banksim.engine.settings import Mode, RunSettings
from banksim.measure import Measures
from banksim.rate import PiecewiseRate

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


def simulated_time(sim_s: float) -> str:
    """ "day 2, 14:23" for people; days count from 1."""
    day, rest = divmod(int(sim_s), 86_400)
    return f"day {day + 1}, {rest // 3600:02d}:{rest % 3600 // 60:02d}"


class Narrator:
    """Speaks once a second while simulated time runs, until it is killed."""

    def __init__(
        self,
        measures: Measures,
        offered: PiecewiseRate,
        history: History,
        moment: Callable[[], tuple[float, float]],
        paused: Callable[[], bool],
    ) -> None:
        self._measures = measures
        self._offered = offered
        self._history = history
        self._moment = moment
        self._paused = paused
        self._meter = ResourceMeter()
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
        cpu_percent, rss_bytes, network_bytes_s = self._meter.read()
        if not self._paused():  # a pause stays a gap in the timeline
            self._measures.resources(cpu_percent, rss_bytes, network_bytes_s, sim_s=sim_s, wall_s=wall_s)

    def _point(self) -> dict[str, Any]:
        wall_s, sim_s = self._moment()
        window = self._measures.timeline.window(wall_s, POINT_EVERY_S)
        point: dict[str, Any] = {
            "wall_s": wall_s,
            "sim_s": sim_s,
            "predicted_tps": 0.0 if self._paused() else self._offered.at(sim_s),
            "offered_tps": 0.0,
            "achieved_tps": 0.0,
            "fraud": 0,
            "alerts": 0,
            "p99_ms": None,
        }
        if window is not None:
            bucket, covered_s = window
            point |= {
                "offered_tps": bucket.offered / covered_s,
                "achieved_tps": bucket.sent / covered_s,
                "fraud": bucket.fraud_sent,
                "alerts": bucket.fraud_alerted + bucket.false_alerts,
                "p99_ms": bucket.response.percentile(99),
            }
        return point

    def _tell_rate(self) -> None:
        tally, now_s = self._measures.tally, time.monotonic()
        logger.info(
            "TPS %.1f | simulated %s | %s sent, %s dropped",
            (tally.started - self._sent_before) / (now_s - self._told_s),
            simulated_time(self._moment()[1]),
            f"{tally.started:,}",
            f"{tally.dropped:,}",
        )
        self._sent_before, self._told_s = tally.started, now_s
