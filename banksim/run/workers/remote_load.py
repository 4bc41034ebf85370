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
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import gevent
import orjson

from banksim.measure import Measures, MeasureSettings, results
from banksim.measure.figures import HistoryPlayed, Reconciliation
from banksim.measure.kafka import Kafka
from banksim.model import At, BanksimError
from banksim.run.capacity import DRAIN_S, Capacity, Offered, hold, step_measures
from banksim.run.local_load import DRAIN_TIMEOUTS
from banksim.run.plan import Mode, Parts, Replanner, RunSettings, counting
from banksim.run.process import in_thread
from banksim.run.run import End, LoadLost, Progress, Totals
from banksim.run.timekeeper import Timekeeper
from banksim.run.workers import messages
from banksim.run.workers.intake import Intake, MergedFeed, combined_accounts, combined_targets
from banksim.run.workers.members import FULL, Member, Members, Membership, Outbox, Standing
from banksim.run.workers.shared_targets import SharedTargets
from banksim.schedule.simulation import Replan

logger = logging.getLogger(__name__)

#: Delay between announcing simulated time and its start, so that no worker starts late.
START_AHEAD_S = 0.3
WATCH_EVERY_S = 0.25
MERGE_EVERY_S = 1.0
POLL_S = 0.1
STEP_POLL_S = 0.02
#: How long the master waits at the end for finals of workers that have drained.
FINALS_FOR_S = 180.0
#: Without any worker for this long, a run is over.
ALONE_FOR_S = 15.0
#: How long the master waits for workers to prepare.
PREPARE_FOR_S = 600.0
#: A line names the workers that are awaited, this often.
REPORT_EVERY_S = 10.0
NOT_REACHED = (
    "the stand-ins of --sandbox listen to the master's own machine only; start "
    "`banksim sandbox --host 0.0.0.0` and give its addresses with --nexum-url and --bastion-url"
)


