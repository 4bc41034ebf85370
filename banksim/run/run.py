"""One run, from its settings to its report, wherever its load is made.

    opening ──► running ◄──► paused        `conduct` goes along this line in one greenlet;
                   │                       `request_end` may cut it short at any point
                   ▼
               draining ──► finished       (or failed, with one message)

A run plans, prepares its load, opens customers, lets simulated time run, drains, compares the
balances and writes the report.  Draining: nothing new is offered, campaigns finish what their
answers still allow (only when the scenario ended by itself), and everything in flight is waited
for.  Only then is anything compared or written, so no figure is cut off.

The load comes from a `LoadSource`: this process (`local_load`) or workers (`workers.remote_load`).
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from types import TracebackType
from typing import Protocol

import gevent
import psutil
from gevent.event import Event

import banksim
from banksim.measure import Measures
from banksim.measure.counts import OtherUsers
from banksim.measure.figures import Reconciliation
from banksim.measure.kafka import Kafka
from banksim.measure.results import (
    Account,
    CapacityFigures,
    FeedItem,
    Results,
    RunInfo,
    ScenarioInfo,
    TargetRow,
)
from banksim.measure.summary import build_results
from banksim.measure.thresholds.judge import thresholds_of
from banksim.measure.verdicts import exit_code
from banksim.model import At, BanksimError, ExitCode
from banksim.report import check_folder, write_report
from banksim.run.capacity import check_conditions
from banksim.run.connect import adapters_of, check_targets
from banksim.run.kafka import check_brokers
from banksim.run.monitor import History, ProgressLog, ThresholdWatch, Watched, report_start
from banksim.run.plan import Parts, RunSettings, asked, build_parts, check_plan, counting
from banksim.run.process import in_thread
from banksim.run.reconcile import keep_books
from banksim.run.sink import CustomerCounts, EmptyFeed, FeedView
from banksim.run.timekeeper import Timekeeper
from banksim.schedule.clock import Clock

logger = logging.getLogger(__name__)


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


#: Libraries whose version can change what a run measures.
MEASURING_LIBRARIES = ("locust", "gevent", "geventhttpclient", "pydantic", "confluent-kafka")
#: What is shown on the status page while simulated time runs.
RUNNING = "Simulated time is running"


class LoadLost(BanksimError):
    """Nothing makes load any more: the run ends, with a report of what was counted."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What a load came to.  ``account`` holds the keys that it adds to results.json's ``run``."""

    measures: Measures
    reconciliation: Reconciliation | None
    kafka: Kafka
    account: Account
    feed: list[FeedItem]


@dataclass(slots=True)
class Progress:
    """What happens before simulated time: customers opened, then transactions of the history played."""

    done: int = 0
    total: int = 0
    #: Days whose transactions are played; 0 while customers are opened.
    history_days: int = 0
    #: Whether nothing more is to be opened or played.
    stopped: bool = False

    @property
    def text(self) -> str:
        if not self.history_days:
            return f"opening customers: {self.done:,} of {self.total:,}"
        days = f"{self.history_days} days" if self.history_days > 1 else "1 day"
        return f"playing {days} of history: {min(1.0, self.done / max(1, self.total)):.0%}".replace("%", " %")


class LoadView(Protocol):
    """A load as pages see it."""

    @property
    def measures(self) -> Measures:
        """What was counted so far."""

    @property
    def feed(self) -> FeedView:
        """The last transactions."""

    @property
    def customers(self) -> CustomerCounts | None:
        """What each customer did; None where other processes make the load."""

    @property
    def opening(self) -> Progress:
        """How far it is before simulated time begins."""

    @property
    def addresses(self) -> Mapping[str, str]:
        """Where each target is, by name."""

    def target_rows(self) -> list[TargetRow]:
        """How each target does, for the status page."""

    def shortage_ms(self) -> float:
        """The longest an arrival waited for a busy user since the last call, in ms of wall time."""

    @property
    def capacity(self) -> CapacityFigures | None:
        """How far the search for capacity is; None where there is none."""

    def stop(self, end: End) -> None:
        """Offer nothing more, since the run came to this end.  Returns at once."""


