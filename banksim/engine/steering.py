"""Steering the load of this process: simulated time stands, runs, runs faster; another rate is offered."""

from __future__ import annotations

import logging
import time

from banksim.engine.generator import Generator
from banksim.measure import Measures

logger = logging.getLogger(__name__)


class Steering:
    """The levers of one generator."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    @property
    def measures(self) -> Measures:
        return self._generator.measures

    def hold(self) -> None:
        """Stand simulated time still; what is under way goes on."""
        self._generator.built.clock.pause(time.monotonic())
        self._generator.wake()

    def go_on(self) -> None:
        """Let simulated time run again after `hold`."""
        self._generator.built.clock.resume(time.monotonic())
        self._generator.wake()

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on.  Raises ValueError on a speed out of range."""
        generator = self._generator
        clock, now_s = generator.built.clock, time.monotonic()
        clock.set_speed(speed, now_s)
        assert generator.dispatcher is not None
        generator.dispatcher.change_speed(clock.sim_at(now_s), speed)
        logger.info("Speed: %gx from simulated second %.0f on", speed, clock.sim_at(now_s))

    def offer(self, tps: float) -> None:
        """Offer ``tps`` transactions per wall second from now on, instead of the scenario's own rate."""
        generator = self._generator
        assert generator.dispatcher is not None
        generator.dispatcher.change_rate(generator.built.clock.sim_at(time.monotonic()), tps)

    def under_way(self) -> int:
        """Transactions that wait for a user or for an answer."""
        return self._generator.under_way()
