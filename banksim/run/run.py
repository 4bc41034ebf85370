"""A run whose load is made in this process, from its settings to its report.

Draining: nothing new is offered, campaigns finish what their answers still allow (only
when the scenario ended by itself), and everything under way is waited for.  Only then
are the books compared and the report written, so no figure is cut off.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

import gevent
from gevent.event import Event

from banksim.measure import Measures, MeasureSettings
from banksim.measure.thresholds.grammar import parse_thresholds
from banksim.measure.thresholds.judge import thresholds_of
from banksim.model import BanksimError, ExitCode
from banksim.report import check_folder
from banksim.report.transaction_log import FILE_NAME
from banksim.run.capacity import Capacity, SteppedMeasures
from banksim.run.closing import run_info, write_results
from banksim.run.connect import check_targets
from banksim.run.feed import FeedView
from banksim.run.kafka import check_brokers, find_brokers
from banksim.run.local_load import Generator
from banksim.run.monitor import Gate, History, Narrator, tell_start
from banksim.run.plan import Parts, check_plan
from banksim.run.queues import Arrival, Seats
from banksim.run.reconcile import keep_books, reconcile
from banksim.run.settings import RunSettings
from banksim.run.target_status import target_rows
from banksim.scenario import Scenario
from banksim.targets import Call

logger = logging.getLogger(__name__)

# -- Steering the load of this process: simulated time stands, runs, runs faster; another rate is offered ---


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
        generator.change_speed(clock.sim_at(now_s), speed)
        logger.info("Speed: %gx from simulated second %.0f on", speed, clock.sim_at(now_s))

    def offer(self, tps: float) -> None:
        """Offer ``tps`` transactions per wall second from now on, instead of the scenario's own rate."""
        generator = self._generator
        generator.change_rate(generator.built.clock.sim_at(time.monotonic()), tps)

    def under_way(self) -> int:
        """Transactions that wait for a user or for an answer."""
        return self._generator.under_way()


# -- The life of a run, the same wherever its load is made ------------------------------------------
#
#     opening ──► running ◄──► paused        `conduct` walks this line in one greenlet;
#                    │                       `request_end` may cut it short at any point
#                    ▼
#                draining ──► finished       (or failed, with one message for people)
#
# Pages, users and signals know a run by this face alone.


class State(StrEnum):
    OPENING = "opening"
    RUNNING = "running"
    PAUSED = "paused"
    DRAINING = "draining"
    FINISHED = "finished"
    FAILED = "failed"


