"""The load of a run, made by workers: planned here, steered from here, added up here.

    orders ─► all workers prepared ─► customers opened ─► clock ─► … ─► finals ─► totals

The master makes no load itself.  It opens the stand-ins of a sandbox, discovers the brokers once on
behalf of all workers, and owns the clock.  Workers may join, fall silent and come back at any
moment; the report states what that cost.
"""

from __future__ import annotations

import logging
import socket
import time
from datetime import datetime

import gevent

from banksim.measure import Measures
from banksim.measure.figures import Reconciliation
from banksim.run.closing import run_info
from banksim.run.local_load import DRAIN_TIMEOUTS
from banksim.run.plan import Parts
from banksim.run.process import in_thread
from banksim.run.run import End, counting
from banksim.run.settings import Mode, RunSettings
from banksim.run.workers.intake import Intake, combined_accounts, combined_targets
from banksim.run.workers.members import FULL, Member, Members, Membership, Outbox, Standing
from banksim.run.workers.messages import (
    ClockState,
    EndRun,
    Orders,
    Row,
    settings_to_wire,
    state_every_s,
)
from banksim.run.workers.shared_targets import SharedTargets

logger = logging.getLogger(__name__)

#: Delay between announcing simulated time and its start, so that no worker starts late.
START_AHEAD_S = 0.3
WATCH_EVERY_S = 0.25
MERGE_EVERY_S = 1.0
POLL_S = 0.1
#: How long the master waits at the end for finals of workers that have drained.
FINALS_FOR_S = 180.0
#: A line names the workers that are awaited, this often.
TELL_EVERY_S = 10.0
NOT_REACHED = (
    "the stand-ins of --sandbox listen to the master's own machine only; start "
    "`banksim sandbox --host 0.0.0.0` and give its addresses with --nexum-url and --bastion-url"
)


