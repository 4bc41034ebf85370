"""A run whose load is made by workers: the master plans it, keeps its time, and adds up its counts.

    orders ─► everybody prepared ─► customers opened ─► clock ─► … ─► finals ─► report

The master makes no load itself.  It opens the stand-ins of a sandbox, looks for brokers once
for all, and owns the clock.  Workers may join, fall silent and come back at any moment; what
that cost is told in the report.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import gevent

from banksim.measure import Measures, Tally
from banksim.model import BanksimError
from banksim.run.monitor import tell_start
from banksim.run.plan import Parts, build_parts
from banksim.run.process import in_thread
from banksim.run.run import End, Life, Progress, State, counting
from banksim.run.settings import Mode, RunSettings
from banksim.run.workers.closing import combined_targets, write_combined
from banksim.run.workers.intake import Intake, MergedFeed
from banksim.run.workers.members import Member, Members, Roll, Standing
from banksim.run.workers.messages import Message, segments_to_wire, settings_to_wire, state_every_s
from banksim.run.workers.shared_targets import Premises

logger = logging.getLogger(__name__)

#: Simulated time begins so long after it is announced, so that no worker starts late.
START_AHEAD_S = 0.3
WATCH_EVERY_S = 0.25
MERGE_EVERY_S = 1.0
POLL_S = 0.1
#: Without any worker for so long, a run is over.
ALONE_FOR_S = 15.0
NOT_REACHED = (
    "the stand-ins of --sandbox listen to the master's own machine only; start "
    "`banksim sandbox --host 0.0.0.0` and give its addresses with --nexum-url and --bastion-url"
)


class Opened:
    """Customers opened so far, by all workers together."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0


