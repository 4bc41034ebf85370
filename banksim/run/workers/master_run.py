"""One run whose load is made by workers: its line of life, its report.

prepare ─► gather workers ─► open customers ─► simulate ─► collect finals ─► compare, judge, report
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import gevent

from banksim.measure import Measures
from banksim.model import BanksimError
from banksim.run.closing import write_results
from banksim.run.monitor import tell_start
from banksim.run.plan import Parts, build_parts
from banksim.run.process import in_thread
from banksim.run.reconcile import keep_books
from banksim.run.run import End, Life, Progress, State, counting
from banksim.run.settings import RunSettings
from banksim.run.workers.intake import MergedFeed
from banksim.run.workers.members import Member, Members, Outbox, Standing
from banksim.run.workers.messages import EndRun, FromWorker, Row
from banksim.run.workers.remote_load import RemoteLoad

logger = logging.getLogger(__name__)

#: Without any worker for this long, a run is over.
ALONE_FOR_S = 15.0
#: How long the master waits for workers to prepare.
PREPARE_FOR_S = 600.0


class MasterRun(Life):
    """One run, seen from the master."""

    def __init__(self, settings: RunSettings, members: Members, outbox: Outbox) -> None:
        super().__init__(settings)
        self._members = members
        self._outbox = outbox
        self._load: RemoteLoad | None = None
        self._nothing = Measures(counting(settings.scenario))
        self._gathering = False

    # -- what is known of it ----------------------------------------------------------------

    @property
    def load(self) -> RemoteLoad:
        """Raises RuntimeError before the run is planned."""
        if self._load is None:
            raise RuntimeError("the run is not planned yet")
        return self._load

    @property
    def measures(self) -> Measures:
        return self._load.measures if self._load is not None else self._nothing

    @property
    def parts(self) -> Parts | None:
        return self._load.parts if self._load is not None else None

    @property
    def feed(self) -> MergedFeed | None:
        return self._load.intake.feed if self._load is not None else None

    @property
    def opening(self) -> Progress | None:
        return self._load.opening if self._load is not None else None

    @property
    def addresses(self) -> Mapping[str, str]:
        return self._load.targets.addresses if self._load is not None else {}

    def target_rows(self) -> list[Row]:
        return self._load.target_rows() if self._load is not None else []

    def moment(self) -> tuple[float, float]:
        return self._load.moment() if self._load is not None else (0.0, 0.0)

    def shortage_ms(self) -> float:
        return self._load.intake.shortage_ms() if self._load is not None else 0.0

    def standings(self) -> list[Row]:
        """Each worker of this run, for the status page."""
        return self._load.standings() if self._load is not None else []

    # -- messages of workers ----------------------------------------------------------------

    def greet(self, member: Member, in_run: str) -> None:
        """A worker says hello; ``in_run`` is the run it is in, or empty."""
        if in_run == self.settings.run_id or not self._gathering or self.end is not None:
            return
        if self.state not in (State.OPENING, State.RUNNING, State.PAUSED):
            return
        if member.standing is Standing.REFUSED:
            return
        if member.standing is not Standing.PREPARING:
            logger.info("%s joins the run", member.name)
        self.load.give_orders(member)

    def hear(self, member: Member, message: FromWorker) -> None:
        """A message about this run.  Returns at once."""
        if self._load is not None:
            self._load.intake.hear(member, message)

    # -- the line of life -----------------------------------------------------------------

    def _live(self) -> None:
        load = self._prepare()
        watching = gevent.spawn(load.watch)
        try:
            self._gather(load)
            if self.end is None:
                self._open(load)
            if self.end is None:
                self._simulate(load)
            self._collect(load)
        finally:
            watching.kill()
        self._close(load)

    def _prepare(self) -> RemoteLoad:
        settings = self.settings
        tell_start(settings)
        parts = in_thread(lambda: build_parts(settings.scenario, settings.seed, settings.speed))
        logger.info("Generated %s customer profiles", f"{parts.world.population.size:,}")
        self._load = RemoteLoad(settings, parts, self._members, self._outbox)
        return self._load

    def _gather(self, load: RemoteLoad) -> None:
        """All connected workers prepare; the first assignment covers those that succeeded."""
        self.message = "Workers are preparing"
        self._gathering = True
        for member in self._members:
            member.standing = Standing.IDLE
        for member in self._members.present():
            load.give_orders(member)
        until_s = time.monotonic() + PREPARE_FOR_S
        while self.end is None and not load.all_prepared() and time.monotonic() < until_s:
            load.wait("Waiting until prepared", load.membership.preparing)
        prepared = [member for member in load.membership.preparing if member.pulse.prepared]
        if not prepared and self.end is None:
            raise BanksimError(load.why_no_worker())
        if self.end is None:
            load.membership.join(*prepared)

    def _open(self, load: RemoteLoad) -> None:
        self.message = "Opening customers at the bank"
        while self.end is None and not load.all_open():
            if not load.membership.live:
                raise BanksimError(load.why_no_worker())
            load.wait()

    def _simulate(self, load: RemoteLoad) -> None:
        load.begin()
        self.started_at = datetime.now(UTC)
        self.state, self.message = State.RUNNING, "Simulated time is running"
        logger.info("Transaction generation started on %d workers", len(load.membership.live))
        watching = self._beside(load.counted_until, load.parts.asked_tps)
        watching.append(gevent.spawn(load.keep_merging))
        try:
            with load.targets.conducting(load.parts.clock):
                self._wait_for_the_end(load)
        finally:
            gevent.killall(watching)

    def _wait_for_the_end(self, load: RemoteLoad) -> None:
        """Until simulated time is over, the run is ended, or no worker has made load for a while."""
        alone_since_s: float | None = None
        while self.end is None and not load.membership.time_is_over:
            load.wait()
            if load.membership.live or load.membership.preparing:
                alone_since_s = None
                continue
            alone_since_s = alone_since_s or time.monotonic()
            if time.monotonic() - alone_since_s > ALONE_FOR_S:
                logger.error("No worker is left: the run ends")
                self.message = load.why_no_worker()
                self.request_end(End.FAILED)

    def _collect(self, load: RemoteLoad) -> None:
        """Wait for the last figures of all live workers."""
        self.state = State.DRAINING
        if self.end is not End.FAILED:
            self.message = "Waiting for the last answers"
        end = EndRun(run=self.settings.run_id, end=str(self.end or End.STOPPED))
        for member in load.membership.preparing:  # without a share there is nothing to drain
            load.membership.tell(member, end)
        load.collect()
        if self.end is None:
            self.end = End.COMPLETED

    def _close(self, load: RemoteLoad) -> None:
        if self.started_at is None:
            self.message = "Ended before simulated time began"
            self.state = State.FINISHED
            return
        failed = self.end is End.FAILED
        self.message = self.message if failed else "Comparing balances"
        reconciliation = load.reconciliation()
        info = load.info(self.started_at, str(self.end))
        self.results = write_results(
            self.settings,
            load.parts,
            load.measures,
            info,
            reconciliation,
            load.intake.feed.items(),
            self.gate.decide(load.measures, info["wall_s"]),
            load.kafka(),
        )
        keep_books(self.settings, load.measures.books)
        where = f"Report: {self.settings.folder / 'report.html'}"
        self.state = State.FAILED if failed else State.FINISHED
        self.message = f"{self.message}. {where}" if failed else where
        logger.info("%s", where)

    def _stop_offering(self) -> None:
        if self._load is not None and self.end is not None:
            self._load.stop(self.end)

    def _let_go(self) -> None:
        if self._load is not None:
            if self.end is End.FAILED:
                self._load.stop(End.FAILED)
            self._load.close()

    # -- steering ---------------------------------------------------------------------------

    def pause(self) -> None:
        if self.state is State.RUNNING:
            self.load.parts.clock.pause(time.monotonic())
            self.load.broadcast_clock()
            self.state, self.message = State.PAUSED, "Paused: simulated time stands still"

    def resume(self) -> None:
        if self.state is State.PAUSED:
            self.load.parts.clock.resume(time.monotonic())
            self.load.broadcast_clock()
            self.state, self.message = State.RUNNING, "Simulated time is running"

    def set_speed(self, speed: float) -> None:
        if self.state not in (State.RUNNING, State.PAUSED):
            raise ValueError("speed: there is no run whose speed could change")
        self.load.set_speed(speed)