class LoadSource(LoadView, Watched, Protocol):
    """A load that is prepared.  What waits may be cut short by `stop`.  A `with` closes it."""

    def open_customers(self, report: Callable[[str], None]) -> None:
        """Open those who are there before the run; ``report`` takes a line for the status page.

        Raises BanksimError when the run cannot begin.
        """

    def begin(self) -> None:
        """Simulated time begins; returns when it does."""

    def wait(self) -> None:
        """Make load until simulated time is over.  Raises LoadLost when nothing makes load any more."""

    def drain(self, end: End) -> None:
        """Wait for everything in flight, within bounds."""

    def totals(self, report: Callable[[str], None]) -> Totals:
        """What it all came to, after `drain`."""

    def __enter__(self) -> LoadSource: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class NoLoad:
    """The load of a run that is not prepared yet."""

    def __init__(self, settings: RunSettings) -> None:
        self.measures = Measures(counting(settings.scenario))
        self.feed = EmptyFeed()
        self.customers: CustomerCounts | None = None
        self.opening = Progress()
        self.addresses: Mapping[str, str] = {}
        self.known_customers = 0
        self.capacity: CapacityFigures | None = None

    def target_rows(self) -> list[TargetRow]:
        return []

    def shortage_ms(self) -> float:
        return 0.0

    def stop(self, end: End) -> None:
        """There is nothing to stop."""


def check_run(settings: RunSettings) -> None:
    """Raise a BanksimError when this run cannot start: thresholds, report folder, targets."""
    check_plan(settings.scenario)
    thresholds_of(settings.scenario)
    check_conditions(settings)
    check_folder(settings.report_dir)
    check_targets(settings)
    check_brokers(settings)