class MasterRun(Life):
    """One run, seen from the master."""

    def __init__(self, settings: RunSettings, members: Members, send: Callable[[str, Message], None]) -> None:
        """``send`` takes a worker's client id and a message, and returns at once."""
        super().__init__(settings)
        scenario = settings.scenario
        self._members = members
        self._send_to = send
        self._parts: Parts | None = None
        self._opened = Opened()
        self._premises = Premises(settings)
        self._changes: list[list[float]] = []
        self._origin_s = 0.0
        self._ended_s: float | None = None
        self._gathering = False
        self.roll = Roll(members, self._tell, self._sim_at, self._offered_between)
        self.intake = Intake(
            scenario,
            counting(scenario),
            members,
            self.roll,
            self._tell,
            joins_now=lambda: self.roll.epoch > 0 and self.end is None,
            leaves_early=lambda: self.end is None and not self._over(),
        )

    # -- what is known of it ----------------------------------------------------------------

    @property
    def measures(self) -> Measures:
        return self.intake.merging.measures

    @property
    def parts(self) -> Parts | None:
        return self._parts

    @property
    def feed(self) -> MergedFeed:
        return self.intake.feed

    @property
    def opening(self) -> Progress | None:
        return self._opened

    @property
    def addresses(self) -> Mapping[str, str]:
        return self._premises.addresses

    def target_rows(self) -> list[dict[str, Any]]:
        return combined_targets(self.addresses, self.intake.target_rows)

    def moment(self) -> tuple[float, float]:
        if self._parts is None or not self._parts.clock.started:
            return 0.0, 0.0
        now_s = self._ended_s if self._ended_s is not None else time.monotonic()
        return max(0.0, now_s - self._origin_s), self._parts.clock.sim_at(now_s)

    def shortage_ms(self) -> float:
        return self.intake.shortage_ms()

    def worker_rows(self) -> list[dict[str, Any]]:
        """Each worker of this run, for the status page."""
        return [
            {
                "number": member.number,
                "host": member.host,
                "pid": member.pid,
                "standing": str(member.standing),
                "share": round(self.roll.part_of(member), 4),
                "cpu_percent": member.pulse.get("cpu_percent"),
                "rss_bytes": member.pulse.get("rss_bytes"),
            }
            for member in self._members
            if member.standing is not Standing.IDLE
        ]

    @property
    def moment_origin_s(self) -> float:
        """The monotonic wall moment of simulated second 0."""
        return self._origin_s

    def in_flight_of(self, member: Member) -> int:
        """Transactions a worker had under way when last heard of; 0 when its figures are whole."""
        tally = Tally()
        if "tally" in member.pulse and member.standing is not Standing.FINAL:
            tally.merge_state(member.pulse["tally"])
        return tally.in_flight

    # -- what workers say ---------------------------------------------------------------------

    def greet(self, member: Member, in_run: str) -> None:
        """A worker says hello; ``in_run`` is the run it is in, or empty."""
        if in_run == self.settings.run_id or not self._gathering or self.end is not None:
            return
        if self.state in (State.OPENING, State.RUNNING, State.PAUSED):
            if member.standing is Standing.REFUSED:
                return
            if member.standing is not Standing.PREPARING:
                member.new_run()
                logger.info("%s joins the run", member.name)
            self._give_orders(member)

    def hear(self, member: Member, message: Message) -> None:
        """A message about this run.  Returns at once."""
        self.intake.hear(member, message)

    # -- the line of life -----------------------------------------------------------------

    def _live(self) -> None:
        self._prepare()
        watching = gevent.spawn(self._watch)
        try:
            self._gather()
            if self.end is None:
                self._open()
            if self.end is None:
                self._simulate()
            self._collect()
        finally:
            watching.kill()
        self._close()

    def _prepare(self) -> None:
        settings = self.settings
        tell_start(settings)
        self._parts = in_thread(lambda: build_parts(settings.scenario, settings.seed, settings.speed))
        logger.info("Generated %s customer profiles", f"{self._parts.world.population.size:,}")
        self._premises.start()

    def _gather(self) -> None:
        """Everybody who is there prepares; the first share-out is among those who could."""
        self.message = "Workers are preparing"
        self._gathering = True
        for member in self._members.present():
            member.new_run()
            self._give_orders(member)
        while self.end is None and any(m.pulse.get("phase") != "ready" for m in self.roll.preparing):
            self._wait()
        ready = self.roll.preparing
        if not ready and self.end is None:
            raise BanksimError(self._why_nobody())
        if self.end is None:
            self.roll.join(*ready)

    def _open(self) -> None:
        self.message = "Opening customers at the bank"
        while self.end is None and not self._all_open():
            opened = [member.pulse.get("opened", (0, 0)) for member in self.roll.live]
            self._opened.done = sum(done for done, _ in opened)
            self._opened.total = sum(total for _, total in opened)
            if not self.roll.live:
                raise BanksimError(self._why_nobody())
            self._wait()

    def _all_open(self) -> bool:
        """Whether everybody has opened theirs under the present epoch and knows of all the others'."""
        everybody = self.roll.live
        dry = self.settings.mode is Mode.DRY_RUN
        return bool(everybody) and all(
            member.pulse.get("opened_epoch") == self.roll.epoch
            and (dry or member.pulse.get("known", 0) >= len(self.intake.openings))
            for member in everybody
        )

    def _simulate(self) -> None:
        assert self._parts is not None
        self._origin_s = time.monotonic() + START_AHEAD_S
        self._parts.clock.start(self._origin_s)
        self._tell_clock()
        gevent.sleep(START_AHEAD_S)
        self.started_at = datetime.now(UTC)
        self.state, self.message = State.RUNNING, "Simulated time is running"
        logger.info("Transaction generation started on %d workers", len(self.roll.live))
        beside = self._beside(self._counted_until, self._parts.asked_tps)
        beside.append(gevent.spawn(self._keep_merging))
        try:
            with self._premises.conducting(self._parts.clock):
                self._wait_for_the_end()
        finally:
            gevent.killall(beside)

    def _wait_for_the_end(self) -> None:
        """Until simulated time is over or somebody ends the run; also when nobody makes load any more."""
        alone_since_s: float | None = None
        while self.end is None and not self._over():
            self._wait()
            if self.roll.live or self.roll.preparing:
                alone_since_s = None
                continue
            alone_since_s = alone_since_s or time.monotonic()
            if time.monotonic() - alone_since_s > ALONE_FOR_S:
                logger.error("No worker is left: the run ends")
                self.message = self._why_nobody()
                self.request_end(End.FAILED)

    def _collect(self) -> None:
        """Wait for the last figures of everybody who is alive."""
        failed = self.end is End.FAILED
        self.state = State.DRAINING
        if not failed:
            self.message = "Waiting for the last answers"
        for member in self.roll.preparing:  # whoever has no share has nothing to drain
            self._tell(member, {"kind": "end", "end": str(self.end or End.STOPPED)})
        while self.roll.live:
            self._wait()
        if self.end is None:
            self.end = End.COMPLETED

    def _close(self) -> None:
        self._ended_s = time.monotonic()
        self.intake.merging.refresh()
        if self.started_at is None:
            self.message = "Ended before simulated time began"
            self.state = State.FINISHED
            return
        write_combined(self, self._premises)
        where = f"Report: {self.settings.folder / 'report.html'}"
        failed = self.end is End.FAILED
        self.state = State.FAILED if failed else State.FINISHED
        self.message = f"{self.message}. {where}" if failed else where
        logger.info("%s", where)

    def _stop_offering(self) -> None:
        for member in self._members:
            if member.standing in (Standing.LIVE, Standing.PREPARING, Standing.LOST):
                self._tell(member, {"kind": "end", "end": str(self.end)})
        self.intake.changed.set()

    def _let_go(self) -> None:
        self._premises.close()
        if self.end is End.FAILED:
            self._stop_offering()

    # -- steering -------------------------------------------------------------------------------

    def pause(self) -> None:
        if self.state is State.RUNNING and self._parts is not None:
            self._parts.clock.pause(time.monotonic())
            self._tell_clock()
            self.state, self.message = State.PAUSED, "Paused: simulated time stands still"

    def resume(self) -> None:
        if self.state is State.PAUSED and self._parts is not None:
            self._parts.clock.resume(time.monotonic())
            self._tell_clock()
            self.state, self.message = State.RUNNING, "Simulated time is running"

    def set_speed(self, speed: float) -> None:
        if self.state not in (State.RUNNING, State.PAUSED) or self._parts is None:
            raise ValueError("speed: there is no run whose speed could change")
        clock, now_s = self._parts.clock, time.monotonic()
        clock.set_speed(speed, now_s)
        sim_s = clock.sim_at(now_s)
        self._changes.append([sim_s, clock.speed])
        self._tell_clock()
        self._parts.desk.replan(sim_s, clock.speed)  # workers do the same; here it is for the pages
        logger.info("Speed: %gx from simulated second %.0f on", speed, sim_s)

    # -- the parts ------------------------------------------------------------------------------

    def _give_orders(self, member: Member) -> None:
        if self.settings.mode is Mode.SANDBOX and member.host != socket.gethostname():
            logger.error("%s: %s", member.name, NOT_REACHED)
            member.standing, member.reason = Standing.REFUSED, NOT_REACHED
            return
        present = len(self._members.present())
        self._tell(
            member,
            {
                "kind": "run",
                "number": member.number,
                "settings": settings_to_wire(self.settings),
                "standing_at": dict(self.addresses),
                "brokers": self._premises.brokers_to_wire(),
                "workers": present,
                "directory": len(self.intake.openings),
            },
        )
        self.intake.openings.tell_all(member)
        if self._parts is not None and self._parts.clock.started:
            self._tell(member, self._clock())

    def _clock(self) -> Message:
        assert self._parts is not None
        clock = self._parts.clock
        return {
            "kind": "clock",
            "segments": segments_to_wire(clock),
            "speed": clock.speed,
            "paused": clock.paused,
            "changes": self._changes,
        }

    def _tell_clock(self) -> None:
        message = self._clock()
        for member in self._members:
            if member.standing in (Standing.LIVE, Standing.PREPARING, Standing.LOST):
                self._tell(member, message)

    def _tell(self, member: Member, message: Message) -> None:
        self._send_to(member.client_id, {"run": self.settings.run_id, **message})

    def _watch(self) -> None:
        while True:
            gevent.sleep(WATCH_EVERY_S)
            if self.roll.watch():
                self.intake.changed.set()

    def _keep_merging(self) -> None:
        while True:
            gevent.sleep(max(MERGE_EVERY_S, state_every_s(len(self.roll.live))))
            self.intake.merging.refresh()

    def _counted_until(self) -> tuple[float, float]:
        """The moment up to which every live worker has been counted: what curves can be drawn of."""
        until = [
            self.intake.merging.counted_until_s[member.number]
            for member in self.roll.live
            if member.number in self.intake.merging.counted_until_s
        ]
        if not until or self._parts is None:
            return self.moment()
        wall_s = max(0.0, min(until))
        return wall_s, self._parts.clock.sim_at(self._origin_s + wall_s)

    def _sim_at(self, wall_s: float) -> float:
        return self._parts.clock.sim_at(wall_s) if self._parts is not None else 0.0

    def _offered_between(self, from_s: float, until_s: float) -> float:
        if self._parts is None or not self._parts.clock.started:
            return 0.0
        clock = self._parts.clock
        area = self._parts.offered.integral(clock.sim_at(from_s), clock.sim_at(until_s))
        return area / clock.speed

    def _why_nobody(self) -> str:
        refused = self._members.standing(Standing.REFUSED)
        if refused:
            return f"{refused[0].name} cannot take part: {refused[0].reason}"
        if self._members.standing(Standing.LOST):
            return "All workers were lost"
        return "No worker is there. Start one with: locust -f locustfiles/banking.py --worker"

    def _wait(self) -> None:
        self.intake.wait(POLL_S)

    def _over(self) -> bool:
        """Whether simulated time has come to its end."""
        return self._parts is not None and self._parts.clock.finished(time.monotonic())
