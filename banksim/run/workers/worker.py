"""A run as one worker lives it: prepare, take a share, make its load, report, send the final.

    run ─► prepare ─► ready ─► epochs: open my customers ─► clock: generate ─► drain ─► final ─► bye

The worker decides nothing: who owns what, what time it is and when the run ends comes from
the master.  Without an answer from the master for `LEASE_S` it offers nothing, since others may
have taken over by then; a process that was stopped for a while wakes up silent.

A pulse is small and goes out several times a second: {at_s, phase, opened [done, total],
opened_epoch, known, tally, waiting, shortage_ms, cpu_percent, rss_bytes, seen, items}.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
import orjson
from gevent.event import Event

from banksim.measure import Measures
from banksim.measure.results import encode
from banksim.model import BanksimError
from banksim.run.feed import ITEMS_PER_SECOND
from banksim.run.kafka import Brokers
from banksim.run.local_load import Generator
from banksim.run.monitor import History, Narrator
from banksim.run.process import ResourceMeter
from banksim.run.queues import Arrival, Seats
from banksim.run.reconcile import reconcile
from banksim.run.run import End, counting
from banksim.run.settings import Mode
from banksim.run.target_status import target_rows
from banksim.run.workers.assignment import Epoch, EpochShare
from banksim.run.workers.messages import (
    LEASE_S,
    PULSE_S,
    STATE_S,
    Message,
    Offset,
    segments_from_wire,
    settings_from_wire,
)
from banksim.targets import Call

logger = logging.getLogger(__name__)

# -- What a worker tells its master while it works: pulses, states, opened customers, the final -----
#
# Counts are cumulative, so the newest state is all that matters.  Only the timeline travels in
# parts: a state holds the stretches since a little before the last one, the final all of them.


#: Stretches of the timeline that are sent again, in case they were not finished, in wall seconds.
OVERLAP_S = 3.0
#: Customers in one message.
ROWS = 1000
#: How often the process's own CPU and memory are read.
METER_S = 1.0


class Reporter:
    """Speaks for one `WorkerRun`."""

    def __init__(self, run: WorkerRun) -> None:
        self._run = run
        self._meter = ResourceMeter()
        self._use = (0.0, 0.0, 0.0)
        self._metered_s = 0.0
        self._opened: list[int] = []
        self._next_item = 0
        self._sequence = 0
        self._stated_s = 0.0
        self._timeline_from_s = 0.0

    def run(self) -> None:
        """Tell until it is killed."""
        while True:
            self.tell_opened()
            self._run.tell("pulse", **self._pulse())
            now_s = time.monotonic()
            if now_s - self._stated_s >= self._run.state_s:
                self._stated_s = now_s
                self._tell_state()
            gevent.sleep(self._run.pulse_s)

    def note_opened(self, index: int) -> None:
        """A customer was opened; told with the next pulse."""
        self._opened.append(index)

    def tell_opened(self) -> None:
        """Tell the customers opened since the last time."""
        connected = self._run.generator.connected
        while self._opened and connected is not None:
            indices, self._opened = self._opened[:ROWS], self._opened[ROWS:]
            found = ((index, connected.targets.directory.row(index)) for index in indices)
            rows = [[index, *row] for index, row in found if row is not None]
            self._run.tell("opened", rows=rows, joined=self._run.phase in ("running", "draining"))

    def final(self, extras: dict[str, Any]) -> Message:
        """The last message of this worker: everything, with the books."""
        self.tell_opened()
        state = self._state(books=True, timeline_from_s=0.0)
        return {"kind": "final", "run": self._run.run_id, **state, "extras": orjson.dumps(extras)}

    def _pulse(self) -> dict[str, Any]:
        run, generator = self._run, self._run.generator
        now_s = time.monotonic()
        if now_s - self._metered_s >= METER_S:
            self._metered_s, self._use = now_s, self._meter.read()
        opening = generator.opening
        feed = generator.feed.since(self._next_item) if generator.feed is not None else None
        if feed is not None:
            self._next_item = feed["next"]
        return {
            "at_s": now_s,
            "phase": run.phase,
            "opened": [opening.done, opening.total] if opening is not None else [0, 0],
            "opened_epoch": run.opened_epoch,
            "known": generator.connected.targets.directory.customer_count if generator.connected else 0,
            "tally": generator.measures.tally.to_state(),
            "waiting": run.seats.waiting,
            "shortage_ms": run.seats.shortage_ms(),
            "cpu_percent": self._use[0],
            "rss_bytes": self._use[1],
            "sim_s": generator.moment()[1],
            "seen": generator.feed.seen if generator.feed is not None else 0,
            "items": feed["items"] if feed is not None else [],
        }

    def _tell_state(self) -> None:
        if self._run.generator.parts is None:
            return
        wall_s = self._run.generator.moment()[0]
        state = self._state(books=False, timeline_from_s=self._timeline_from_s)
        self._timeline_from_s = max(0.0, wall_s - OVERLAP_S)
        self._run.tell("state", **state, targets=target_rows(self._run.generator))

    def _state(self, books: bool, timeline_from_s: float) -> dict[str, Any]:
        generator = self._run.generator
        self._sequence += 1
        measures = generator.measures.to_state(timeline_from_s, books=books)
        kafka = generator.events.figures.to_state() if generator.events is not None else None
        return {
            "seq": self._sequence,
            "wall_s": generator.moment()[0],
            "from_s": timeline_from_s,
            "state": orjson.dumps({"measures": measures, "kafka": kafka}, option=orjson.OPT_NON_STR_KEYS),
        }


# -- Following the master's clock: simulated time, pauses and changes of speed on a worker ----------
#
# The master's segments are turned into this process's wall time and taken over whole, so a
# message that comes late changes nothing: the clock says afterwards what it would have said.
# Changes of speed are replayed in their order, because every process plans campaigns anew at
# each of them and all must come to the same plan.
#
# Before the load of this worker is prepared, messages are only kept.


class Following:
    """The levers of a worker's generator, in the hands of the master."""

    def __init__(self, generator: Generator, offset: Offset) -> None:
        self._generator = generator
        self._offset = offset
        self._is_ready = False
        self._kept: list[Callable[[], None]] = []
        self._changes_seen = 0
        #: The wall moment of simulated second 0, here.
        self.origin_s = 0.0

    @property
    def started(self) -> bool:
        """Whether simulated time has begun (or begins in a moment)."""
        return self._generator.parts is not None and self._generator.parts.clock.started

    def ready(self) -> None:
        """The generator is prepared: take over what was kept."""
        self._is_ready = True
        for action in self._kept:
            action()
        self._kept.clear()

    def when_ready(self, action: Callable[[], None]) -> None:
        """Now, or as soon as the generator is prepared."""
        if self._is_ready:
            action()
        else:
            self._kept.append(action)

    def adopt(self, message: Message) -> None:
        """A "clock" message."""
        self.when_ready(lambda: self._adopt(message))

    def _adopt(self, message: Message) -> None:
        generator = self._generator
        assert generator.dispatcher is not None
        segments = segments_from_wire(message["segments"], self._offset.offset_s)
        generator.built.clock.follow(message["speed"], message["paused"], segments)
        if segments:
            self.origin_s = segments[0].wall_s
        for sim_s, speed in message["changes"][self._changes_seen :]:
            generator.dispatcher.change_speed(sim_s, speed)
        self._changes_seen = len(message["changes"])
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
        self,
        orders: Mapping[str, Any],
        number: int,
        seat_names: set[str],
        on_call: Callable[[Call], None],
        send: Callable[[Message], None],
    ) -> None:
        """``orders`` is the master's "run" message.  Raises ScenarioError for a scenario unknown here."""
        self.settings = settings_from_wire(orders["settings"])
        self.run_id = self.settings.run_id
        self.number = number
        self.end: End | None = None
        self.finished = Event()
        self.offset = Offset()
        self.share = EpochShare(number)
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
        self.phase = "preparing"
        self.opened_epoch = 0
        self._orders = orders
        self._send = send
        self._following = Following(self.generator, self.offset)
        self._reporter = Reporter(self)
        self._directory_size = 0
        self._answered_s = time.monotonic()
        self._changed = Event()
        self._bye = Event()

    # -- what the users need -----------------------------------------------------------------

    def perform(self, arrival: Arrival) -> None:
        """Carry out an arrival that a user took from its seat."""
        self.generator.perform(arrival)

    def may_offer(self) -> bool:
        """Whether the master has answered lately enough for this worker's share to be its own."""
        return time.monotonic() - self._answered_s < LEASE_S

    # -- what the master says ----------------------------------------------------------------

    def hear(self, message: Message) -> None:
        """A message of this run.  Returns at once."""
        match message["kind"]:
            case "ack":
                self.offset.add(message["at_s"], message["master_s"], time.monotonic())
                self._answered_s = max(self._answered_s, message["at_s"])
                self.pulse_s, self.state_s = message["pulse_s"], message["state_s"]
            case "epoch":
                self._begin_epoch(Epoch.from_wire(message["epoch"]))
            case "clock":
                self._following.adopt(message)
            case "directory":
                self._learn(message["rows"], message["joined"])
            case "end":
                self.request_end(End(message["end"]))
            case "bye":
                self._bye.set()
        self._changed.set()

    def request_end(self, end: End) -> None:
        """Offer nothing more, drain and send the final.  Returns at once; wait for `finished`."""
        if self.end is None and not self.finished.is_set():
            self.end = end
            self.generator.stop()
            self._changed.set()

    # -- the line of life ---------------------------------------------------------------------

    def conduct(self) -> None:
        """Live the whole run; returns when it is finished.  A failure is told to the master."""
        telling = gevent.spawn(self._reporter.run)
        try:
            self._live()
        except BanksimError as error:
            self._refuse(str(error))
        except Exception as error:
            logger.exception("the run failed")
            self._refuse(f"{type(error).__name__}: {error}")
        finally:
            telling.kill()
            self.generator.close()
            self.finished.set()

    def _live(self) -> None:
        self._prepare()
        if self._wait_for_the_start():
            self._simulate()
        self.phase = "draining"
        self.generator.drain(drop_waiting=self.end is not None)
        self.generator.end()
        if self.generator.events is not None:
            self.generator.events.drain()
        self._send_final()

    def _prepare(self) -> None:
        orders, generator = self._orders, self.generator
        log_name = f"transactions-{self.number}.csv" if self.settings.transaction_log else ""
        budget = max(LEAST_ITEMS_PER_SECOND, ITEMS_PER_SECOND // max(1, orders["workers"]))
        generator.prepare(Brokers(**orders["brokers"]), log_name, budget, orders["standing_at"])
        self._following.ready()
        if self.settings.mode is Mode.DRY_RUN:  # a bank of its own, which must know everybody
            self.phase = "opening"
            generator.open_customers(range(generator.existing_customers), generator.existing_customers)
        while self._directory_size < orders["directory"] and self.end is None:
            self._wait()
        self.phase = "ready"
        self.tell("ready")

    def _wait_for_the_start(self) -> bool:
        """Open customers as epochs come, until simulated time has begun; False when the run ends first."""
        while self.end is None:
            if self._following.started and self.share.number:
                return True
            if self.share.number > self.opened_epoch and not self._following.started:
                self._open_mine(self.share.number)
            self._wait()
        return False

    def _open_mine(self, epoch: int) -> None:
        generator = self.generator
        if self.settings.mode is not Mode.DRY_RUN:
            self.phase = "opening"
            known = generator.is_open
            mine = [
                index
                for index in range(generator.existing_customers)
                if self.share.has_customer(index) and not known(index)
            ]
            generator.open_customers(mine, len(mine))
        self._reporter.tell_opened()
        self.opened_epoch = epoch
        self.phase = "ready"

    def _simulate(self) -> None:
        generator = self.generator
        generator.begin(self._following.origin_s)
        self.phase = "running"
        logger.info("Transaction generation started: %.1f %% of the load", 100 * self.share.part)
        narrator = Narrator(
            lambda: generator.measures,
            self.settings.scenario.start_at,
            History(),
            generator.moment,
            generator.built.asked_tps,
        )
        telling = gevent.spawn(narrator.run)
        try:
            generator.generate()
        finally:
            telling.kill()

    def _send_final(self) -> None:
        self.phase = "final"
        generator = self.generator
        extras = generator.account() | {"end": str(self.end or End.COMPLETED)}
        if generator.connected is not None and self.settings.mode is Mode.DRY_RUN:
            currency = self.settings.scenario.currency
            extras["reconciliation"] = encode(
                reconcile(generator.measures.books, generator.connected, currency)
            )
        message = self._reporter.final(extras)
        until_s = time.monotonic() + FINAL_FOR_S
        while not self._bye.is_set() and time.monotonic() < until_s:
            self._send(message)
            self._bye.wait(FINAL_AGAIN_S)
        if not self._bye.is_set():
            logger.error("The master did not take the last figures of this worker within %g s", FINAL_FOR_S)

    # -- epochs and customers -----------------------------------------------------------------

    def _begin_epoch(self, epoch: Epoch) -> None:
        if not self.share.begin(epoch):
            return
        logger.debug("Epoch %d: %.1f %% of the customers are ours", epoch.number, 100 * self.share.part)
        generator = self.generator
        if generator.dispatcher is not None:
            sim_s = generator.moment()[1]
            generator.dispatcher.change_share(sim_s)
            if generator.joiners is not None and epoch.lost and self._following.started:
                generator.joiners.walk_from(min(epoch.lost.values()))

    def _learn(self, rows: list[Any], joined: bool) -> None:
        """Customers that other workers have opened."""
        self._directory_size += len(rows)
        self._following.when_ready(lambda: self._enter(rows, joined))

    def _enter(self, rows: list[Any], joined: bool) -> None:
        connected, joiners = self.generator.connected, self.generator.joiners
        assert connected is not None
        directory = connected.targets.directory
        for index, customer_id, accounts in rows:
            if not directory.is_open(index):
                directory.add(index, customer_id, accounts)
        if joined and joiners is not None:
            joiners.joined_elsewhere(index for index, _, _ in rows)

    def _note_opened(self, index: int) -> None:
        if self.settings.mode is not Mode.DRY_RUN:
            self._reporter.note_opened(index)

    # -- telling ------------------------------------------------------------------------------

    def tell(self, kind: str, **values: Any) -> None:
        """Send a message about this run to the master."""
        self._send({"kind": kind, "run": self.run_id, **values})

    def _refuse(self, reason: str) -> None:
        logger.error("This worker cannot take part: %s", reason)
        self.phase = "refused"
        self.tell("refused", reason=reason)

    def _wait(self) -> None:
        self._changed.wait(POLL_S)
        self._changed.clear()
