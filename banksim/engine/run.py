"""A run whose load is made in this process, from its settings to its report.

Draining: nothing new is offered, campaigns finish what their answers still allow (only
when the scenario ended by itself), and everything under way is waited for.  Only then
are the books compared and the report written, so no figure is cut off.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import gevent

from banksim.engine.arrival import Arrival
from banksim.engine.brokers import check_brokers, find_brokers
from banksim.engine.capacity import Capacity, SteppedMeasures
from banksim.engine.closing import run_info, write_results
from banksim.engine.feed import FeedView
from banksim.engine.generator import Generator
from banksim.engine.life import End, Life, Progress, State, counting
from banksim.engine.narrator import tell_start
from banksim.engine.reconciling import keep_books, reconcile
from banksim.engine.seats import Seats
from banksim.engine.settings import RunSettings
from banksim.engine.steering import Steering
from banksim.engine.target_rows import target_rows
from banksim.engine.targets import check_targets
from banksim.measure import Measures
from banksim.measure.thresholds import thresholds_of
from banksim.measure.thresholds_grammar import parse_thresholds
from banksim.plan import Parts, check_plan
from banksim.report import check_folder
from banksim.report.transaction_log import FILE_NAME
from banksim.systems import Call

logger = logging.getLogger(__name__)

__all__ = ["End", "Run", "State", "check_run"]


def check_run(settings: RunSettings) -> None:
    """Raise a BanksimError when this run cannot start: thresholds, report folder, targets."""
    check_plan(settings.scenario)
    thresholds_of(settings.scenario)
    if settings.scenario.load is not None:
        parse_thresholds(settings.scenario.load.until)
    check_folder(settings.report_dir)
    check_targets(settings)
    check_brokers(settings)


class Run(Life):
    """One run in this process."""

    def __init__(self, settings: RunSettings, seat_names: set[str], on_call: Callable[[Call], None]) -> None:
        """``seat_names``: which personas have users.  ``on_call`` hears of every call to a target."""
        super().__init__(settings)
        scenario = settings.scenario
        kept = counting(scenario)
        self.seats = Seats(seat_names)
        self.generator = Generator(
            settings, self.seats, Measures(kept) if scenario.load is None else SteppedMeasures(kept), on_call
        )
        self.steering = Steering(self.generator)
        self.capacity = Capacity(scenario, self.steering) if scenario.load is not None else None

    # -- what is known of it ----------------------------------------------------------------

    @property
    def measures(self) -> Measures:
        return self.generator.measures

    @property
    def parts(self) -> Parts | None:
        return self.generator.parts

    @property
    def feed(self) -> FeedView | None:
        return self.generator.feed

    @property
    def opening(self) -> Progress | None:
        return self.generator.opening

    @property
    def addresses(self) -> Mapping[str, str]:
        return self.generator.connected.addresses if self.generator.connected is not None else {}

    def target_rows(self) -> list[dict[str, Any]]:
        return target_rows(self.generator)

    def moment(self) -> tuple[float, float]:
        return self.generator.moment()

    def shortage_ms(self) -> float:
        return self.seats.shortage_ms()

    # -- the line of life -----------------------------------------------------------------

    def _live(self) -> None:
        self._prepare()
        if self.end is None:
            self._simulate()
        self.state, self.message = State.DRAINING, "Waiting for the last answers"
        self.generator.drain(drop_waiting=self.end is not End.COMPLETED)
        self._close()

    def _prepare(self) -> None:
        tell_start(self.settings)
        generator = self.generator
        log_name = FILE_NAME if self.settings.transaction_log else ""
        generator.prepare(find_brokers(self.settings), log_name)
        self.message = "Opening customers at the bank"
        first = generator.existing_customers
        generator.open_customers(range(first), first)

    def _simulate(self) -> None:
        generator = self.generator
        self.started_at = datetime.now(UTC)
        generator.begin(time.monotonic())
        self.state, self.message = State.RUNNING, "Simulated time is running"
        logger.info("Transaction generation started")
        beside = self._beside(self.moment, self._predicted_tps)
        if self.capacity is not None:
            beside.append(gevent.spawn(self.capacity.conduct, lambda: self.request_end(End.COMPLETED)))
        try:
            generator.generate()
        finally:
            gevent.killall(beside)
        if self.end is None:
            self.end = End.COMPLETED

    def _close(self) -> None:
        generator = self.generator
        generator.end()
        if self.started_at is None:
            self.message = "Ended before simulated time began"
            self.state = State.FINISHED
            return
        assert generator.connected is not None and generator.events is not None
        self.message = "Waiting for the last events"
        generator.events.drain()
        self.message = "Comparing balances"
        currency = self.settings.scenario.currency
        reconciliation = reconcile(self.measures.books, generator.connected, currency)
        self.message = "Writing the report"
        info = self._info(self.started_at)
        self.results = write_results(
            self.settings,
            generator.built,
            self.measures,
            info,
            reconciliation,
            self.feed.items() if self.feed is not None else [],
            self.gate.decide(self.measures, info["wall_s"]),
            generator.events.results(),
        )
        keep_books(self.settings, self.measures.books)
        self.state, self.message = State.FINISHED, f"Report: {self.settings.folder / 'report.html'}"
        logger.info("Report: %s", self.settings.folder / "report.html")

    def _info(self, started_at: datetime) -> dict[str, Any]:
        """What the report says of the run itself."""
        generator = self.generator
        info = run_info(
            self.settings, generator.built, self.addresses, self.moment(), started_at, str(self.end)
        )
        info |= generator.account()
        info["detector"] = generator.detector_says()
        if self.capacity is not None:
            info["capacity"] = self.capacity.as_dict()
        return info

    def _stop_offering(self) -> None:
        self.generator.stop()

    def _let_go(self) -> None:
        self.generator.close()

    # -- while it runs --------------------------------------------------------------------

    def perform(self, arrival: Arrival) -> None:
        """Carry out an arrival that a user took from its seat."""
        self.generator.perform(arrival)

    def pause(self) -> None:
        if self.state is State.RUNNING:
            self.steering.hold()
            self.state, self.message = State.PAUSED, "Paused: simulated time stands still"

    def resume(self) -> None:
        if self.state is State.PAUSED:
            self.steering.go_on()
            self.state, self.message = State.RUNNING, "Simulated time is running"

    def set_speed(self, speed: float) -> None:
        if self.state not in (State.RUNNING, State.PAUSED):
            raise ValueError("speed: there is no run whose speed could change")
        self.steering.set_speed(speed)

    def _predicted_tps(self, sim_s: float) -> float:
        """What is asked for at a simulated second, transactions per wall second."""
        parts = self.generator.built
        if self.capacity is not None and not parts.clock.paused:
            return self.capacity.search.tps or 0.0
        return parts.asked_tps(sim_s)
