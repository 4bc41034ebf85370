"""The load of one process: everything that plans arrivals, sends them and counts them.

    plan ─► dispatcher ──────────────────► row executor ─► bank, detector
                 │   └─► queues ─► a user ─► executor ──────┘
                 │                                │
                 └────────────► tee ◄─────────────┘
                                 └─► measures, feed, transaction log, feedback, campaigns, …

`prepare_local_load` connects to the targets and puts the parts together; the result has all of
them and is never half ready.  A process alone makes the whole load; a worker makes its share.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import gevent
from gevent.event import Event

from banksim.measure import Measures
from banksim.measure.results import Account, CapacityFigures, TargetRow
from banksim.model import At
from banksim.report.transaction_log import FILE_NAME, TransactionLog, open_transaction_log
from banksim.run.capacity import Capacity, LocalStage
from banksim.run.connect import Connected, connect, says
from banksim.run.customers import Joiners, NoJoiners, Opening, Past, Register
from banksim.run.dispatcher import ALWAYS, CampaignDriver, Dispatcher, Lease, UserQueues, Wakeup
from banksim.run.executor import DROP_AFTER_S, Executor, RowExecutor
from banksim.run.invariant import BalanceWatch, MovementBooks
from banksim.run.kafka import Brokers, Events
from banksim.run.plan import LiveSimulation, Parts, RunSettings, counting
from banksim.run.process import rare_collections
from banksim.run.reconcile import reconcile
from banksim.run.run import End, Progress, Totals
from banksim.run.sink import (
    ITEMS_PER_SECOND,
    CustomerCounts,
    DebugLines,
    Feed,
    Feedback,
    LastCalls,
    LogLines,
    Sink,
    Tee,
)
from banksim.run.stand_ins import FaultConductor
from banksim.run.timekeeper import Timekeeper
from banksim.schedule.arrivals import WHOLE, Share
from banksim.schedule.simulation import Simulation
from banksim.targets import Call, Targets
from banksim.targets.carrier import ENDED_FIRST, Carrier
from banksim.world import Customer, World

logger = logging.getLogger(__name__)

#: Wall seconds that transactions in flight get to finish after the end, at least.
DRAIN_S = 30.0
#: The same once a signal has asked for the end: whoever sent it (Kubernetes, CI) waits about 30 s in all.
CUT_S = 10.0
#: How often it is looked for arrivals that no user takes.
LATE_EVERY_S = 1.0
#: Both calls of a transaction may time out, the later one after waiting for a free connection.
DRAIN_TIMEOUTS = 3


class Companion(Protocol):
    """Something that goes on next to the load, with an account of its own in results.json."""

    name: str

    def running(self) -> AbstractContextManager[None]:
        """It goes on while this lasts."""

    def figures(self) -> Any:
        """Its account; None where it has none."""


@dataclass(frozen=True, slots=True)
class Role:
    """What part of a run this process plays.  The default is that of a process alone.

    ``addresses`` tells where stand-ins are that another process has started, None where there are
    none; ``registers`` are notified of opened customers.
    """

    share: Share = WHOLE
    lease: Lease = ALWAYS
    registers: tuple[Register, ...] = ()
    addresses: Mapping[str, str] | None = None
    log_name: str = FILE_NAME
    feed_per_second: int = ITEMS_PER_SECOND


ALONE = Role()


@dataclass(frozen=True, slots=True)
class Backlog:
    """What has been handed out and has not ended."""

    queues: UserQueues
    executor: Executor
    rows: Carrier

    @property
    def in_flight(self) -> int:
        """Transactions that wait for a user or a connection, for an answer, or to be counted."""
        return self.queues.waiting + self.executor.in_flight + self.rows.in_flight

    @property
    def waiting(self) -> int:
        """Those that have not begun."""
        return self.queues.waiting + self.rows.waiting

    @property
    def begun(self) -> int:
        """All that have begun so far."""
        return self.queues.taken + self.rows.begun


@dataclass(frozen=True, slots=True)
class Registration:
    """Publishes each customer the bank has opened, and notifies the role's registers."""

    events: Events
    world: World
    others: tuple[Register, ...]

    def opened(self, customer: Customer, sim_s: float) -> None:
        self.events.customer(customer, self.world.timestamp_s(sim_s))
        for register in self.others:
            register.opened(customer, sim_s)


