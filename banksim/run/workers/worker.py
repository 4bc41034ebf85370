"""One worker's part of a run: prepare, take a share, make its load, report, send the final.

    orders ─► prepare ─► assignments: open own customers ─► clock: generate ─► drain ─► final ─► bye

The worker decides nothing: who owns what, the time and the end of the run come from the master.
Without an answer from the master for `LEASE_S` it offers nothing, since other workers may have its
share by then; a process that was stopped for a while wakes up silent.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import gevent
import orjson
from gevent.event import Event

from banksim.measure.figures import Reconciliation
from banksim.model import BanksimError
from banksim.run.capacity import StepCounter, unfinished
from banksim.run.dispatcher import UserQueues
from banksim.run.kafka import Brokers
from banksim.run.local_load import LocalLoad, Role, prepare_local_load
from banksim.run.plan import Mode, Parts, build_parts
from banksim.run.process import ResourceMeter, in_thread
from banksim.run.reconcile import reconcile
from banksim.run.run import End, NoLoad
from banksim.run.sink import ITEMS_PER_SECOND, Sink
from banksim.run.timekeeper import Timekeeper
from banksim.run.workers import messages
from banksim.run.workers.members import AssignedShare, Assignment, slot_of_customer
from banksim.schedule.clock import Clock, Segment
from banksim.world import Customer

logger = logging.getLogger(__name__)


class Uplink(Protocol):
    """A worker's way to its master."""

    def send(self, message: messages.FromWorker) -> None:
        """Returns at once; what cannot be sent is dropped."""


# -- The master's clock as a worker sees it ---------------------------------------------------------
#
#     worker  ──at_s──────────────────now_s──►      offset = at_s + round trip ÷ 2 − master_s
#                  ╲              ╱
#     master  ──────────master_s────────────►
#
# The quickest of the last round trips is believed: its error is at most half of it.  On one machine
# both clocks are the same, and what is left is the noise of some 0.1 ms.
#
# The master's segments are turned into this process's wall time and adopted whole, so a message
# that comes late changes nothing: afterwards the clock is what it would have been.  Changes of speed
# and rate are replayed in their order, because every process replans campaigns at each of them, and
# all must come to the same plan.


ROUND_TRIPS_KEPT = 64


class ClockSync:
    """Follows the master's clock from answered pulses and clock messages."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=ROUND_TRIPS_KEPT)

    def add(self, at_s: float, master_s: float, now_s: float) -> None:
        """A pulse sent at ``at_s`` was answered at ``master_s`` (there); the answer arrived at ``now_s``."""
        round_trip_s = max(0.0, now_s - at_s)
        self._samples.append((round_trip_s, at_s + round_trip_s / 2 - master_s))

    @property
    def offset_s(self) -> float:
        """What to add to the master's monotonic time; 0 before the first answer."""
        return min(self._samples)[1] if self._samples else 0.0

    def adopt(self, state: messages.ClockState, timekeeper: Timekeeper) -> None:
        """Make this process's time what the master's is."""
        segments = [Segment(wall_s + self.offset_s, sim_s, speed) for wall_s, sim_s, speed in state.segments]
        timekeeper.follow(state.speed, state.paused, segments, state.changes)


#: How often and how long the final is sent again until the master says bye.
FINAL_AGAIN_S = 1.0
FINAL_FOR_S = 30.0
POLL_S = 0.05
#: Items a worker's feed takes a second at least, however many workers there are.
LEAST_ITEMS_PER_SECOND = 4