class RemoteLoad:
    """The load of one run, made by workers: planned, steered and added up here."""

    customers = None  # each worker's own: too much to send

    def __init__(
        self, settings: RunSettings, plan: Parts, timekeeper: Timekeeper, members: Members, outbox: Outbox
    ) -> None:
        """Opens what the workers share.  Raises BanksimError when something does not start."""
        scenario = settings.scenario
        self.settings = settings
        self.plan = plan
        self.members = members
        self.membership = Membership(members, outbox, settings.run_id, plan.clock, plan.offered)
        self.intake = Intake(
            settings.run_id, counting(scenario), scenario.dashboard.max_feed_items, self.membership
        )
        self.targets = SharedTargets(settings)
        self.opening = Progress()
        self.timekeeper = timekeeper
        self._replanner = Replanner(plan.desk)
        self._rate_factor = 1.0
        self._gathering = False
        self._reported_s = 0.0
        self._watching: Any = None
        self._search = Capacity(scenario.load, RemoteStage(self)) if scenario.load is not None else None
        timekeeper.add(self)

    def __enter__(self) -> RemoteLoad:
        self._watching = gevent.spawn(self._watch)
        return self

    def __exit__(self, *_: object) -> None:
        gevent.killall([self._watching])
        self.targets.close()

    # -- what is known of it ----------------------------------------------------------------

    @property
    def measures(self) -> Measures:
        return self.intake.counts.measures

    @property
    def feed(self) -> MergedFeed:
        return self.intake.feed

    @property
    def addresses(self) -> Mapping[str, str]:
        return self.targets.addresses

    def counted_until(self) -> At:
        """The moment up to which every live worker has been counted: what curves can be drawn of."""
        counted_s = self.intake.counts.counted_until_s
        until_s = [counted_s[m.number] for m in self.membership.live if m.number in counted_s]
        return self.timekeeper.at(max(0.0, min(until_s))) if until_s else self.timekeeper.now()

    def asked_tps(self, sim_s: float) -> float:
        return self.timekeeper.asked_tps(self.plan.offered, sim_s)

    def shortage_ms(self) -> float:
        return self.intake.shortage_ms()

    def target_rows(self) -> list[results.TargetRow]:
        return combined_targets(self.targets.addresses, self.intake.target_rows)

    def standings(self) -> list[results.WorkerShown]:
        """Each worker of this run, for the status page."""
        return [
            member.shown(round(self.membership.part_of(member), 4))
            for member in self.members
            if member.standing is not Standing.IDLE
        ]

    def worker_rows(self) -> list[results.WorkerRow]:
        """Every worker that had a share, in the order of their numbers, for the results."""
        timekeeper = self.timekeeper
        origin_s = timekeeper.origin_s if timekeeper.started else time.monotonic()
        return [
            results.WorkerRow(
                number=member.number,
                host=member.host,
                pid=member.pid,
                ended=str(Standing.FINAL if member.standing is Standing.FINAL else Standing.LOST),
                left=member.leaving,
                joined_wall_s=max(0.0, (member.joined_s or origin_s) - origin_s),
                losses=member.losses,
                gap_s=round(member.gap_s, 3),
                not_offered=round(member.not_offered, 1),
                in_flight=self.intake.counts.in_flight(member.number),
            )
            for _, member in sorted(self.membership.took_part.items())
        ]

    # -- the line of life -------------------------------------------------------------------

    def open_customers(self, report: Callable[[str], None]) -> None:
        """Gather the workers and have each open the customers of its share."""
        report("Workers are preparing")
        self._gather()
        report("Opening customers at the bank")
        while not self.intake.ended and not self._all_open():
            if not self.membership.live:
                raise BanksimError(self._why_no_worker())
            self._wait()
        if self.settings.scenario.history_days and not self.intake.ended:
            report("Playing the days before the run")
            self._play_history()

    def _play_history(self) -> None:
        """Have every worker tell the past of its customers; one that is lost leaves the rest out."""
        asked, self.opening.history_days = self.membership.live, self.settings.scenario.history_days
        for member in asked:
            self.membership.tell(member, messages.PlayHistory(run=self.settings.run_id))
        while not self.intake.ended and any(
            member.standing is Standing.LIVE and not member.pulse.history_played for member in asked
        ):
            self._count_progress(asked)
            self._wait()
        self.targets.history_ends()

    def begin(self) -> None:
        """Simulated time begins, in a moment; returns when it does."""
        self.timekeeper.start(time.monotonic() + START_AHEAD_S)
        gevent.sleep(START_AHEAD_S)
        logger.info("Transactions are generated by %d workers", len(self.membership.live))

    def wait(self) -> None:
        """Until simulated time is over or the run is ended.

        Raises LoadLost when no worker has made load for a while.
        """
        merging = gevent.spawn(self._keep_merging)
        try:
            with self.targets.conducting(self.plan.clock), self._searching():
                self._wait_for_the_end()
        finally:
            merging.kill()

    def stop(self, end: End) -> None:
        """Have all workers offer nothing more, drain and send their finals."""
        self.intake.ended = True
        self.membership.tell_all(messages.EndRun(run=self.settings.run_id, end=str(end)))
        self.intake.changed.set()

    def drain(self, end: End) -> None:
        """Wait for the finals of all live workers, within a bound; then add everything up."""
        message = messages.EndRun(
            run=self.settings.run_id, end=str(End.STOPPED if end is End.COMPLETED else end)
        )
        for member in self.membership.preparing:  # without a share there is nothing to drain
            self.membership.tell(member, message)
        timeout_s = self.settings.scenario.connections.timeout_seconds
        bound_s = FINALS_FOR_S + DRAIN_TIMEOUTS * timeout_s
        until_s = time.monotonic() + bound_s
        self._reported_s = time.monotonic()
        while (live := self.membership.live) and time.monotonic() < until_s:
            self._wait("Waiting for the last figures of", live)
        for member in self.membership.live:
            logger.error("%s sent no final within %g s: its figures end here", member.name, bound_s)
            self.membership.lose(member)
        self.intake.counts.refresh()

    def _gather(self) -> None:
        """All connected workers prepare; the first assignment covers those that succeeded."""
        self._gathering = True
        for member in self.members:
            member.standing = Standing.IDLE
        for member in self.members.present():
            self._give_orders(member)
        until_s = time.monotonic() + PREPARE_FOR_S
        while not self.intake.ended and not self._all_prepared() and time.monotonic() < until_s:
            self._wait("Waiting until prepared", self.membership.preparing)
        prepared = [member for member in self.membership.preparing if member.pulse.prepared]
        if self.intake.ended:
            return
        if not prepared:
            raise BanksimError(self._why_no_worker())
        self.membership.join(*prepared)

    def _searching(self) -> AbstractContextManager[None]:
        return self._search.running() if self._search is not None else nullcontext()

    def _wait_for_the_end(self) -> None:
        alone_since_s: float | None = None
        while not self.intake.ended and not self.membership.time_is_over:
            self._wait()
            if self.membership.live or self.membership.preparing:
                alone_since_s = None
                continue
            alone_since_s = alone_since_s or time.monotonic()
            if time.monotonic() - alone_since_s > ALONE_FOR_S:
                raise LoadLost(self._why_no_worker())

    def _watch(self) -> None:
        """Look for silent workers, until killed."""
        while True:
            gevent.sleep(WATCH_EVERY_S)
            if self.membership.watch():
                self.intake.changed.set()

    def _keep_merging(self) -> None:
        """Add up what workers have counted, until killed."""
        while True:
            gevent.sleep(max(MERGE_EVERY_S, messages.state_every_s(len(self.membership.live))))
            self.intake.counts.refresh()

    def _all_prepared(self) -> bool:
        return all(member.pulse.prepared for member in self.membership.preparing)

    def _all_open(self) -> bool:
        """Whether every worker has opened its customers of the present assignment and knows all others."""
        live = self.membership.live
        dry = self.settings.mode is Mode.DRY_RUN
        self._count_progress(live)
        return bool(live) and all(
            member.pulse.opened_for == self.membership.assignment
            and (dry or member.pulse.known >= len(self.intake.opened))
            for member in live
        )

    def _count_progress(self, members: Sequence[Member]) -> None:
        self.opening.done = sum(member.pulse.opened_done for member in members)
        self.opening.total = sum(member.pulse.opened_total for member in members)

    def _wait(self, what: str = "", for_members: Sequence[Member] = ()) -> None:
        """Until a message arrives, or a moment; now and then a line of log names the awaited workers."""
        self.intake.wait(POLL_S)
        if what and for_members and time.monotonic() - self._reported_s > REPORT_EVERY_S:
            if self._reported_s:
                logger.info("%s: %s", what, ", ".join(member.name for member in for_members))
            self._reported_s = time.monotonic()

    # -- the results ------------------------------------------------------------------------

    def totals(self, report: Callable[[str], None]) -> Totals:
        report("Comparing balances")
        reconciliation = self._reconciliation()
        return Totals(self.measures, reconciliation, self._kafka(), self._account(), self.intake.feed.items())

    def _account(self) -> results.Account:
        if self.intake.counts.uncounted:
            logger.error("%d states of further workers are not counted", self.intake.counts.uncounted)
        days = self.settings.scenario.history_days
        found = combined_accounts({number: final.account for number, final in self.intake.finals.items()})
        return replace(
            found,
            faults=self.targets.faults() or found.faults,
            detector=self.targets.detector_stats(),
            capacity=self.capacity,
            workers=self.worker_rows(),
            history=found.history or (HistoryPlayed(days, 0, 0, 0, 0.0) if days else None),
        )

    def _reconciliation(self) -> Reconciliation:
        books, customers = self.measures.books, self.plan.onboarding or self.plan.world.population
        missing = in_thread(lambda: self.intake.opened.without_balance(books, customers))
        lost = [row.number for row in self.worker_rows() if row.ended != Standing.FINAL]
        return self.targets.reconcile(books, missing, lost, self.intake.finals.values())

    def _kafka(self) -> Kafka:
        brokers, form = self.targets.brokers, self.settings.scenario.connections.kafka_format
        return brokers.described(self.intake.counts.kafka.results(), form, brokers.reason)

    # -- the search for capacity --------------------------------------------------------------

    @property
    def capacity(self) -> results.CapacityFigures | None:
        """How far it is; None where there is none."""
        return self._search.figures() if self._search is not None else None

    # -- as a follower of the timekeeper ------------------------------------------------------

    def change_speed(self, sim_s: float, speed: float) -> None:
        """Workers replan by themselves; here it is done for the pages."""
        self._replanner.replan(Replan(sim_s, speed / self._rate_factor))

    def change_rate(self, sim_s: float, tps: float) -> None:
        """As many more transactions a simulated hour as if the speed were lower."""
        self._rate_factor = tps / self.plan.offered.at(0.0)
        self._replanner.replan(Replan(sim_s, self.plan.clock.speed / self._rate_factor))

    def plan_campaigns(self) -> None:
        """Return once the campaigns of the present rate and speed are planned."""
        self._replanner.wait()

    def clock_changed(self) -> None:
        self.membership.tell_all(self._clock_state())

    # -- workers ----------------------------------------------------------------------------

    def greet(self, member: Member, in_run: str) -> None:
        """A worker says hello; ``in_run`` is the run it is in, or empty."""
        if in_run == self.settings.run_id or not self._gathering or self.intake.ending:
            return
        if member.standing is Standing.REFUSED:
            return
        if member.standing is not Standing.PREPARING:
            logger.info("%s joins the run", member.name)
        self._give_orders(member)

    def _give_orders(self, member: Member) -> None:
        """Make a worker part of this run, or refuse it."""
        problem = self._problem_with(member)
        if problem:
            logger.error("%s: %s", member.name, problem)
            member.standing, member.reason = Standing.REFUSED, problem
            return
        if member.standing is not Standing.PREPARING:
            member.new_run()
        orders = messages.Orders(
            run=self.settings.run_id,
            number=member.number,
            settings=messages.settings_to_wire(self.settings),
            addresses=dict(self.targets.addresses),
            brokers=self.targets.wire_brokers(),
            workers=len(self.members.present()),
            directory=len(self.intake.opened),
        )
        self.membership.tell(member, orders)
        for directory in self.intake.opened.directory():
            self.membership.tell(member, directory)
        if self.timekeeper.started:
            self.membership.tell(member, self._clock_state())

    def _why_no_worker(self) -> str:
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

    def _clock_state(self) -> messages.ClockState:
        clock = self.plan.clock
        return messages.ClockState(
            run=self.settings.run_id,
            segments=[(segment.wall_s, segment.sim_s, segment.speed) for segment in clock.segments],
            speed=clock.speed,
            paused=clock.paused,
            changes=list(self.timekeeper.changes),
        )