class OpeningProgress:
    """Customers opened so far, by all workers together."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0


class RemoteLoad:
    """The load of one run, made by workers: planned, steered and added up here."""

    def __init__(self, settings: RunSettings, parts: Parts, members: Members, outbox: Outbox) -> None:
        """Opens what the workers share.  Raises BanksimError when something does not start."""
        scenario = settings.scenario
        self.settings = settings
        self.parts = parts
        self.members = members
        self.membership = Membership(members, outbox, settings.run_id, parts.clock, parts.offered)
        self.intake = Intake(
            settings.run_id, counting(scenario), scenario.dashboard.max_feed_items, self.membership
        )
        self.targets = SharedTargets(settings)
        self.opening = OpeningProgress()
        self._changes: list[tuple[float, float]] = []
        self._origin_s = 0.0
        self._ended_s: float | None = None
        self._told_s = 0.0

    # -- what is known of it ----------------------------------------------------------------

    @property
    def measures(self) -> Measures:
        return self.intake.counts.measures

    def moment(self) -> tuple[float, float]:
        """(wall seconds since simulated time began, simulated seconds), now or at the end."""
        if not self.parts.clock.started:
            return 0.0, 0.0
        now_s = self._ended_s if self._ended_s is not None else time.monotonic()
        return max(0.0, now_s - self._origin_s), self.parts.clock.sim_at(now_s)

    def counted_until(self) -> tuple[float, float]:
        """The moment up to which every live worker has been counted: what curves can be drawn of."""
        counted_s = self.intake.counts.counted_until_s
        until_s = [counted_s[m.number] for m in self.membership.live if m.number in counted_s]
        if not until_s:
            return self.moment()
        wall_s = max(0.0, min(until_s))
        return wall_s, self.parts.clock.sim_at(self._origin_s + wall_s)

    def target_rows(self) -> list[Row]:
        return combined_targets(self.targets.addresses, self.intake.target_rows)

    def standings(self) -> list[Row]:
        """Each worker of this run, for the status page."""
        return [
            {
                "number": member.number,
                "host": member.host,
                "pid": member.pid,
                "standing": str(member.standing),
                "share": round(self.membership.part_of(member), 4),
                "cpu_percent": member.pulse.cpu_percent,
                "rss_bytes": member.pulse.rss_bytes,
            }
            for member in self.members
            if member.standing is not Standing.IDLE
        ]

    def worker_rows(self) -> list[Row]:
        """Every worker that had a share, in the order of their numbers, for the results.

        ``ended``: "final" (all its figures are in) or "lost" (figures up to its last state).
        """
        return [
            {
                "number": member.number,
                "host": member.host,
                "pid": member.pid,
                "ended": str(Standing.FINAL if member.standing is Standing.FINAL else Standing.LOST),
                "left": member.leaving,
                "joined_wall_s": max(0.0, (member.joined_s or self._origin_s) - self._origin_s),
                "losses": member.losses,
                "gap_s": round(member.gap_s, 3),
                "not_offered": round(member.not_offered, 1),
                "in_flight": 0 if member.standing is Standing.FINAL else member.pulse.in_flight,
            }
            for _, member in sorted(self.membership.took_part.items())
        ]

    # -- the line of life -------------------------------------------------------------------

    def begin(self) -> None:
        """Simulated time begins, in a moment; returns when it does."""
        self._origin_s = time.monotonic() + START_AHEAD_S
        self.parts.clock.start(self._origin_s)
        self.broadcast_clock()
        gevent.sleep(START_AHEAD_S)

    def watch(self) -> None:
        """Look for silent workers, until killed."""
        while True:
            gevent.sleep(WATCH_EVERY_S)
            if self.membership.watch():
                self.intake.changed.set()

    def keep_merging(self) -> None:
        """Add up what workers have counted, until killed."""
        while True:
            gevent.sleep(max(MERGE_EVERY_S, state_every_s(len(self.membership.live))))
            self.intake.counts.refresh()

    def all_prepared(self) -> bool:
        return all(member.pulse.prepared for member in self.membership.preparing)

    def all_open(self) -> bool:
        """Whether every worker has opened its customers of the present assignment and knows all others."""
        live = self.membership.live
        dry = self.settings.mode is Mode.DRY_RUN
        opened = [(member.pulse.opened_done, member.pulse.opened_total) for member in live]
        self.opening.done = sum(done for done, _ in opened)
        self.opening.total = sum(total for _, total in opened)
        return bool(live) and all(
            member.pulse.opened_for == self.membership.assignment
            and (dry or member.pulse.known >= len(self.intake.opened))
            for member in live
        )

    def wait(self, what: str = "", for_members: list[Member] | None = None) -> None:
        """Until a message arrives, or a moment; now and then a line of log names the awaited workers."""
        self.intake.wait(POLL_S)
        if what and for_members and time.monotonic() - self._told_s > TELL_EVERY_S:
            if self._told_s:
                logger.info("%s: %s", what, ", ".join(member.name for member in for_members))
            self._told_s = time.monotonic()

    def stop(self, end: End) -> None:
        """Have all workers offer nothing more, drain and send their finals."""
        self.intake.ended = True
        self.membership.tell_all(EndRun(run=self.settings.run_id, end=str(end)))
        self.intake.changed.set()

    def collect(self) -> None:
        """Wait for the finals of all live workers, within a bound; then add everything up."""
        timeout_s = self.settings.scenario.connections.timeout_seconds
        bound_s = FINALS_FOR_S + DRAIN_TIMEOUTS * timeout_s
        until_s = time.monotonic() + bound_s
        self._told_s = time.monotonic()
        while (live := self.membership.live) and time.monotonic() < until_s:
            self.wait("Waiting for the last figures of", live)
        for member in self.membership.live:
            logger.error("%s sent no final within %g s: its figures end here", member.name, bound_s)
            self.membership.lose(member)
        self._ended_s = time.monotonic()
        self.intake.counts.refresh()

    def close(self) -> None:
        self.targets.close()

    # -- the results ------------------------------------------------------------------------

    def info(self, started_at: datetime, end: str) -> Row:
        """The run's identity and what its parts came to."""
        accounts = list(self.intake.accounts.values())
        info = run_info(self.settings, self.parts, self.targets.addresses, self.moment(), started_at, end)
        info |= combined_accounts(self.intake.accounts)
        faults = self.targets.faults_of(accounts)
        if faults:
            info["faults"] = faults
        info["detector"] = self.targets.detector_stats()
        info["workers"] = self.worker_rows()
        if self.intake.counts.uncounted:
            logger.error("%d states of further workers are not counted", self.intake.counts.uncounted)
        return info

    def reconciliation(self) -> Reconciliation:
        books, customers = self.measures.books, self.parts.onboarding or self.parts.world.population
        missing = in_thread(lambda: self.intake.opened.without_balance(books, customers))
        lost = [row["number"] for row in self.worker_rows() if row["ended"] != Standing.FINAL]
        accounts = list(self.intake.accounts.values())
        return self.targets.reconcile(books, missing, lost, accounts)

    def kafka(self) -> Row:
        brokers = self.targets.brokers
        return {
            "enabled": bool(brokers.servers),
            "servers": brokers.asked_for,
            "format": self.settings.scenario.connections.kafka_format,
            "detail": brokers.reason,
            **self.intake.counts.kafka.results(),
        }

    # -- steering ---------------------------------------------------------------------------

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on.  Raises ValueError on a speed out of range."""
        clock, now_s = self.parts.clock, time.monotonic()
        clock.set_speed(speed, now_s)
        sim_s = clock.sim_at(now_s)
        self._changes.append((sim_s, clock.speed))
        self.broadcast_clock()
        self.parts.desk.replan(sim_s, clock.speed)  # workers do the same; here it is for the pages
        logger.info("Speed: %gx from simulated second %.0f on", speed, sim_s)

    def broadcast_clock(self) -> None:
        self.membership.tell_all(self._clock_state())

    # -- workers ----------------------------------------------------------------------------

    def give_orders(self, member: Member) -> None:
        """Make a worker part of this run, or refuse it."""
        problem = self._problem_with(member)
        if problem:
            logger.error("%s: %s", member.name, problem)
            member.standing, member.reason = Standing.REFUSED, problem
            return
        if member.standing is not Standing.PREPARING:
            member.new_run()
        orders = Orders(
            run=self.settings.run_id,
            number=member.number,
            settings=settings_to_wire(self.settings),
            addresses=dict(self.targets.addresses),
            brokers=self.targets.wire_brokers(),
            workers=len(self.members.present()),
            directory=len(self.intake.opened),
        )
        self.membership.tell(member, orders)
        for directory in self.intake.opened.directory():
            self.membership.tell(member, directory)
        if self.parts.clock.started:
            self.membership.tell(member, self._clock_state())

    def why_no_worker(self) -> str:
        refused = self.members.standing(Standing.REFUSED)
        if refused:
            return f"{refused[0].name} cannot take part: {refused[0].reason}"
        if self.members.standing(Standing.LOST):
            return "All workers were lost"
        if self.membership.took_part:
            return "All workers have left the run"
        return f"No worker is connected. Start one with: {self.members.how_to_join}"

    def _problem_with(self, member: Member) -> str:
        if self.settings.mode is Mode.SANDBOX and member.host != socket.gethostname():
            return NOT_REACHED
        return FULL if self.membership.full and member.standing is not Standing.PREPARING else ""

    def _clock_state(self) -> ClockState:
        clock = self.parts.clock
        return ClockState(
            run=self.settings.run_id,
            segments=[(segment.wall_s, segment.sim_s, segment.speed) for segment in clock.segments],
            speed=clock.speed,
            paused=clock.paused,
            changes=self._changes,
        )