class Run:
    """One run: its state, its time, its thresholds and its report."""

    def __init__(self, settings: RunSettings, prepare: Callable[[Parts, Timekeeper], LoadSource]) -> None:
        """``prepare`` makes the load of a planned run ready, and raises BanksimError when it cannot."""
        self.settings = settings
        self.state = State.OPENING
        self.message = "Getting ready"
        self.end: End | None = None
        self.finished = Event()
        self.history = History()
        self.thresholds = ThresholdWatch(settings.scenario)
        self.started_at: datetime | None = None
        self.results: Results | None = None
        self.parts: Parts | None = None
        self.timekeeper = Timekeeper(Clock(settings.scenario.duration_s, settings.speed))
        self.load: LoadView = NoLoad(settings)
        #: What users beside banksim's have done so far.
        self.beside: Callable[[], OtherUsers | None] = lambda: None
        self._prepare = prepare

    # -- what is known of it ----------------------------------------------------------------

    @property
    def measures(self) -> Measures:
        return self.load.measures

    @property
    def feed(self) -> FeedView:
        return self.load.feed

    @property
    def opening(self) -> Progress:
        return self.load.opening

    @property
    def addresses(self) -> Mapping[str, str]:
        return self.load.addresses

    def target_rows(self) -> list[TargetRow]:
        return self.load.target_rows()

    def shortage_ms(self) -> float:
        return self.load.shortage_ms()

    def moment(self) -> At:
        """(wall seconds since simulated time began, simulated seconds), now or at the end."""
        return self.timekeeper.now()

    @property
    def speed(self) -> float:
        """Simulated seconds per wall second, as last set."""
        return self.timekeeper.clock.speed

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
        return exit_code(self.end, self.results)

    def info(self, end: str, account: Account | None = None) -> RunInfo:
        """The run's identity for the report, once it has begun; ``end`` is how it ended, or its state."""
        settings, (wall_s, sim_s) = self.settings, self.moment()
        scenario, path = settings.scenario, settings.scenario.source_path
        account = account or Account()
        return RunInfo(
            run_id=settings.run_id,
            scenario=ScenarioInfo(
                name=path.stem if path else scenario.name,
                title=scenario.name,
                hash=scenario.hash,
                # Short enough for a report, and without the folders of its author.
                file=f"{path.parent.name}/{path.name}" if path else "-",
                start_at=scenario.start_at.isoformat(),
            ),
            seed=settings.seed,
            mode=str(settings.mode),
            flow=scenario.flow,
            currency=scenario.currency,
            started_at=self.started_at.isoformat(timespec="seconds") if self.started_at else None,
            ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
            wall_s=wall_s,
            paused_s=self.timekeeper.paused_s,
            simulated_s=sim_s,
            speed=self.speed,
            customers=scenario.customers,
            targets=dict(self.addresses),
            adapters=adapters_of(settings),
            versions={"python": platform.python_version(), "banksim": banksim.__version__}
            | {name: version(name) for name in MEASURING_LIBRARIES},
            machine={
                "system": f"{platform.system()} {platform.machine()}",
                "cpus": psutil.cpu_count(),
                "memory_bytes": psutil.virtual_memory().total,
            },
            end=end,
            beside=self.beside(),
            **{one.name: getattr(account, one.name) for one in fields(account)},
        )

    # -- what is asked of it ----------------------------------------------------------------

    def pause(self) -> None:
        """Stop simulated time; transactions in flight go on.  No effect unless running."""
        if self.state is State.RUNNING:
            self.timekeeper.pause()
            logger.info("Paused at simulated second %.0f", self.moment().sim_s)
            self.state, self.message = State.PAUSED, "Paused: simulated time stands still"

    def resume(self) -> None:
        """Let simulated time run on.  No effect unless paused."""
        if self.state is State.PAUSED:
            self.timekeeper.resume()
            logger.info("Resumed; paused for %.1f s so far", self.timekeeper.paused_s)
            self.state, self.message = State.RUNNING, RUNNING

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on.  Raises ValueError on a speed out of range."""
        if self.state not in (State.RUNNING, State.PAUSED):
            raise ValueError("speed: there is no run whose speed could change")
        self.timekeeper.set_speed(speed)

    def request_end(self, end: End) -> None:
        """Offer nothing more, drain and report.  Returns at once; wait for `finished`.

        While a run drains already, an interruption cuts that short.
        """
        if self.finished.is_set():
            return
        if self.end is None or end is End.INTERRUPTED:
            self.load.stop(end)
        self.end = self.end or end

    # -- the line of life -------------------------------------------------------------------

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
            self.finished.set()

    def _live(self) -> None:
        settings = self.settings
        report_start(settings)
        # Word lists and plans are CPU work; in a thread the web page stays responsive.
        plan = in_thread(lambda: build_parts(settings.scenario, settings.seed, settings.speed))
        logger.info("Generated %s customer profiles", f"{plan.world.population.size:,}")
        self.parts, self.timekeeper = plan, Timekeeper(plan.clock)
        with self._prepare(plan, self.timekeeper) as load:
            self.load = load
            if self.end is None:
                load.open_customers(self._report)
            if self.end is None:
                self._simulate(load)
            self.end = self.end or End.COMPLETED
            self.state = State.DRAINING
            self._report("Waiting for the last answers")
            load.drain(self.end)
            self.timekeeper.end()
            self._close(plan, load, self.end)

    def _simulate(self, load: LoadSource) -> None:
        load.begin()
        self.started_at = datetime.now(UTC)
        self.state, self.message = State.RUNNING, RUNNING
        logger.info("Transaction generation started")
        progress = ProgressLog(load, self.settings.scenario.start_at, self.history)
        monitors = [gevent.spawn(progress.run)]
        if self.thresholds.live:
            monitors.append(gevent.spawn(self._watch_thresholds, load))
        try:
            load.wait()
        except LoadLost as lost:
            logger.error("The run ends: %s", lost)
            self.message = str(lost)
            self.request_end(End.FAILED)
        finally:
            gevent.killall(monitors)

    def _watch_thresholds(self, load: LoadSource) -> None:
        self.thresholds.watch(load, self.timekeeper)
        self.request_end(End.ABORTED)

    def _close(self, plan: Parts, load: LoadSource, end: End) -> None:
        if self.started_at is None:
            self.started_at = datetime.now(UTC)
            logger.warning("Ended before simulated time began (%s): nothing was measured", load.opening.text)
        totals = load.totals(self._report)
        totals.measures.reconciliation = totals.reconciliation
        self._report("Writing the report")
        self.results = self._write(plan, totals, self.info(str(end), totals.account))
        keep_books(self.settings, totals.measures.books)
        where = f"Report: {self.settings.folder / 'report.html'}"
        logger.info("%s", where)
        if end is End.FAILED:
            self.state, self.message = State.FAILED, f"{self.message}. {where}"
        else:
            self.state, self.message = State.FINISHED, where

    def _write(self, plan: Parts, totals: Totals, info: RunInfo) -> Results:
        """Build the results and write the run's folder.  Raises ReportFolderError.

        Charts are CPU work, so it happens in a thread while the web page stays responsive;
        nothing is counted any more by then.
        """
        settings = self.settings
        verdicts = self.thresholds.decide(totals.measures, info.wall_s - info.paused_s)

        def work() -> Results:
            results = build_results(
                info,
                totals.measures,
                asked(settings, plan),
                reconciliation=totals.reconciliation,
                thresholds=[verdict.as_row() for verdict in verdicts],
                kafka=totals.kafka,
            )
            write_report(settings.folder, results, totals.feed, csv=settings.scenario.metrics.export_csv)
            return results

        return in_thread(work)

    def _report(self, message: str) -> None:
        """A line for the status page; why a run failed stays there."""
        if self.end is not End.FAILED:
            self.message = message

    def _fail(self, message: str) -> None:
        self.end, self.state, self.message = End.FAILED, State.FAILED, message
        logger.error("The run failed: %s", message)
        self.load.stop(End.FAILED)
