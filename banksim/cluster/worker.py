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
from gevent.event import Event

from banksim.cluster.epochs import Epoch, EpochShare
from banksim.cluster.following import Following
from banksim.cluster.messages import LEASE_S, PULSE_S, STATE_S, Message
from banksim.cluster.offset import Offset
from banksim.cluster.reporting import Reporter
from banksim.cluster.wire import settings_from_wire
from banksim.domain import BanksimError
from banksim.engine.arrival import Arrival
from banksim.engine.brokers import Brokers
from banksim.engine.feed import ITEMS_PER_SECOND
from banksim.engine.generator import Generator
from banksim.engine.history import History
from banksim.engine.life import End, counting
from banksim.engine.narrator import Narrator
from banksim.engine.reconciling import reconcile
from banksim.engine.seats import Seats
from banksim.engine.settings import Mode
from banksim.measure import Measures
from banksim.systems import Call

logger = logging.getLogger(__name__)

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
            extras["reconciliation"] = reconcile(generator.measures.books, generator.connected, currency)
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