class WorkerRun:
    """One run on this worker."""

    def __init__(
        self, orders: messages.Orders, queues: UserQueues, sinks: Sequence[Sink], uplink: Uplink
    ) -> None:
        """Raises ScenarioError for a scenario that this version does not understand."""
        self.settings = messages.settings_from_wire(orders.settings)
        self.run_id = self.settings.run_id
        self.number = orders.number
        self.end: End | None = None
        self.finished = Event()
        self.share = AssignedShare(orders.number)
        self.queues = queues
        self.timekeeper = Timekeeper(Clock(self.settings.scenario.duration_s, self.settings.speed))
        self.load: LocalLoad | NoLoad = NoLoad(self.settings)
        self.steps: StepCounter | None = None
        self.pulse_s, self.state_s = messages.PULSE_S, messages.STATE_S
        self.clock_sync = ClockSync()
        self.prepared = False
        #: Whether simulated time has begun for this worker's load, and whether it makes load now.
        self.begun = False
        self.generating = False
        #: The assignment under which all own customers have been opened.
        self.opened_for = 0
        self._orders = orders
        self._sinks = sinks
        self._uplink = uplink
        self._reporter = Reporter(self)
        self._kept: list[Callable[[LocalLoad], None]] = []
        self._from_others: set[int] = set()
        #: Who plays the history of which customers; None until it is to be played.
        self._owners: Sequence[int] | None = None
        self.history_played = False
        self._answered_s = time.monotonic()
        self._changed = Event()
        self._bye = Event()
        self._master_gone = False

    def may_offer(self) -> bool:
        """Whether the master has answered lately enough for this worker's share to be its own."""
        return time.monotonic() - self._answered_s < messages.LEASE_S

    # -- messages of the master --------------------------------------------------------------

    def hear(self, message: messages.FromMaster) -> None:
        """A message of this run.  Returns at once."""
        match message:
            case messages.Ack():
                self._take_ack(message)
            case messages.Assigned():
                self._take_assignment(message)
            case messages.ClockState():
                self._once_prepared(lambda load: self.clock_sync.adopt(message, load.timekeeper))
            case messages.Directory():
                self._take_directory(message)
            case messages.PlayHistory():
                self._owners = self.share.assignments[-1].table
            case messages.EndRun():
                self._take_end(message)
            case messages.Bye():
                self._bye.set()
        self._changed.set()

    def request_end(self, end: End) -> None:
        """Offer nothing more, drain and send the final.  Returns at once; wait for `finished`."""
        if not self.finished.is_set() and (self.end is None or end is End.INTERRUPTED):
            self.load.stop(end)
            self.end = self.end or end
            self._changed.set()

    def abandon(self) -> None:
        """The master is gone: end, and do not wait for it to take the final."""
        self._master_gone = True
        self._bye.set()
        self.request_end(End.FAILED)

    # -- the line of life ---------------------------------------------------------------------

    def conduct(self) -> None:
        """Live the whole run; returns when it is finished.  A failure is reported to the master."""
        reporting = gevent.spawn(self._reporter.run)
        try:
            self._live()
        except BanksimError as error:
            self._refuse(str(error))
        except Exception as error:
            logger.exception("the run failed")
            self._refuse(f"{type(error).__name__}: {error}")
        finally:
            reporting.kill()
            self.finished.set()

    def _live(self) -> None:
        settings = self.settings
        plan = in_thread(
            lambda: build_parts(settings.scenario, settings.seed, settings.speed, self.share.shard)
        )
        self.timekeeper = Timekeeper(plan.clock)
        with self._prepare(plan) as load:
            self._open_all(load)
            if self._wait_for_the_start(load):
                self._simulate(load)
            load.drain(self.end or End.COMPLETED)
            self.timekeeper.end()
            load.events.drain()
            self._send_final(load)

    def _prepare(self, plan: Parts) -> LocalLoad:
        orders = self._orders
        brokers = orders.brokers
        role = Role(
            share=self.share,
            lease=self,
            # In a dry run every worker has a bank of its own, and nothing to report of it.
            registers=() if self.settings.mode is Mode.DRY_RUN else (self._reporter,),
            addresses=orders.addresses,
            log_name=f"transactions-{self.number}.csv",
            feed_per_second=max(LEAST_ITEMS_PER_SECOND, ITEMS_PER_SECOND // max(1, orders.workers)),
        )
        found = Brokers(brokers.servers, brokers.wanted, brokers.asked_for, brokers.reason)
        load = prepare_local_load(self.settings, plan, self.timekeeper, self.queues, found, self._sinks, role)
        self.load = load
        if self.settings.scenario.load is not None:
            self.steps = StepCounter(load.tee, load.measures.settings)
            self.timekeeper.add(self.steps)
        for action in self._kept:
            action(load)
        self._kept.clear()
        if self.end is not None:
            load.stop(self.end)
        return load

    def _open_all(self, load: LocalLoad) -> None:
        """Open what must be there before this worker can take a share."""
        if self.settings.mode is Mode.DRY_RUN:  # its own bank must know every customer
            load.open_some(range(load.plan.existing_customers), load.plan.existing_customers)
        orders = self._orders
        while len(self._from_others) < orders.directory and self.end is None:
            self._wait()
        self.prepared = True

    def _wait_for_the_start(self, load: LocalLoad) -> bool:
        """Open customers of each assignment until simulated time begins; False when the run ends first."""
        while self.end is None:
            if self.timekeeper.started and self.share.number:
                return True
            if self.share.number > self.opened_for and not self.timekeeper.started:
                self._open_mine(load, self.share.number)
            if self._owners is not None and not self.history_played:
                self._play_history(load, self._owners)
            self._wait()
        return False

    def _play_history(self, load: LocalLoad, owners: Sequence[int]) -> None:
        load.past.play(load.plan.activity, lambda index: owners[slot_of_customer(index)] == self.number)
        self.history_played = True

    def _open_mine(self, load: LocalLoad, assignment: int) -> None:
        if self.settings.mode is not Mode.DRY_RUN:
            known = load.simulation.may_act
            mine = [
                index
                for index in range(load.plan.existing_customers)
                if self.share.has_customer(index) and not known(index)
            ]
            load.open_some(mine, len(mine))
        self._reporter.report_opened()
        self.opened_for = assignment

    def _simulate(self, load: LocalLoad) -> None:
        load.begin()
        self.begun = True
        logger.info("Transaction generation started: %.1f %% of the load", 100 * self.share.part)
        self.generating = True
        try:
            load.wait()
        finally:
            self.generating = False

    def _send_final(self, load: LocalLoad) -> None:
        found, currency = None, self.settings.scenario.currency
        if self.settings.mode is Mode.DRY_RUN:
            found = reconcile(load.measures.books, load.connected, currency)
        final = self._reporter.final(load, self.end or End.COMPLETED, found)
        until_s = time.monotonic() + FINAL_FOR_S
        while not self._bye.is_set() and time.monotonic() < until_s:
            self.send(final)
            self._bye.wait(FINAL_AGAIN_S)
        if self._master_gone or not self._bye.is_set():
            logger.error("The master did not take this worker's last figures; the run's report lacks them")

    # -- assignments and customers --------------------------------------------------------------

    def _take_ack(self, ack: messages.Ack) -> None:
        self.clock_sync.add(ack.at_s, ack.master_s, time.monotonic())
        self._answered_s = max(self._answered_s, ack.at_s)
        self.pulse_s, self.state_s = ack.pulse_s, ack.state_s

    def _take_assignment(self, assigned: messages.Assigned) -> None:
        assignment = Assignment.from_message(assigned)
        if not self.share.begin(assignment):
            return
        logger.debug("Assignment %d: %.1f %% of the customers", assignment.number, 100 * self.share.part)
        if isinstance(self.load, NoLoad):
            return  # the simulation will begin with this share
        simulation = self.load.simulation
        simulation.change_share(self.timekeeper.now().sim_s)
        if assignment.lost and self.timekeeper.started:
            simulation.join_from(min(assignment.lost.values()))
        self.load.dispatcher.clock_changed()

    def _take_directory(self, directory: messages.Directory) -> None:
        self._from_others.update(index for index, _, _ in directory.rows)
        self._once_prepared(lambda load: _enter(directory, load))

    def _take_end(self, message: messages.EndRun) -> None:
        self.request_end(End(message.end))

    def _once_prepared(self, action: Callable[[LocalLoad], None]) -> None:
        """Now, or as soon as the load is prepared."""
        if isinstance(self.load, NoLoad) or self._kept:
            self._kept.append(action)
        else:
            action(self.load)

    # -- reporting ----------------------------------------------------------------------------

    def send(self, message: messages.FromWorker) -> None:
        self._uplink.send(message)

    def _refuse(self, reason: str) -> None:
        logger.error("This worker cannot take part in the run: %s", reason)
        self.send(messages.Refused(run=self.run_id, reason=reason))

    def _wait(self) -> None:
        self._changed.wait(POLL_S)
        self._changed.clear()


def _enter(directory: messages.Directory, load: LocalLoad) -> None:
    """Remember customers that other workers have opened."""
    known = load.connected.targets.directory
    for index, customer_id, accounts in directory.rows:
        if not known.is_open(index):
            known.add(index, customer_id, accounts)
    if directory.joined:
        load.joiners.joined_elsewhere(index for index, _, _ in directory.rows)


# -- What a worker reports: pulses, states, opened customers, the final -----------------------------
#
# Counts are cumulative, so the newest state is all that matters.  Only the timeline travels in
# parts: a state holds the stretches since a little before the last one, the final all of them.


#: Stretches of the timeline that are sent again, in case they were not finished, in wall seconds.
OVERLAP_S = 3.0
#: How often the process's own CPU and memory are read.
METER_S = 1.0


class Reporter:
    """Sends a worker's reports to the master."""

    def __init__(self, run: WorkerRun) -> None:
        self._run = run
        self._meter = ResourceMeter()
        self._cpu_percent, self._rss_bytes = 0.0, 0.0
        self._metered_s = 0.0
        self._opened: list[int] = []
        self._opened_reported = 0
        self._next_item = 0
        self._sequence = 0
        self._stated_s = 0.0
        self._timeline_from_s = 0.0

    def run(self) -> None:
        """Report until killed."""
        while True:
            self.report_opened()
            self._run.send(self._pulse())
            now_s = time.monotonic()
            if now_s - self._metered_s >= METER_S:
                self._metered_s = now_s
                self._meter_process()
            load = self._run.load
            if now_s - self._stated_s >= self._run.state_s and not isinstance(load, NoLoad):
                self._stated_s = now_s
                self._run.send(self._state(load))
            gevent.sleep(self._run.pulse_s)

    def opened(self, customer: Customer, sim_s: float) -> None:  # noqa: ARG002 - when does not matter
        """A customer was opened; reported with the next pulse."""
        self._opened.append(customer.index)

    def report_opened(self) -> None:
        """Report the customers opened since the last time; again those whose message was cut off."""
        load = self._run.load
        while self._opened_reported < len(self._opened) and not isinstance(load, NoLoad):
            first = self._opened_reported
            indices = self._opened[first : first + messages.ROWS]
            found = ((index, load.connected.targets.directory.row(index)) for index in indices)
            rows = [(index, *row) for index, row in found if row is not None]
            self._run.send(messages.Opened(run=self._run.run_id, rows=rows, joined=self._run.begun))
            self._opened_reported = max(self._opened_reported, first + len(indices))

    def final(self, load: LocalLoad, end: End, reconciliation: Reconciliation | None) -> messages.Final:
        """The last message of this worker: everything, with the books."""
        account = load.account()
        self.report_opened()
        return messages.Final(
            run=self._run.run_id,
            seq=self._next_seq(),
            wall_s=self._run.timekeeper.now().wall_s,
            counts=_counts(load, 0.0, books=True),
            end=str(end),
            account=account,
            reconciliation=reconciliation,
        )

    def _pulse(self) -> messages.Pulse:
        run, load = self._run, self._run.load
        feed = load.feed.since(self._next_item)
        self._next_item = feed.next
        return messages.Pulse(
            run=run.run_id,
            at_s=time.monotonic(),
            prepared=run.prepared,
            opened_done=load.opening.done,
            opened_total=load.opening.total,
            opened_for=run.opened_for,
            history_played=run.history_played,
            known=load.known_customers,
            shortage_ms=run.queues.shortage_ms(),
            cpu_percent=self._cpu_percent,
            rss_bytes=self._rss_bytes,
            seen=load.feed.seen,
            items=feed.items,
        )

    def _meter_process(self) -> None:
        """Read what this process uses; a pause stays a gap in the timeline."""
        load = self._run.load
        self._cpu_percent, self._rss_bytes, network_bytes_s = self._meter.read()
        at = self._run.timekeeper.now()
        if self._run.generating and not isinstance(load, NoLoad) and load.asked_tps(at.sim_s) > 0:
            load.measures.resources(at, self._cpu_percent, self._rss_bytes, network_bytes_s)

    def _state(self, load: LocalLoad) -> messages.State:
        wall_s, from_s = self._run.timekeeper.now().wall_s, self._timeline_from_s
        self._timeline_from_s = max(0.0, wall_s - OVERLAP_S)
        return messages.State(
            run=self._run.run_id,
            seq=self._next_seq(),
            wall_s=wall_s,
            from_s=from_s,
            counts=_counts(load, from_s, books=False),
            targets=load.target_rows(),
            step=self._step(load),
        )

    def _step(self, load: LocalLoad) -> messages.StepCounts | None:
        """A step of a search for capacity, once the clock stands still."""
        steps, clock = self._run.steps, self._run.timekeeper.clock
        if steps is None or steps.step is None or not clock.paused:
            return None
        counts = orjson.dumps(steps.step.to_state(books=False), option=orjson.OPT_NON_STR_KEYS)
        return messages.StepCounts(len(clock.segments), unfinished(load.backlog, load.dispatcher), counts)

    def _next_seq(self) -> int:
        self._sequence += 1
        return self._sequence


def _counts(load: LocalLoad, timeline_from_s: float, books: bool) -> bytes:
    measures = load.measures.to_state(timeline_from_s, books=books)
    kafka = load.events.figures.to_state()
    return orjson.dumps({"measures": measures, "kafka": kafka}, option=orjson.OPT_NON_STR_KEYS)
