"""The load of one process: everything that makes arrivals, sends them and counts them.

    plan ─► dispatcher ─► seats ─► a user ─► executor ─► bank, detector
                                                │
              measures, feed, events, log ◄─────┘

It knows nothing of a run's life: whoever conducts the run prepares it, lets it generate,
stops it and drains it.  A process alone makes the whole load; a worker makes its share.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent

from banksim.measure import Measures
from banksim.model import At, Outcome, Planned
from banksim.report.transaction_log import TransactionLog, open_transaction_log
from banksim.run.connect import Connected, connect, read_stats, says
from banksim.run.customers import Joiners, Opening
from banksim.run.dispatcher import Dispatcher
from banksim.run.executor import Executor
from banksim.run.feed import ITEMS_PER_SECOND, Feed
from banksim.run.feedback import Feedback, given, hearing
from banksim.run.invariant import BalanceWatch, MovementBooks, watched
from banksim.run.kafka import Brokers, Events
from banksim.run.plan import LiveSimulation, Parts, build_parts
from banksim.run.process import in_thread, rare_collections
from banksim.run.queues import ENDED_FIRST, Arrival, Seats
from banksim.run.settings import RunSettings
from banksim.run.stand_ins import FaultConductor, made
from banksim.schedule.simulation import WHOLE, Joining, Share, Simulation
from banksim.targets import Call
from banksim.world import Customer

logger = logging.getLogger(__name__)

#: Wall seconds that transactions under way get to finish after the end, at least.
DRAIN_S = 30.0
#: Both calls of a transaction may time out, the later one after waiting for a free connection.
DRAIN_TIMEOUTS = 3


class Generator:
    """One process's part of a run."""

    def __init__(
        self,
        settings: RunSettings,
        seats: Seats,
        measures: Measures,
        on_call: Callable[[Call], None],
        share: Share = WHOLE,
        on_opened: Callable[[int], None] | None = None,
        may_offer: Callable[[], bool] | None = None,
    ) -> None:
        """``on_call`` hears of every call to a target.  ``share`` says who and what is this process's.

        ``on_opened`` hears of every customer that the bank has opened, by index; ``may_offer`` is asked
        before anything is handed out, and what is due waits while it says no.
        """
        self.settings = settings
        self.seats = seats
        self.measures = measures
        self.share = share
        self.brokers = Brokers()
        self.parts: Parts | None = None
        self.connected: Connected | None = None
        self.events: Events | None = None
        self.feed: Feed | None = None
        self.faults: FaultConductor | None = None
        self.balance_watch: BalanceWatch | None = None
        self.feedback: Feedback | None = None
        self._detector_before: dict[str, Any] | None = None
        self.opening: Opening | None = None
        self.joiners: Joiners | None = None
        self.simulation: LiveSimulation | None = None
        self.transaction_log: TransactionLog | None = None
        self.dispatcher: Dispatcher | None = None
        self.last_calls: dict[str, Call] = {}
        self._on_call = on_call
        self._on_opened = on_opened
        self._may_offer = may_offer
        self._executor: Executor | None = None
        self._origin_s = time.monotonic()
        self._ended_s: float | None = None
        self._begun = False
        self._stopped = False

    # -- before ---------------------------------------------------------------------------

    def prepare(
        self,
        brokers: Brokers,
        log_name: str = "",
        feed_per_second: int = ITEMS_PER_SECOND,
        standing_at: Mapping[str, str] | None = None,
    ) -> None:
        """Plan the run and connect to its targets.  Raises BanksimError when that fails.

        ``log_name`` is the transaction log's file, empty for none; ``standing_at`` as in `connect`.
        """
        settings = self.settings
        self.measures.reserve()
        # Word lists and plans are CPU work; in a thread the web page stays responsive.
        parts = self.parts = in_thread(
            lambda: build_parts(settings.scenario, settings.seed, settings.speed, self.share.shard)
        )
        logger.info("Generated %s customer profiles", f"{parts.world.population.size:,}")
        self.feed = Feed(parts.world, settings.scenario.dashboard.max_feed_items, feed_per_second)
        self.brokers = brokers
        # Whoever started the stand-ins also lets their detector decide on Kafka, once for all.
        decides_on = brokers.servers if standing_at is None else ""
        entered = MovementBooks(self.measures.books)
        self.connected = connect(settings, entered, self._observe, decides_on, standing_at)
        self._watch_balances(self.connected, entered)
        if self.connected.stand_ins is not None:
            self.faults = FaultConductor(settings.scenario.faults, parts.clock, self.connected.stand_ins)
        self._start_events(self.connected)
        if log_name:
            self.transaction_log = open_transaction_log(settings.folder, log_name)
        self._wire(parts, self.connected)

    def _watch_balances(self, connected: Connected, entered: MovementBooks) -> None:
        """Only where this process makes the whole load: others' movements are not known here."""
        scenario, bank = self.settings.scenario, connected.targets.bank
        if bank is not None and scenario.invariant.enabled and self.share is WHOLE:
            self.balance_watch = BalanceWatch(
                scenario.invariant,
                entered,
                bank,
                connected.ledger,
                self.measures.balance_checks,
                self.moment,
                scenario.currency,
            )

    def _start_events(self, connected: Connected) -> None:
        targets = connected.targets
        self.events = Events(
            self.brokers,
            self.settings.scenario.connections.kafka_format,
            targets.directory,
            targets.bank is not None,
            self._observe,
        )
        self.events.start()

    def _wire(self, parts: Parts, connected: Connected) -> None:
        assert self.feed is not None and self.events is not None
        settings, detector = self.settings, connected.targets.detector
        self._detector_before = read_stats(detector)
        if detector is not None and settings.scenario.detector.feedback:
            self.feedback = Feedback(settings.scenario.detector, detector, parts.clock, settings.seed)
        executor = self._executor = Executor(
            connected.targets,
            self.measures,
            self.feed,
            self.settings.scenario.flow,
            self._answered,
            self.moment,
            self.transaction_log,
            self.events.transaction if self.brokers.wanted else None,
            hearing(self.feedback),
        )
        bank, directory = connected.targets.bank, connected.targets.directory
        simulation = self.simulation = Simulation(
            parts, self.share, directory.is_open if bank is not None else None
        )
        if parts.onboarding is not None:
            self.joiners = Joiners(
                parts.onboarding,
                bank,
                simulation,
                self.wake,
                self._customer_opened,
                self.share.has_customer,
            )
        self.dispatcher = Dispatcher(
            simulation,
            parts.clock,
            self.seats,
            self.measures,
            executor.drop,
            self._join,
            self.moment,
            self._may_offer,
        )

    @property
    def existing_customers(self) -> int:
        """How many customers there are before the run: those with the first indices."""
        parts = self.built
        return parts.onboarding.existing if parts.onboarding is not None else parts.world.population.size

    def open_customers(self, indices: Iterable[int], total: int) -> None:
        """Open ``total`` customers at the bank, if there is one.  Raises BanksimError when none can be."""
        bank = self.connected.targets.bank if self.connected is not None else None
        if bank is None or self._stopped:
            return
        self.opening = Opening(bank, self.built.world.population, self._customer_opened)
        self.opening.open_all(indices, total, lambda text: logger.info("%s", text))

    # -- while it runs --------------------------------------------------------------------

    def begin(self, origin_s: float) -> None:
        """Simulated time 0 is at ``origin_s`` (monotonic wall seconds); from here on calls are measured."""
        self._origin_s = origin_s
        self._begun = True
        if not self.built.clock.started:
            self.built.clock.start(origin_s)
        assert self.simulation is not None
        self.simulation.join_from(self.moment()[1])

    def generate(self) -> None:
        """Hand out arrivals until simulated time is over and the last campaign has ended, or `stop`."""
        assert self.dispatcher is not None
        with rare_collections(), made(self.faults), watched(self.balance_watch), given(self.feedback):
            self.dispatcher.run()

    def stop(self) -> None:
        """Offer nothing more."""
        self._stopped = True
        if self.opening is not None:
            self.opening.stop()
        if self.dispatcher is not None:
            self.dispatcher.stop()

    def drain(self, drop_waiting: bool) -> None:
        """Wait for everything under way, within bounds; ``drop_waiting`` drops what no user took."""
        if self.dispatcher is not None:
            self.dispatcher.stop()
        if self._executor is None:
            return
        if drop_waiting:
            self._drop_waiting()
        timeout_s = self.settings.scenario.connections.timeout_seconds
        until_s = time.monotonic() + max(DRAIN_S, DRAIN_TIMEOUTS * timeout_s)
        while self.under_way() and time.monotonic() < until_s:
            gevent.sleep(0.01)
        self._drop_waiting()

    def detector_says(self) -> dict[str, Any] | None:
        """What the detector says of its own work in this run; None when it is silent, or not there."""
        return says(self.connected.targets.detector if self.connected else None, self._detector_before)

    def end(self) -> None:
        """The run's last moment is now."""
        self._ended_s = time.monotonic()

    def account(self) -> dict[str, Any]:
        """What became of everything beside the counts, for results.json; closes the transaction log."""
        found: dict[str, Any] = {}
        if self.connected is not None:
            found["circuits"] = self.connected.circuits()
        if self.faults is not None:
            found["faults"] = self.faults.rows()
        if self.feedback is not None:
            found["feedback"] = self.feedback.figures()
        if self.joiners is not None:
            found["onboarding"] = self.joiners.counts()
        if self.transaction_log is not None:
            self.transaction_log.close()
            found["transaction_log"] = self.transaction_log.summary()
        return found

    def close(self) -> None:
        """Let go of everything that was opened for the run."""
        if self.events is not None:
            self.events.close()
        if self.connected is not None:
            self.connected.close()
        self.brokers.close()
        if self.transaction_log is not None:
            self.transaction_log.close()

    def perform(self, arrival: Arrival) -> None:
        """Carry out an arrival that a user took from its seat."""
        assert self._executor is not None  # arrivals exist only after preparation
        self._executor.perform(arrival)

    def under_way(self) -> int:
        """Transactions that wait for a user or for an answer."""
        return self.seats.waiting + (self._executor.in_flight if self._executor is not None else 0)

    def wake(self) -> None:
        """Something changed: look again at what is due when."""
        if self.dispatcher is not None:
            self.dispatcher.wake()

    def moment(self) -> At:
        """(wall seconds since simulated time began, simulated seconds), now or at the end."""
        now_s = self._ended_s if self._ended_s is not None else time.monotonic()
        if self.parts is None or not self.parts.clock.started:
            return At(0.0, 0.0)
        return At(now_s - self._origin_s, self.parts.clock.sim_at(now_s))

    def change_speed(self, now_s: float, speed: float) -> None:
        """Follow a new speed from ``now_s`` (simulated) on."""
        assert self.simulation is not None
        self.simulation.change_speed(now_s, speed)
        self.wake()

    def change_rate(self, now_s: float, tps: float) -> None:
        """Offer ``tps`` transactions per wall second from ``now_s`` (simulated) on."""
        assert self.simulation is not None
        self.simulation.change_rate(now_s, tps)
        self.wake()

    @property
    def built(self) -> Parts:
        """The plan; only after `prepare`."""
        assert self.parts is not None, "the run has not been prepared"
        return self.parts

    # -- what its parts tell each other -----------------------------------------------------

    def _join(self, joining: Joining) -> None:
        assert self.joiners is not None
        self.joiners.join(joining)

    def _customer_opened(self, customer: Customer, sim_s: float = 0.0) -> None:
        assert self.events is not None
        self.events.customer(customer, self.built.world.timestamp_s(sim_s))
        if self._on_opened is not None:
            self._on_opened(customer.index)

    def _answered(self, planned: Planned, outcome: Outcome) -> None:
        assert self.dispatcher is not None
        self.dispatcher.answered(planned, outcome)

    def _drop_waiting(self) -> None:
        assert self._executor is not None
        for arrival in self.seats.drain():
            self._executor.drop(arrival.planned, ENDED_FIRST)

    def _observe(self, call: Call) -> None:
        self.last_calls[call.system] = call
        if self._begun:  # opening customers is not what is measured
            self.measures.called(self.moment(), call)
        self._on_call(call)