class End(StrEnum):
    """How a run came to its end."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"  # a threshold with `abort` was breached
    FAILED = "failed"


EXIT_CODES = {
    End.COMPLETED: ExitCode.COMPLETED,
    End.STOPPED: ExitCode.COMPLETED,
    End.INTERRUPTED: ExitCode.INTERRUPTED,
    End.ABORTED: ExitCode.THRESHOLD_FAILED,
    End.FAILED: ExitCode.ERROR,
}


class Progress(Protocol):
    """How many customers have been opened at the bank."""

    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...


def counting(scenario: Scenario) -> MeasureSettings:
    """How a scenario wants its transactions counted; equal in every process of a run."""
    return MeasureSettings(
        interval_s=scenario.metrics.collect_interval_seconds,
        max_points=scenario.metrics.max_points,
        warm_up_s=scenario.warm_up_hours * 3600.0,
    )


class Life(ABC):
    """One run.  Subclasses say where its load is made: here, or at workers."""

    def __init__(self, settings: RunSettings) -> None:
        self.settings = settings
        self.state = State.OPENING
        self.message = "Getting ready"
        self.end: End | None = None
        self.finished = Event()
        self.history = History()
        self.gate = Gate(settings.scenario)
        self.started_at: datetime | None = None
        self.results: dict[str, Any] | None = None

    # -- what is known of it ----------------------------------------------------------------

    @property
    @abstractmethod
    def measures(self) -> Measures:
        """What was counted so far."""

    @property
    @abstractmethod
    def parts(self) -> Parts | None:
        """The plan, once it is made."""

    @property
    @abstractmethod
    def feed(self) -> FeedView | None:
        """The last transactions."""

    @property
    @abstractmethod
    def opening(self) -> Progress | None:
        """Customers being opened before the run."""

    @property
    @abstractmethod
    def addresses(self) -> Mapping[str, str]:
        """Where each target is, by name; empty before they are known."""

    @abstractmethod
    def target_rows(self) -> list[dict[str, Any]]:
        """How each target does, for the status page: see `engine.target_rows`."""

    @abstractmethod
    def moment(self) -> tuple[float, float]:
        """(wall seconds since simulated time began, simulated seconds), now or at the end."""

    @abstractmethod
    def shortage_ms(self) -> float:
        """The longest an arrival waited for a busy user since the last call, in ms of wall time."""

    @property
    def speed(self) -> float:
        """Simulated seconds per wall second, as last set."""
        return self.parts.clock.speed if self.parts is not None else self.settings.speed

    @property
    def peak_tps(self) -> float:
        """Highest offered rate of the scenario, transactions per wall second."""
        scenario = self.settings.scenario
        if scenario.load is not None:
            return scenario.load.start_tps
        rate = scenario.transaction_rate
        highest = max([1.0, *rate.hourly_multipliers.values()])
        return max(rate.peak_tps, rate.off_peak_tps) * highest

    @property
    def exit_code(self) -> ExitCode:
        code = EXIT_CODES[self.end] if self.end is not None else ExitCode.ERROR
        return ExitCode.THRESHOLD_FAILED if code is ExitCode.COMPLETED and self.gate.failed else code

    # -- what is asked of it ------------------------------------------------------------------

    @abstractmethod
    def pause(self) -> None:
        """Stand simulated time still; what is under way goes on.  No effect unless running."""

    @abstractmethod
    def resume(self) -> None:
        """Let simulated time run on.  No effect unless paused."""

    @abstractmethod
    def set_speed(self, speed: float) -> None:
        """Change the speed from now on.  Raises ValueError on a speed out of range."""

    def request_end(self, end: End) -> None:
        """Offer nothing more, drain and report.  Returns at once; wait for `finished`."""
        if self.end is not None or self.finished.is_set():
            return
        self.end = end
        self._stop_offering()

    def conduct(self) -> None:
        """Live the whole run.  Returns when it is finished; failures end in `message`, not in a raise."""
        try:
            self._live()
        except BanksimError as error:
            self._fail(str(error))
        except Exception as error:
            logger.exception("the run failed")
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            self._let_go()
            self.finished.set()

    @abstractmethod
    def _live(self) -> None:
        """Prepare, simulate, drain, close."""

    def _beside(
        self, moment: Callable[[], tuple[float, float]], predicted_tps: Callable[[float], float]
    ) -> list[gevent.Greenlet]:
        """What goes on beside the load, until it is killed: the narrator, and a look at the thresholds.

        ``moment`` is that up to which everything has been counted, in wall and simulated seconds.
        """
        start_at = self.settings.scenario.start_at
        narrator = Narrator(lambda: self.measures, start_at, self.history, moment, predicted_tps)
        beside = [gevent.spawn(narrator.run)]
        if self.gate.live:
            beside.append(gevent.spawn(self._watch_thresholds))
        return beside

    def _watch_thresholds(self) -> None:
        self.gate.watch(
            lambda: self.measures,
            lambda: self.moment()[0],
            lambda: self.state is State.PAUSED,
            lambda: self.request_end(End.ABORTED),
        )

    @abstractmethod
    def _stop_offering(self) -> None:
        """Whatever makes load here makes no more of it."""

    @abstractmethod
    def _let_go(self) -> None:
        """Close everything that was opened for the run, however it ended."""

    def _fail(self, message: str) -> None:
        self.end, self.state, self.message = End.FAILED, State.FAILED, message
        logger.error("The run failed: %s", message)


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
