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
from collections.abc import Callable
from typing import Protocol

import gevent
import orjson
from gevent.event import Event

from banksim.measure import Measures
from banksim.model import BanksimError
from banksim.run.feed import ITEMS_PER_SECOND
from banksim.run.kafka import Brokers
from banksim.run.local_load import Generator
from banksim.run.process import ResourceMeter
from banksim.run.queues import Arrival, Seats
from banksim.run.reconcile import reconcile
from banksim.run.run import End, counting
from banksim.run.settings import Mode
from banksim.run.target_status import target_rows
from banksim.run.workers.assignment import AssignedShare, Assignment
from banksim.run.workers.messages import (
    LEASE_S,
    PULSE_S,
    ROWS,
    STATE_S,
    Account,
    Ack,
    Assigned,
    Bye,
    ClockState,
    Directory,
    EndRun,
    Final,
    FromMaster,
    FromWorker,
    Opened,
    Orders,
    Pulse,
    Refused,
    State,
    TargetRow,
    account_of,
    settings_from_wire,
)
from banksim.schedule.clock import Segment
from banksim.targets import Call

logger = logging.getLogger(__name__)


class Uplink(Protocol):
    """A worker's way to its master."""

    def send(self, message: FromWorker) -> None:
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
# are replayed in their order, because every process replans campaigns at each of them, and all
# must come to the same plan.


ROUND_TRIPS_KEPT = 64


class ClockSync:
    """Follows the master's clock from answered pulses and clock messages."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=ROUND_TRIPS_KEPT)
        self._changes_seen = 0
        #: The wall moment of simulated second 0, here.
        self.origin_s = 0.0

    def add(self, at_s: float, master_s: float, now_s: float) -> None:
        """A pulse sent at ``at_s`` was answered at ``master_s`` (there); the answer arrived at ``now_s``."""
        round_trip_s = max(0.0, now_s - at_s)
        self._samples.append((round_trip_s, at_s + round_trip_s / 2 - master_s))

    @property
    def offset_s(self) -> float:
        """What to add to the master's monotonic time; 0 before the first answer."""
        return min(self._samples)[1] if self._samples else 0.0

    def adopt(self, state: ClockState, generator: Generator) -> None:
        """Make the generator's clock and plans what the master's are."""
        segments = [Segment(wall_s + self.offset_s, sim_s, speed) for wall_s, sim_s, speed in state.segments]
        generator.built.clock.follow(state.speed, state.paused, segments)
        if segments:
            self.origin_s = segments[0].wall_s
        for sim_s, speed in state.changes[self._changes_seen :]:
            generator.change_speed(sim_s, speed)
        self._changes_seen = len(state.changes)
        generator.wake()


#: How often and how long the final is sent again until the master says bye.
FINAL_AGAIN_S = 1.0
FINAL_FOR_S = 30.0
POLL_S = 0.05
#: Items a worker's feed takes a second at least, however many workers there are.
LEAST_ITEMS_PER_SECOND = 4