class RemoteStage:
    """Steps of a search for capacity, made by the workers: each counts by itself, here they are added up.

    A step ends when every worker has said, of a clock that stands still, that nothing is in flight; its
    state holds its counts.  A step in which workers came or went is no step of the load that was asked for.
    """

    def __init__(self, load: RemoteLoad) -> None:
        self._load = load

    @property
    def measures(self) -> Measures:
        return self._load.measures

    def stop(self) -> None:
        self._load.stop(End.COMPLETED)

    def offer(self, tps: float, hold_s: float) -> Offered:
        load, timekeeper = self._load, self._load.timekeeper
        assignment = load.membership.assignment
        held_s = hold(timekeeper, tps, hold_s, load.plan_campaigns)
        counted = self._drained(len(timekeeper.clock.segments))
        load.intake.counts.refresh()
        settings = counting(load.settings.scenario)
        step = in_thread(lambda: _added_up(settings, [one.counts for one in counted.values()]))
        missing = [member.name for member in load.membership.live if member.number not in counted]
        left = sum(one.in_flight for one in counted.values())
        if load.membership.assignment != assignment:
            return Offered(step, held_s, left, "workers came or went during the step")
        unheard = f"no counts of {', '.join(missing)} arrived within {DRAIN_S:.0f} s" if missing else ""
        return Offered(step, held_s, left, unheard)

    def _drained(self, segments: int) -> dict[int, messages.StepCounts]:
        """What each worker counted, by number, once its clock has so many segments and all has ended."""
        load, until_s = self._load, time.monotonic() + DRAIN_S
        while True:
            steps = {number: one for number, one in load.intake.steps.items() if one.segments == segments}
            done = {number for number, one in steps.items() if not one.in_flight}
            if {member.number for member in load.membership.live} <= done or time.monotonic() > until_s:
                return steps
            gevent.sleep(STEP_POLL_S)


def _added_up(settings: MeasureSettings, counts: Iterable[bytes]) -> Measures:
    step = step_measures(settings)
    for one in counts:
        step.merge(orjson.loads(one))
    return step


class RemoteSource:
    """Makes the load of a run once it is planned; until then, messages of workers have no effect."""

    def __init__(self, settings: RunSettings, members: Members, outbox: Outbox) -> None:
        self._settings = settings
        self._members = members
        self._outbox = outbox
        self._loads: list[RemoteLoad] = []  # one, once it is prepared

    def prepare(self, plan: Parts, timekeeper: Timekeeper) -> RemoteLoad:
        load = RemoteLoad(self._settings, plan, timekeeper, self._members, self._outbox)
        self._loads.append(load)
        return load

    def greet(self, member: Member, in_run: str) -> None:
        """A worker says hello; ``in_run`` is the run it is in, or empty."""
        for load in self._loads:
            load.greet(member, in_run)

    def hear(self, member: Member, message: messages.FromWorker) -> None:
        """A message about this run.  Returns at once."""
        for load in self._loads:
            load.intake.hear(member, message)

    def standings(self) -> list[results.WorkerShown]:
        """Each worker of this run, for the status page."""
        return [row for load in self._loads for row in load.standings()]