@dataclass(frozen=True, slots=True)
class LocalLoad:
    """One process's part of a run, ready to begin; closes what it has opened when a `with` ends."""

    settings: RunSettings
    plan: Parts
    timekeeper: Timekeeper
    tee: Tee
    measures: Measures
    feed: Feed
    customers: CustomerCounts
    last_calls: LastCalls
    connected: Connected
    events: Events
    queues: UserQueues
    simulation: LiveSimulation
    backlog: Backlog
    dispatcher: Dispatcher
    opening: Progress
    opener: Opening
    past: Past
    joiners: Joiners | NoJoiners
    companions: tuple[Companion, ...]
    logs: tuple[TransactionLog, ...]
    closing: ExitStack
    cut: Event = field(default_factory=Event)

    def __enter__(self) -> LocalLoad:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything that was opened for the run."""
        self.closing.close()

    # -- what is known of it ----------------------------------------------------------------

    @property
    def addresses(self) -> Mapping[str, str]:
        return self.connected.addresses

    @property
    def known_customers(self) -> int:
        """Customers whose accounts at the bank are known here."""
        return self.connected.targets.directory.customer_count

    def target_rows(self) -> list[TargetRow]:
        """How each target does, for the status page; Kafka last."""
        violations = self.measures.balance_checks.violations
        return [*self.connected.rows(self.last_calls.by_target, violations), self.events.status()]

    def shortage_ms(self) -> float:
        """The longest an arrival waited for a busy user since the last call, in ms of wall time."""
        return self.queues.shortage_ms()

    @property
    def capacity(self) -> CapacityFigures | None:
        """How far the search for capacity is."""
        return next((one.figures() for one in self.companions if isinstance(one, Capacity)), None)

    def counted_until(self) -> At:
        return self.timekeeper.now()

    def asked_tps(self, sim_s: float) -> float:
        return self.timekeeper.asked_tps(self.plan.offered, sim_s)

    # -- the line of life -------------------------------------------------------------------

    def open_customers(self, report: Callable[[str], None]) -> None:
        """Open the customers who are there before the run.  Raises BanksimError when none can be."""
        report("Opening customers at the bank")
        first = self.plan.existing_customers
        self.open_some(range(first), first)
        if self.settings.scenario.history_days:
            report("Playing the days before the run")
            self.past.play(self.plan.activity)

    def open_some(self, indices: Iterable[int], total: int) -> None:
        """Open these ``total`` customers, if there is a bank.  Raises BanksimError when none can be."""
        self.opener.open_all(indices, total, lambda text: logger.info("%s", text))

    def begin(self) -> None:
        """Simulated time runs from here on, and what happens is measured."""
        if not self.timekeeper.started:
            self.timekeeper.start(time.monotonic())
        self.tee.add(self.measures)  # not before: calls that open customers are not measured
        self.simulation.join_from(self.timekeeper.now().sim_s)
        logger.info("Transactions are reported to: %s", self.tee)

    def wait(self) -> None:
        """Hand out arrivals until simulated time is over and the last campaign has ended, or `stop`."""
        with ExitStack() as stack:
            stack.enter_context(rare_collections())
            for companion in self.companions:
                stack.enter_context(companion.running())
            late = gevent.spawn(self._keep_dropping_late)
            stack.callback(late.kill)
            self.dispatcher.run()

    def stop(self, end: End) -> None:
        """Offer nothing more; an interruption cuts a drain short."""
        if end is End.INTERRUPTED:
            self.cut.set()
        self.opening.stopped = True
        self.dispatcher.stop()

    def drain(self, end: End) -> None:
        """Wait for everything in flight, within bounds; drop what waits unless the run was completed."""
        self.dispatcher.stop()
        if end is not End.COMPLETED:
            self._drop_waiting()
        timeout_s = self.settings.scenario.connections.timeout_seconds
        until_s = time.monotonic() + max(DRAIN_S, DRAIN_TIMEOUTS * timeout_s)
        while self.backlog.in_flight and time.monotonic() < until_s:
            if self.cut.is_set():
                self._drop_waiting()
                until_s = min(until_s, time.monotonic() + CUT_S)
                self.cut.clear()
            self.drop_late()
            gevent.sleep(0.01)
        self._drop_waiting()
        self.backlog.rows.close()

    def totals(self, report: Callable[[str], None]) -> Totals:
        """What it all came to, after `drain`; waits for the last events, then compares balances."""
        report("Waiting for the last events")
        self.events.drain()
        report("Comparing balances")
        return Totals(
            self.measures,
            reconcile(
                self.measures.books,
                self.connected,
                self.settings.scenario.currency,
                self.settings.scenario.invariant.settle_seconds,
            ),
            self.events.results(),
            replace(
                self.account(), detector=says(self.connected.targets.detector, self.past.detector_before)
            ),
            self.feed.items(),
        )

    def account(self) -> Account:
        """What became of everything besides the counts, for results.json; closes the transaction log."""
        not_made = self._fraud_not_made()
        if any(not_made.values()):
            logger.warning(
                "Planned fraud that was not made: %(missed)d campaigns would have followed after the end, "
                "%(starved)d had no victim left to follow, %(faults)d ended in an error of their typology",
                not_made,
            )
        for log in self.logs:
            log.close()
        account = Account(
            circuits=self.connected.circuits(),
            fraud_not_made=not_made if any(not_made.values()) else None,
            not_opened=self.opener.not_opened(),
            onboarding=self.joiners.counts() if self.plan.onboarding is not None else None,
            transaction_log=self.logs[0].summary() if self.logs else None,
            history=self.past.played,
        )
        accounts = {companion.name: companion.figures() for companion in self.companions}
        return replace(account, **{name: made for name, made in accounts.items() if made is not None})

    def _fraud_not_made(self) -> dict[str, int]:
        """Campaigns that were planned and came to nothing, or to less."""
        program = self.plan.desk
        return {
            "missed": program.missed,
            "starved": program.starved,
            "faults": len(self.simulation.faults),
        }

    def drop_late(self) -> None:
        """An arrival that no user took in time is a drop; a campaign may wait for it."""
        for arrival in self.queues.take_late(time.monotonic() - DROP_AFTER_S):
            arrival.performer.decline(arrival, f"no user took it within {DROP_AFTER_S:.0f} s")

    def _keep_dropping_late(self) -> None:
        while True:
            gevent.sleep(LATE_EVERY_S)
            self.drop_late()

    def _drop_waiting(self) -> None:
        at = self.timekeeper.now()
        for arrival in self.queues.drain():
            self.tee.dropped(at, arrival.planned, ENDED_FIRST)
        self.backlog.rows.drop_waiting(ENDED_FIRST)


def prepare_local_load(
    settings: RunSettings,
    plan: Parts,
    timekeeper: Timekeeper,
    queues: UserQueues,
    brokers: Brokers,
    sinks: Iterable[Sink] = (),
    role: Role = ALONE,
) -> LocalLoad:
    """Connect to the targets of a planned run and put its load together.

    ``sinks`` are those of the host, such as Locust's statistics.  Raises BanksimError when a
    target cannot be reached or started; then nothing stays open.
    """
    scenario = settings.scenario
    with ExitStack() as stack:
        stack.callback(brokers.close)
        measures, last_calls = Measures(counting(scenario)), LastCalls()
        measures.reserve()
        tee = Tee([last_calls, *sinks])

        progress = Progress()

        def observe(call: Call) -> None:
            # The history is in no figure, nor in the host's statistics.
            if timekeeper.started or not progress.history_days:
                tee.called(timekeeper.now(), (call,))

        entered = MovementBooks(measures.books)
        # The process that started the stand-ins also lets their detector decide on Kafka, once for all.
        decides_on = brokers.servers if role.addresses is None else ""
        population = plan.world.population
        connected = connect(
            settings,
            entered,
            observe,
            decides_on,
            role.addresses,
            lambda index: population.customer(index).home,
        )
        stack.callback(connected.close)
        targets = connected.targets
        events = Events(
            brokers,
            scenario.connections.kafka_format,
            targets.directory,
            targets.bank is not None,
            tee,
            timekeeper,
        )
        stack.callback(events.close)
        events.start()
        logs = _logs(settings, role)
        for log in logs:
            stack.callback(log.close)
        simulation: LiveSimulation = Simulation(
            plan, role.share, targets.directory.is_open if targets.bank is not None else None
        )
        wakeup = Wakeup()
        feed = Feed(plan.world, scenario.dashboard.max_feed_items, role.feed_per_second)
        executor = Executor(targets, scenario.flow, tee, timekeeper, events)
        rows = RowExecutor(targets, plan, scenario, tee, timekeeper, events, entered, feed)
        stack.callback(rows.carrier.close)
        backlog = Backlog(queues, executor, rows.carrier)
        register = Registration(events, plan.world, role.registers)
        joiners = (
            Joiners(plan.onboarding, targets.bank, simulation, wakeup, role.share, register)
            if plan.onboarding is not None
            else NoJoiners()
        )
        dispatcher = Dispatcher(
            simulation,
            timekeeper,
            queues,
            executor,
            rows,
            backlog,
            tee,
            joiners,
            wakeup,
            plan.desk,
            measures.planned_fraud,
            role.lease,
        )
        timekeeper.add(dispatcher)
        feedback = _feedback(settings, plan, targets)
        companions: list[Companion] = [
            *_faults(settings, plan, connected),
            *_balance_watch(settings, connected, entered, measures, timekeeper, role),
            *feedback,
        ]
        if scenario.load is not None and role.share.is_whole:  # with workers their master searches
            stage = LocalStage(measures, tee, timekeeper, backlog, dispatcher)
            companions.append(Capacity(scenario.load, stage))
        customers = CustomerCounts(population.size)
        own: list[Sink] = [feed, customers, *(LogLines(log) for log in logs), *feedback]
        if logger.isEnabledFor(logging.DEBUG):
            own.append(DebugLines())
        for sink in (*own, CampaignDriver(simulation, wakeup)):
            tee.add(sink)
        return LocalLoad(
            settings=settings,
            plan=plan,
            timekeeper=timekeeper,
            tee=tee,
            measures=measures,
            feed=feed,
            customers=customers,
            last_calls=last_calls,
            connected=connected,
            events=events,
            queues=queues,
            simulation=simulation,
            backlog=backlog,
            dispatcher=dispatcher,
            opening=progress,
            opener=Opening(targets.bank, plan.world.population, register, progress),
            past=Past(settings, targets, progress),
            joiners=joiners,
            companions=tuple(companions),
            logs=logs,
            closing=stack.pop_all(),
        )


def _logs(settings: RunSettings, role: Role) -> tuple[TransactionLog, ...]:
    if not settings.transaction_log:
        return ()
    return (open_transaction_log(settings.folder, role.log_name),)


def _faults(settings: RunSettings, plan: Parts, connected: Connected) -> list[FaultConductor]:
    """The scenario's faults, where the stand-ins that have them are this process's."""
    if connected.stand_ins is None:
        return []
    return [FaultConductor(settings.scenario.faults, plan.clock, connected.stand_ins)]


def _balance_watch(
    settings: RunSettings,
    connected: Connected,
    entered: MovementBooks,
    measures: Measures,
    timekeeper: Timekeeper,
    role: Role,
) -> list[BalanceWatch]:
    """Only where this process makes the whole load: others' movements are not known here."""
    scenario, bank = settings.scenario, connected.targets.bank
    if bank is None or not scenario.invariant.enabled or not role.share.is_whole:
        return []
    checks = measures.balance_checks
    return [
        BalanceWatch(
            scenario.invariant, entered, bank, connected.ledger, checks, timekeeper, scenario.currency
        )
    ]


def _feedback(settings: RunSettings, plan: Parts, targets: Targets) -> list[Feedback]:
    use = settings.scenario.detector
    if targets.detector is None or not use.feedback:
        return []
    return [Feedback(use, targets.detector, plan.clock, settings.seed)]