class WorkerRun:
    """One run on this worker."""

    def __init__(
        self, orders: Orders, seat_names: set[str], on_call: Callable[[Call], None], uplink: Uplink
    ) -> None:
        """Raises ScenarioError for a scenario that this version does not understand."""
        self.settings = settings_from_wire(orders.settings)
        self.run_id = self.settings.run_id
        self.number = orders.number
        self.end: End | None = None
        self.finished = Event()
        self.share = AssignedShare(orders.number)
        self.seats = Seats(seat_names)
        self.generator = Generator(
            self.settings,
            self.seats,
            Measures(counting(self.settings.scenario)),
            on_call,
            self.share,
            self._note_opened,
            self.may_offer,
        )
        self.pulse_s, self.state_s = PULSE_S, STATE_S
        self.clock_sync = ClockSync()
        self.prepared = False
        #: Whether simulated time has begun for this worker's load, and whether it makes load now.
        self.begun = False
        self.generating = False
        #: The assignment under which all own customers have been opened.
        self.opened_for = 0
        self._orders = orders
        self._uplink = uplink
        self._reporter = Reporter(self)
        self._kept: list[Callable[[], None]] = []
        self._from_others: set[int] = set()
        self._answered_s = time.monotonic()
        self._changed = Event()
        self._bye = Event()
        self._master_gone = False

    # -- what the users need -----------------------------------------------------------------

    def perform(self, arrival: Arrival) -> None:
        """Carry out an arrival that a user took from its seat."""
        self.generator.perform(arrival)

    def may_offer(self) -> bool:
        """Whether the master has answered lately enough for this worker's share to be its own."""
        return time.monotonic() - self._answered_s < LEASE_S

    # -- messages of the master --------------------------------------------------------------

    def hear(self, message: FromMaster) -> None:
        """A message of this run.  Returns at once."""
        match message:
            case Ack():
                self._take_ack(message)
            case Assigned():
                self._take_assignment(message)
            case ClockState():
                self._when_generator_is_ready(lambda: self.clock_sync.adopt(message, self.generator))
            case Directory():
                self._take_directory(message)
            case EndRun():
                self._take_end(message)
            case Bye():
                self._bye.set()
        self._changed.set()

    def request_end(self, end: End) -> None:
        """Offer nothing more, drain and send the final.  Returns at once; wait for `finished`."""
        if self.end is None and not self.finished.is_set():
            self.end = end
            self.generator.stop()
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
            self.generator.close()
            self.finished.set()

    def _live(self) -> None:
        self._prepare()
        if self._wait_for_the_start():
            self._simulate()
        self.generator.drain(drop_waiting=self.end is not None)
        self.generator.end()
        if self.generator.events is not None:
            self.generator.events.drain()
        self._send_final()

    def _prepare(self) -> None:
        orders, generator = self._orders, self.generator
        log_name = f"transactions-{self.number}.csv" if self.settings.transaction_log else ""
        budget = max(LEAST_ITEMS_PER_SECOND, ITEMS_PER_SECOND // max(1, orders.workers))
        brokers = orders.brokers
        found = Brokers(brokers.servers, brokers.wanted, brokers.asked_for, brokers.reason)
        generator.prepare(found, log_name, budget, orders.addresses)
        for action in self._kept:
            action()
        self._kept.clear()
        if self.settings.mode is Mode.DRY_RUN:  # its own bank must know every customer
            generator.open_customers(range(generator.existing_customers), generator.existing_customers)
        while len(self._from_others) < orders.directory and self.end is None:
            self._wait()
        self.prepared = True

    def _wait_for_the_start(self) -> bool:
        """Open customers of each assignment until simulated time begins; False when the run ends first."""
        clock = self.generator.built.clock
        while self.end is None:
            if clock.started and self.share.number:
                return True
            if self.share.number > self.opened_for and not clock.started:
                self._open_mine(self.share.number)
            self._wait()
        return False

    def _open_mine(self, assignment: int) -> None:
        generator = self.generator
        if self.settings.mode is not Mode.DRY_RUN:
            assert generator.simulation is not None
            known = generator.simulation.may_act
            mine = [
                index
                for index in range(generator.existing_customers)
                if self.share.has_customer(index) and not known(index)
            ]
            generator.open_customers(mine, len(mine))
        self._reporter.report_opened()
        self.opened_for = assignment

    def _simulate(self) -> None:
        self.generator.begin(self.clock_sync.origin_s)
        self.begun = True
        logger.info("Transaction generation started: %.1f %% of the load", 100 * self.share.part)
        self.generating = True
        try:
            self.generator.generate()
        finally:
            self.generating = False

    def _send_final(self) -> None:
        generator = self.generator
        account = generator.account()
        if generator.connected is not None and self.settings.mode is Mode.DRY_RUN:
            currency = self.settings.scenario.currency
            account["reconciliation"] = reconcile(generator.measures.books, generator.connected, currency)
        final = self._reporter.final(account_of(str(self.end or End.COMPLETED), account))
        until_s = time.monotonic() + FINAL_FOR_S
        while not self._bye.is_set() and time.monotonic() < until_s:
            self.send(final)
            self._bye.wait(FINAL_AGAIN_S)
        if self._master_gone or not self._bye.is_set():
            logger.error("The master did not take this worker's last figures; the run's report lacks them")

    # -- assignments and customers --------------------------------------------------------------

    def _take_ack(self, ack: Ack) -> None:
        self.clock_sync.add(ack.at_s, ack.master_s, time.monotonic())
        self._answered_s = max(self._answered_s, ack.at_s)
        self.pulse_s, self.state_s = ack.pulse_s, ack.state_s

    def _take_assignment(self, assigned: Assigned) -> None:
        assignment = Assignment.from_message(assigned)
        if not self.share.begin(assignment):
            return
        logger.debug("Assignment %d: %.1f %% of the customers", assignment.number, 100 * self.share.part)
        generator = self.generator
        if generator.simulation is None:
            return
        generator.simulation.change_share(generator.moment().sim_s)
        if assignment.lost and generator.built.clock.started:
            generator.simulation.join_from(min(assignment.lost.values()))
        generator.wake()

    def _take_directory(self, directory: Directory) -> None:
        self._from_others.update(index for index, _, _ in directory.rows)
        self._when_generator_is_ready(lambda: self._enter(directory))

    def _take_end(self, message: EndRun) -> None:
        self.request_end(End(message.end))

    def _enter(self, directory: Directory) -> None:
        """Remember customers that other workers have opened."""
        connected, joiners = self.generator.connected, self.generator.joiners
        if connected is None:
            return
        known = connected.targets.directory
        for index, customer_id, accounts in directory.rows:
            if not known.is_open(index):
                known.add(index, customer_id, accounts)
        if directory.joined and joiners is not None:
            joiners.joined_elsewhere(index for index, _, _ in directory.rows)

    def _when_generator_is_ready(self, action: Callable[[], None]) -> None:
        """Now, or as soon as the generator is prepared."""
        if self.generator.dispatcher is not None and not self._kept:
            action()
        else:
            self._kept.append(action)

    def _note_opened(self, index: int) -> None:
        if self.settings.mode is not Mode.DRY_RUN:
            self._reporter.note_opened(index)

    # -- reporting ----------------------------------------------------------------------------

    def send(self, message: FromWorker) -> None:
        self._uplink.send(message)

    def _refuse(self, reason: str) -> None:
        logger.error("This worker cannot take part in the run: %s", reason)
        self.send(Refused(run=self.run_id, reason=reason))

    def _wait(self) -> None:
        self._changed.wait(POLL_S)
        self._changed.clear()


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
        self._opened_told = 0
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
            if now_s - self._stated_s >= self._run.state_s and self._run.generator.parts is not None:
                self._stated_s = now_s
                self._run.send(self._state())
            gevent.sleep(self._run.pulse_s)

    def note_opened(self, index: int) -> None:
        """A customer was opened; reported with the next pulse."""
        self._opened.append(index)

    def report_opened(self) -> None:
        """Report the customers opened since the last time; again those whose message was cut off."""
        connected = self._run.generator.connected
        while self._opened_told < len(self._opened) and connected is not None:
            first = self._opened_told
            indices = self._opened[first : first + ROWS]
            found = ((index, connected.targets.directory.row(index)) for index in indices)
            rows = [(index, *row) for index, row in found if row is not None]
            self._run.send(Opened(run=self._run.run_id, rows=rows, joined=self._run.begun))
            self._opened_told = max(self._opened_told, first + len(indices))

    def final(self, account: Account) -> Final:
        """The last message of this worker: everything, with the books."""
        self.report_opened()
        return Final(
            run=self._run.run_id,
            seq=self._next_seq(),
            wall_s=self._run.generator.moment()[0],
            counts=self._counts(0.0, books=True),
            account=account,
        )

    def _pulse(self) -> Pulse:
        run, generator = self._run, self._run.generator
        opening = generator.opening
        feed = generator.feed.since(self._next_item) if generator.feed is not None else None
        if feed is not None:
            self._next_item = feed["next"]
        return Pulse(
            run=run.run_id,
            at_s=time.monotonic(),
            prepared=run.prepared,
            opened_done=opening.done if opening is not None else 0,
            opened_total=opening.total if opening is not None else 0,
            opened_for=run.opened_for,
            known=generator.connected.targets.directory.customer_count if generator.connected else 0,
            in_flight=generator.measures.tally.in_flight,
            shortage_ms=run.seats.shortage_ms(),
            cpu_percent=self._cpu_percent,
            rss_bytes=self._rss_bytes,
            seen=generator.feed.seen if generator.feed is not None else 0,
            items=feed["items"] if feed is not None else [],
        )

    def _meter_process(self) -> None:
        """Read what this process uses; a pause stays a gap in the timeline."""
        generator = self._run.generator
        self._cpu_percent, self._rss_bytes, network_bytes_s = self._meter.read()
        at = generator.moment()
        if self._run.generating and generator.built.asked_tps(at.sim_s) > 0:
            generator.measures.resources(at, self._cpu_percent, self._rss_bytes, network_bytes_s)

    def _state(self) -> State:
        wall_s, from_s = self._run.generator.moment()[0], self._timeline_from_s
        self._timeline_from_s = max(0.0, wall_s - OVERLAP_S)
        return State(
            run=self._run.run_id,
            seq=self._next_seq(),
            wall_s=wall_s,
            from_s=from_s,
            counts=self._counts(from_s, books=False),
            targets=[TargetRow(**row) for row in target_rows(self._run.generator)],
        )

    def _next_seq(self) -> int:
        self._sequence += 1
        return self._sequence

    def _counts(self, timeline_from_s: float, books: bool) -> bytes:
        generator = self._run.generator
        measures = generator.measures.to_state(timeline_from_s, books=books)
        kafka = generator.events.figures.to_state() if generator.events is not None else None
        return orjson.dumps({"measures": measures, "kafka": kafka}, option=orjson.OPT_NON_STR_KEYS)
