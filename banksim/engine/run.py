"""One run, from its settings to its report.

    opening ──► running ◄──► paused        `conduct` walks this line in one greenlet;
                   │                       `request_end` may cut it short at any point
                   ▼
               draining ──► finished       (or failed, with one message for people)

Draining: nothing new is offered, campaigns finish what their answers still allow (only
when the scenario ended by itself), and everything under way is waited for.  Only then
are the books compared and the report written, so no figure is cut off.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import gevent
from gevent.event import Event

from banksim.activity.onboarding import Joining
from banksim.domain import BanksimError, ExitCode, Outcome
from banksim.engine.agenda import Agenda
from banksim.engine.arrival import Arrival
from banksim.engine.brokers import Brokers, find_brokers
from banksim.engine.capacity import Capacity, SteppedMeasures
from banksim.engine.closing import run_info, write_results
from banksim.engine.dispatcher import Dispatcher
from banksim.engine.events import Events
from banksim.engine.executor import Executor
from banksim.engine.feed import Feed
from banksim.engine.garbage import rare_collections
from banksim.engine.gate import Gate
from banksim.engine.history import History
from banksim.engine.joining import Joiners
from banksim.engine.narrator import Narrator, tell_start
from banksim.engine.opening import Opening
from banksim.engine.reconciling import keep_books, reconcile
from banksim.engine.seats import Seats
from banksim.engine.settings import RunSettings
from banksim.engine.targets import Connected, check_targets, connect
from banksim.engine.threads import in_thread
from banksim.fraud import CampaignRun
from banksim.measure import Measures, MeasureSettings
from banksim.measure.thresholds import thresholds_of
from banksim.measure.thresholds_grammar import parse_thresholds
from banksim.plan import Parts, build_parts, check_plan
from banksim.report import check_folder
from banksim.report.transaction_log import TransactionLog, open_transaction_log
from banksim.systems import Call, NexumClient
from banksim.world import Customer

logger = logging.getLogger(__name__)

#: Wall seconds that transactions under way get to finish after the end, at least.
DRAIN_S = 30.0
#: Both calls of a transaction may time out, the later one after waiting for a free connection.
DRAIN_TIMEOUTS = 3


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


class Run:
    """One run in this process."""

    def __init__(self, settings: RunSettings, seat_names: set[str], on_call: Callable[[Call], None]) -> None:
        """``seat_names``: which personas have users.  ``on_call`` hears of every call to a target."""
        self.settings = settings
        self.state = State.OPENING
        self.message = "Getting ready"
        self.end: End | None = None
        self.finished = Event()
        self.seats = Seats(seat_names)
        scenario = settings.scenario
        counting = MeasureSettings(
            interval_s=scenario.metrics.collect_interval_seconds,
            max_points=scenario.metrics.max_points,
            warm_up_s=scenario.warm_up_hours * 3600.0,
        )
        self.measures = Measures(counting) if scenario.load is None else SteppedMeasures(counting)
        self.capacity = Capacity(scenario, self) if scenario.load is not None else None
        self.parts: Parts | None = None
        self.connected: Connected | None = None
        self.opening: Opening | None = None
        self.joiners: Joiners | None = None
        self.brokers = Brokers()
        self.events: Events | None = None
        self.feed: Feed | None = None
        self.history = History()
        self.gate = Gate(scenario)
        self.transaction_log: TransactionLog | None = None
        self.last_calls: dict[str, Call] = {}
        self.started_at: datetime | None = None
        self.results: dict[str, Any] | None = None
        self._on_call = on_call
        self._executor: Executor | None = None
        self._dispatcher: Dispatcher | None = None
        self._agenda = Agenda()
        self._origin_s = time.monotonic()
        self._ended_s: float | None = None

    # -- before ---------------------------------------------------------------------------

    @staticmethod
    def check(settings: RunSettings) -> None:
        """Raise a BanksimError when this run cannot start: thresholds, report folder, targets."""
        check_plan(settings.scenario)
        thresholds_of(settings.scenario)
        if settings.scenario.load is not None:
            parse_thresholds(settings.scenario.load.until)
        check_folder(settings.report_dir)
        check_targets(settings)

    @property
    def peak_tps(self) -> float:
        """Highest offered rate of the scenario, transactions per wall second."""
        scenario = self.settings.scenario
        if scenario.load is not None:
            return scenario.load.start_tps
        rate = scenario.transaction_rate
        highest = max([1.0, *rate.hourly_multipliers.values()])
        return max(rate.peak_tps, rate.off_peak_tps) * highest

    # -- the line of life -----------------------------------------------------------------

    def conduct(self) -> None:
        """Live the whole run.  Returns when it is finished; failures end in `message`, not in a raise."""
        try:
            self._prepare()
            if self.end is None:
                self._simulate()
            self._drain()
            self._close()
        except BanksimError as error:
            self._fail(str(error))
        except Exception as error:
            logger.exception("the run failed")
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            if self.events is not None:
                self.events.close()
            if self.connected is not None:
                self.connected.close()
            self.brokers.close()
            if self.transaction_log is not None:
                self.transaction_log.close()
            self.finished.set()

    def _prepare(self) -> None:
        settings = self.settings
        tell_start(settings)
        # Word lists and plans are CPU work; in a thread the web page stays responsive.
        parts = self.parts = in_thread(lambda: build_parts(settings.scenario, settings.seed, settings.speed))
        logger.info("Generated %s customer profiles", f"{parts.world.population.size:,}")
        self.feed = Feed(parts.world, settings.scenario.dashboard.max_feed_items)
        self.brokers = find_brokers(settings)
        self.connected = connect(settings, self.measures.books, self._observe, self.brokers.servers)
        targets = self.connected.targets
        events = self.events = Events(
            self.brokers,
            settings.scenario.connections.kafka_format,
            targets.directory,
            targets.bank is not None,
            self._observe,
        )
        events.start()
        if settings.transaction_log:
            self.transaction_log = open_transaction_log(settings.folder)
        executor = self._executor = Executor(
            targets,
            self.measures,
            self.feed,
            settings.scenario.flow,
            self._advance,
            self.moment,
            self.transaction_log,
            events.transaction,
        )
        self._agenda.add_campaigns(parts.desk.planned)
        if parts.onboarding is not None:
            self.joiners = Joiners(
                parts.onboarding, targets.bank, self._agenda, self._wake, self._customer_opened
            )
        self._dispatcher = Dispatcher(
            parts,
            self._agenda,
            self.seats,
            self.measures,
            executor.drop,
            self._join,
            self.moment,
            self.is_open,
        )
        if targets.bank is not None:
            self._open_customers(targets.bank, parts)

    def _open_customers(self, bank: NexumClient, parts: Parts) -> None:
        population = parts.world.population
        first = parts.onboarding.existing if parts.onboarding is not None else population.size
        self.message = "Opening customers at the bank"
        self.opening = Opening(bank, population, self._customer_opened)
        self.opening.open_all(range(first), first, lambda text: logger.info("%s", text))

    def _simulate(self) -> None:
        parts = self._built
        assert self._dispatcher is not None
        self._origin_s = time.monotonic()
        self.started_at = datetime.now(UTC)
        parts.clock.start(self._origin_s)
        self.state, self.message = State.RUNNING, "Simulated time is running"
        logger.info("Transaction generation started")
        if self.joiners is not None:
            self.joiners.schedule_next()
        narrator = Narrator(
            self.measures, self.settings.scenario.start_at, self.history, self.moment, self._predicted_tps
        )
        beside = [gevent.spawn(narrator.run)]
        if self.gate.live:
            beside.append(gevent.spawn(self._watch_thresholds))
        if self.capacity is not None:
            beside.append(gevent.spawn(self.capacity.conduct, lambda: self.request_end(End.COMPLETED)))
        try:
            with rare_collections():
                self._dispatcher.run()
        finally:
            gevent.killall(beside)
        if self.end is None:
            self.end = End.COMPLETED

    def _drain(self) -> None:
        self.state, self.message = State.DRAINING, "Waiting for the last answers"
        if self._dispatcher is not None:
            self._dispatcher.stop()
        executor = self._executor
        if executor is None:
            return
        if self.end is not End.COMPLETED:
            for arrival in self.seats.drain():
                executor.drop(arrival, "the run ended first")
        timeout_s = self.settings.scenario.connections.timeout_seconds
        until_s = time.monotonic() + max(DRAIN_S, DRAIN_TIMEOUTS * timeout_s)
        while self.under_way() and time.monotonic() < until_s:
            gevent.sleep(0.01)
        for arrival in self.seats.drain():
            executor.drop(arrival, "the run ended first")

    def _close(self) -> None:
        self._ended_s = time.monotonic()
        if self.started_at is None:
            self.message = "Ended before simulated time began"
            self.state = State.FINISHED
            return
        assert self.connected is not None and self.events is not None
        self.message = "Waiting for the last events"
        self.events.drain()
        self.message = "Comparing balances"
        reconciliation = reconcile(self.measures.books, self.connected, self.settings.scenario.currency)
        self.message = "Writing the report"
        info = run_info(
            self.settings,
            self._built,
            self.connected.addresses,
            self.moment(),
            self.started_at,
            str(self.end),
        )
        info["circuits"] = [circuit.as_dict() for circuit in self.connected.targets.circuits()]
        if self.joiners is not None:
            info["onboarding"] = self.joiners.counts()
        if self.capacity is not None:
            info["capacity"] = self.capacity.as_dict()
        if self.transaction_log is not None:
            self.transaction_log.close()
            info["transaction_log"] = self.transaction_log.summary()
        feed = self.feed.items() if self.feed is not None else []
        verdicts = self.gate.decide(self.measures, info["wall_s"])
        self.results = write_results(
            self.settings,
            self._built,
            self.measures,
            info,
            reconciliation,
            feed,
            verdicts,
            self.events.results(),
        )
        keep_books(self.settings, self.measures.books)
        self.state, self.message = State.FINISHED, f"Report: {self.settings.folder / 'report.html'}"
        logger.info("Report: %s", self.settings.folder / "report.html")

    def _fail(self, message: str) -> None:
        self.end, self.state, self.message = End.FAILED, State.FAILED, message
        logger.error("The run failed: %s", message)

    # -- while it runs --------------------------------------------------------------------

    def perform(self, arrival: Arrival) -> None:
        """Carry out an arrival that a user took from its seat."""
        assert self._executor is not None  # arrivals exist only after preparation
        self._executor.perform(arrival)

    def pause(self) -> None:
        """Stand simulated time still; what is under way goes on.  No effect unless running."""
        if self.state is State.RUNNING:
            self._built.clock.pause(time.monotonic())
            self.state, self.message = State.PAUSED, "Paused: simulated time stands still"
            self._wake()

    def resume(self) -> None:
        """Let simulated time run on.  No effect unless paused."""
        if self.state is State.PAUSED:
            self._built.clock.resume(time.monotonic())
            self.state, self.message = State.RUNNING, "Simulated time is running"
            self._wake()

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on.  Raises ValueError on a speed out of range."""
        if self.state not in (State.RUNNING, State.PAUSED):
            raise ValueError("speed: there is no run whose speed could change")
        clock, now_s = self._built.clock, time.monotonic()
        clock.set_speed(speed, now_s)
        assert self._dispatcher is not None
        self._dispatcher.change_speed(clock.sim_at(now_s), speed)
        logger.info("Speed: %gx from simulated second %.0f on", speed, clock.sim_at(now_s))

    def offer(self, tps: float) -> None:
        """Offer ``tps`` transactions per wall second from now on, instead of the scenario's own rate."""
        assert self._dispatcher is not None
        self._dispatcher.change_rate(self._built.clock.sim_at(time.monotonic()), tps)

    def hold(self) -> None:
        """Stand simulated time still without showing a pause: the search waits for answers."""
        self._built.clock.pause(time.monotonic())
        self._wake()

    def go_on(self) -> None:
        """Let simulated time run again after `hold`."""
        self._built.clock.resume(time.monotonic())
        self._wake()

    def under_way(self) -> int:
        """Transactions that wait for a user or for an answer."""
        return self.seats.waiting + (self._executor.in_flight if self._executor is not None else 0)

    def request_end(self, end: End) -> None:
        """Offer nothing more, drain and report.  Returns at once; wait for `finished`."""
        if self.end is not None or self.finished.is_set():
            return
        self.end = end
        if self.opening is not None:
            self.opening.stop()
        if self._dispatcher is not None:
            self._dispatcher.stop()

    @property
    def speed(self) -> float:
        """Simulated seconds per wall second, as last set."""
        return self.parts.clock.speed if self.parts is not None else self.settings.speed

    @property
    def exit_code(self) -> ExitCode:
        code = EXIT_CODES[self.end] if self.end is not None else ExitCode.ERROR
        return ExitCode.THRESHOLD_FAILED if code is ExitCode.COMPLETED and self.gate.failed else code

    def moment(self) -> tuple[float, float]:
        """(wall seconds since simulated time began, simulated seconds), now or at the end."""
        now_s = self._ended_s if self._ended_s is not None else time.monotonic()
        if self.parts is None or not self.parts.clock.started:
            return 0.0, 0.0
        return now_s - self._origin_s, self.parts.clock.sim_at(now_s)

    def is_open(self, customer_index: int) -> bool:
        """Whether a customer can act: known to the bank, when there is a bank."""
        if self.joiners is not None and not self.joiners.has_joined(customer_index):
            return False
        if self.connected is None or self.connected.targets.bank is None:
            return True
        return self.connected.targets.directory.is_open(customer_index)

    @property
    def _built(self) -> Parts:
        assert self.parts is not None, "the run has not been prepared"
        return self.parts

    def _predicted_tps(self, sim_s: float) -> float:
        """What is asked for at a simulated second, transactions per wall second."""
        if self._built.clock.paused:
            return 0.0
        if self.capacity is not None:
            return self.capacity.search.tps or 0.0
        return self._built.offered.at(sim_s)

    def _wake(self) -> None:
        if self._dispatcher is not None:
            self._dispatcher.wake()

    def _join(self, joining: Joining) -> None:
        assert self.joiners is not None
        self.joiners.join(joining)

    def _customer_opened(self, customer: Customer, sim_s: float = 0.0) -> None:
        assert self.events is not None
        self.events.customer(customer, self._built.world.timestamp_s(sim_s))

    def _advance(self, run: CampaignRun, outcome: Outcome) -> None:
        assert self._dispatcher is not None
        self._dispatcher.advance(run, outcome)

    def _watch_thresholds(self) -> None:
        self.gate.watch(
            lambda: self.measures,
            lambda: self.moment()[0],
            lambda: self.state is State.PAUSED,
            lambda: self.request_end(End.ABORTED),
        )

    def _observe(self, call: Call) -> None:
        self.last_calls[call.system] = call
        if self.started_at is not None:  # opening customers is not what is measured
            wall_s, sim_s = self.moment()
            name = f"{call.method} {call.name}"
            if call.sent:
                self.measures.call(call.system, name, call.latency_ms, call.error, sim_s=sim_s, wall_s=wall_s)
            else:
                self.measures.calls.add_unsent(call.system, name, call.error or "")
        self._on_call(call)
