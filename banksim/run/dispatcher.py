"""The dispatcher: hands out each transaction when it is due, and never waits for an answer.

It paces a `Simulation` by the wall clock: it sleeps until the next event is due, or until
something changes (the speed, a pause, an answer that brings a campaign's next step), and then
takes the event, or all arrivals that are due.

    simulation ── peek ──► sleep until clock.wall_at ── step ──► Rows ──► row executor
        ▲                                                    │     └────► queues (one per persona whose users
        │                                                    └── Due ───► do something of their own, one for
        └── CampaignDriver ◄── sink ◄── outcome ◄── executor              fraud actors)

A campaign's step is due at its simulated moment, but never before the answer it depends
on: at high speeds minutes shrink below a network round trip, and order is kept.

Queues where due arrivals wait for a user of their persona to take them.

One queue per kind of user.  The dispatcher puts, users take; a user's wait ends when something
is due for it.  Users run short when an arrival finds every user of its persona busy and has to
wait: `shortage_ms` says how long, so that users can be added.  An arrival that is late although
a user was free says something else: this process is short of CPU, and more users would only make
that worse.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import gevent
from gevent.hub import Waiter
from gevent.queue import SimpleQueue

from banksim.activity.block import Block
from banksim.fraud import CampaignSpec, FraudProgram
from banksim.measure.block import ResultBlock
from banksim.measure.counts import BoundedCounts
from banksim.model import NOT_SCORED, At, BankReply, BankStatus, Ended, Outcome, Planned
from banksim.run.plan import LiveSimulation, Replanner
from banksim.run.process import BusyMeter
from banksim.run.sink import Ignore, Sink
from banksim.run.timekeeper import Timekeeper
from banksim.schedule.simulation import NO_CUSTOMER, Begun, Due, Joining, Rows
from banksim.targets.carrier import ENDED_FIRST

#: The queue of fraud actors, next to one per persona.
FRAUD_SEAT = "fraud"
#: The queue of personas that have no user class of their own.
ANY_PERSONA = "*"

#: Why what found no room counts as dropped.
QUEUE_FULL = "queue full"

#: Arrivals one queue may hold; more are dropped and counted.
MAX_WAITING = 20_000


class Performer(Protocol):
    """Carries out arrivals."""

    def perform(self, arrival: Arrival) -> None:
        """Returns when the arrival has ended, one way or another."""

    def decline(self, arrival: Arrival, reason: str) -> None:
        """It is not carried out: a drop."""


class Arrival(NamedTuple):
    """A planned transaction and the wall moment (monotonic seconds) at which it should start."""

    due_wall_s: float
    planned: Planned
    performer: Performer

    def carry_out(self) -> None:
        """Send the transaction; returns when it has ended."""
        self.performer.perform(self)


class UserQueues:
    """The queues between dispatcher and users.  ``taken`` counts the arrivals that users took."""

    def __init__(self, names: Iterable[str], idle: Iterable[str] = ()) -> None:
        """``names`` are the personas that have users, plus ANY_PERSONA and FRAUD_SEAT if they do.

        Those of ``idle`` ones do nothing of their own: what is due for them needs no user.
        """
        self._idle = frozenset(idle)
        self._queues: dict[str, SimpleQueue] = {name: SimpleQueue() for name in names}
        self._free = dict.fromkeys(self._queues, 0)
        self._worst_wait_s = 0.0
        self.taken = 0

    def needs_user(self, name: str) -> bool:
        """Whether what is due for users of ``name`` has to wait for one."""
        return (name if name in self._queues else ANY_PERSONA) not in self._idle

    def put(self, name: str, arrival: Arrival) -> str:
        """Queue an arrival for users of ``name``; returns why not, or "" when it was queued."""
        queue = self._queues.get(name) or self._queues.get(ANY_PERSONA)
        if queue is None:
            return f"no user class plays {name}"
        if queue.qsize() >= MAX_WAITING:
            return QUEUE_FULL
        queue.put(arrival)
        return ""

    def take(self, name: str) -> Arrival:
        """Wait until an arrival is due for users of ``name``.  Raises KeyError for an unknown name."""
        queue = self._queues[name]
        all_were_busy = queue.qsize() > self._free[name]
        self._free[name] += 1
        try:
            arrival: Arrival = queue.get()
        finally:
            self._free[name] -= 1
        self.taken += 1
        if all_were_busy:
            self._worst_wait_s = max(self._worst_wait_s, time.monotonic() - arrival.due_wall_s)
        return arrival

    def take_late(self, due_before_s: float) -> list[Arrival]:
        """Take out what was due before this moment (monotonic seconds), which no user took."""
        late = []
        for queue in self._queues.values():
            while queue.qsize() and queue.peek().due_wall_s < due_before_s:
                late.append(queue.get())
        return late

    @property
    def waiting(self) -> int:
        """Arrivals that wait for a user now."""
        return sum(queue.qsize() for queue in self._queues.values())

    def drain(self) -> list[Arrival]:
        """Take everything that still waits, without waiting for more."""
        left = []
        for queue in self._queues.values():
            while queue.qsize():
                left.append(queue.get())
        return left

    def shortage_ms(self) -> float:
        """The longest an arrival waited for a busy user since the last call, in ms of wall time."""
        worst_s, self._worst_wait_s = self._worst_wait_s, 0.0
        return worst_s * 1000.0


# -- An interruptible sleep -------------------------------------------------------------------------
#
# The dispatcher sleeps some thousand times a second and is rarely woken early.  Waiting for a
# `gevent.event.Event` with a timeout makes and throws an exception for each sleep that ends by
# itself, which costs several times as much as this.


class Wakeup:
    """One sleeper at a time.  `wake` without a sleeper has no effect: look first, then sleep."""

    def __init__(self) -> None:
        self._waiter: Any = None

    def sleep(self, seconds: float | None) -> None:
        """Return after ``seconds`` of wall time (None: never), or once `wake` is called."""
        hub = gevent.get_hub()
        waiter = self._waiter = Waiter(hub)
        if seconds is None:
            waiter.get()
            return
        with hub.loop.timer(seconds) as timer:
            hub.loop.update_now()  # else the time spent since the loop's last turn would count as slept
            timer.start(self._ended, waiter)
            waiter.get()

    def wake(self) -> None:
        """End the sleep at the loop's next turn, if there is one."""
        if self._waiter is not None:
            gevent.get_hub().loop.run_callback(self._ended, self._waiter)

    def _ended(self, waiter: Any) -> None:
        if waiter is self._waiter:  # else it is about a sleep that is over
            self._waiter = None
            waiter.switch(None)


# -- More load than this process can carry ----------------------------------------------------------
#
# Planning costs as much as a fifth of a transaction.  A process that plans and queues all it is
# asked for, only to drop it when it is too late to send, carries less the more it is asked for; and
# what it does carry is as late as its queues are long.  So once more waits than it can carry soon,
# what is due is dropped *before* it is planned.
#
#     too much  =  the event loop has had no rest
#                  and  (the queues hold, or the dispatcher is behind by, more than HALF A SECOND's work)
#
# A long queue alone is not enough: behind a slow bank all users wait for answers, this process
# rests, and what waits is part of the response times.  "No rest" counts the time the thread ran
# and the time it was ready to run while others had the core.


OVERLOADED = "generator overloaded"
#: Wall seconds of work that may wait, in the queues or for the dispatcher.
WORK_S = 0.5
#: Arrivals that may always wait.
MIN_WAITING = 100
#: Share of the last second without rest from which on a long queue is this process's own doing.
NO_REST = 0.9
SAMPLE_EVERY_S = 0.1
SAMPLES = 10


class Backlog(Protocol):
    """What was handed out: how much waits to begin, and how much has begun so far."""

    @property
    def waiting(self) -> int: ...
    @property
    def begun(self) -> int: ...


class Overload:
    """Detects when more waits than this process can carry soon."""

    def __init__(self, backlog: Backlog, meter: BusyMeter) -> None:
        self._backlog = backlog
        self._meter = meter
        #: (wall, busy, begun) so far, in seconds; a second of samples.
        self._samples: deque[tuple[float, float, int]] = deque(maxlen=SAMPLES)

    def now(self, behind_s: float) -> bool:
        """Whether it is the case, with a dispatcher that is ``behind_s`` late; costs a microsecond."""
        now_s = time.monotonic()
        if not self._samples or now_s - self._samples[-1][0] >= SAMPLE_EVERY_S:
            self._samples.append((now_s, self._meter.busy_s(), self._backlog.begun))
        (from_s, busy_from_s, begun_before), (until_s, busy_s, begun) = self._samples[0], self._samples[-1]
        span_s = until_s - from_s
        if span_s < SAMPLE_EVERY_S or busy_s - busy_from_s < NO_REST * span_s:
            return False
        carried_tps = (begun - begun_before) / span_s
        return behind_s > WORK_S or self._backlog.waiting > max(MIN_WAITING, WORK_S * carried_tps)


#: The outcome of a campaign's step that was not sent.
DROPPED = Outcome(
    BankReply(BankStatus.FAILED, "dropped before sending"), NOT_SCORED, lag_ms=0.0, service_ms=0.0
)


class CampaignDriver(Ignore):
    """The sink that passes outcomes on to the simulation, where campaigns wait for them."""

    def __init__(self, simulation: LiveSimulation, wakeup: Wakeup) -> None:
        self._simulation = simulation
        self._wakeup = wakeup

    def dropped(self, at: At, planned: Planned | None, reason: str, n: int = 1) -> None:  # noqa: ARG002
        if planned is not None:
            self._answered(planned, DROPPED)

    def ended(self, at: At, results: Sequence[Ended]) -> None:  # noqa: ARG002
        if isinstance(results, ResultBlock):
            return  # rows: no campaign waits for them
        for planned, outcome in results:
            self._answered(planned, outcome)

    def _answered(self, planned: Planned, outcome: Outcome) -> None:
        if self._simulation.answered(planned, outcome, time.monotonic()):
            self._wakeup.wake()


#: Hand-outs in a row before other greenlets get a turn.
BURST = 50
#: Wall seconds between two looks for what is due, at least.
LOOK_S = 0.0005
#: Arrivals dropped in a row before other greenlets get a turn, and how long that is.
MOST_SHED = 5_000
SHED_PAUSE_S = 0.002
#: How often the end of the last campaigns is looked for once simulated time is over.
END_POLL_S = 0.05
#: How often a process that may not offer asks again.
HELD_POLL_S = 0.02


class Lease(Protocol):
    """Whether this process may offer its share now; while it may not, what is due waits."""

    def may_offer(self) -> bool: ...


class AlwaysOffer:
    """The lease of a process alone."""

    def may_offer(self) -> bool:
        return True


ALWAYS: Lease = AlwaysOffer()


class Joiner(Protocol):
    """Opens customers who join."""

    def join(self, joining: Joining) -> None:
        """A customer's joining is due.  Returns at once."""


class RowPerformer(Protocol):
    """Carries out rows."""

    def put(self, at: At, block: Block, positions: Sequence[int]) -> None:
        """Send these rows of a block, which are due.  Returns at once."""


class Dispatcher:
    """Hands what is due to the row executor or the users' queues; follows the run's timekeeper."""

    def __init__(
        self,
        simulation: LiveSimulation,
        timekeeper: Timekeeper,
        queues: UserQueues,
        performer: Performer,
        rows: RowPerformer,
        backlog: Backlog,
        sink: Sink,
        joiner: Joiner,
        wakeup: Wakeup,
        program: FraudProgram,
        planned_fraud: BoundedCounts[str],
        lease: Lease,
    ) -> None:
        """``planned_fraud`` counts the transactions that begun campaigns are to make, by typology."""
        self._simulation = simulation
        self._timekeeper = timekeeper
        self._clock = timekeeper.clock
        self._queues = queues
        self._performer = performer
        self._rows = rows
        self._sink = sink
        self._joiner = joiner
        self._wakeup = wakeup
        self._replanner = Replanner(program, [self])
        self._planned_fraud = planned_fraud
        self._lease = lease
        self._overload = Overload(backlog, BusyMeter())
        self._stopped = False

    def run(self) -> None:
        """Hand out everything until simulated time is over and the last campaign has ended."""
        self._replanner.wait()
        try:
            self._hand_out_what_is_due()
        finally:
            self._count_what_was_due()

    def stop(self) -> None:
        """Hand out nothing more."""
        self._stopped = True
        self._wakeup.wake()

    def plan(self) -> None:
        """Return once the campaigns of the present rate and speed are planned."""
        self._replanner.wait()

    @property
    def behind(self) -> bool:
        """Whether something is due that has not been handed out."""
        moment_s = None if self._stopped else self._simulation.peek()
        return moment_s is not None and self._wait_s(moment_s) <= 0

    # -- as a follower of the timekeeper ------------------------------------------------------

    def change_speed(self, sim_s: float, speed: float) -> None:
        self._replanner.replan(self._simulation.change_speed(sim_s, speed))

    def change_rate(self, sim_s: float, tps: float) -> None:
        self._replanner.replan(self._simulation.change_rate(sim_s, tps))

    def clock_changed(self) -> None:
        self._wakeup.wake()

    def mine(self, specs: Iterable[CampaignSpec]) -> list[CampaignSpec]:
        return self._simulation.mine(specs)

    def adopt(self, planned: Sequence[CampaignSpec], until_s: float) -> None:
        """Replanned campaigns; one may be due already."""
        self._simulation.adopt(planned, until_s)
        self._wakeup.wake()

    # -- the loop -----------------------------------------------------------------------------

    def _hand_out_what_is_due(self) -> None:
        handed_out, overloaded = 0, False
        while not self._stopped:
            moment_s = self._simulation.peek()
            if moment_s is None and self._over():
                return
            wait_s = self._wait_s(moment_s)
            if wait_s > 0:
                self._wakeup.sleep(None if math.isinf(wait_s) else max(LOOK_S, wait_s))
            elif not self._lease.may_offer():
                gevent.sleep(HELD_POLL_S)
            elif overloaded and self._shed():
                gevent.sleep(SHED_PAUSE_S)
                overloaded = self._overload.now(0.0)
            else:
                handed_out += self._hand_out_next()
                if handed_out >= BURST:
                    handed_out = 0
                    gevent.sleep(0)
                    overloaded = self._overload.now(-wait_s)

    def _shed(self) -> int:
        """Drop the arrivals that are due, without planning them; returns how many those were."""
        at = self._timekeeper.now()
        shed = self._simulation.skip_until(at.sim_s, MOST_SHED)
        if shed:
            self._sink.offered(at, shed)
            self._sink.dropped(at, None, OVERLOADED, shed)
        return shed

    def _count_what_was_due(self) -> None:
        """A dispatcher that is behind when a run ends early owes arrivals: these are drops."""
        at = self._timekeeper.now()
        owed = self._simulation.skip_until(at.sim_s, sys.maxsize)
        if owed:
            self._sink.offered(at, owed)
            self._sink.dropped(at, None, ENDED_FIRST, owed)

    def _over(self) -> bool:
        return self._timekeeper.over and self._simulation.over and not self._replanner.busy

    def _wait_s(self, moment_s: float | None) -> float:
        """Wall seconds until there is something to do; always positive when ``moment_s`` is None."""
        now_s = time.monotonic()
        if moment_s is not None:
            return self._clock.wall_at(min(moment_s, self._clock.duration_s)) - now_s
        if self._clock.finished(now_s):
            return END_POLL_S
        return max(END_POLL_S, self._clock.wall_at(self._clock.duration_s) - now_s)

    def _hand_out_next(self) -> int:
        """Returns how many events that were."""
        at = self._timekeeper.now()
        event = self._simulation.step(at.sim_s, BURST)
        if isinstance(event, Rows):
            self._hand_out_rows(at, event)
            return event.end - event.start + event.missing
        if isinstance(event, Due):
            self._hand_out(at, event)
        elif not isinstance(event, Begun):
            self._joiner.join(event)
        elif not event.spec.decoy:
            self._planned_fraud.add(event.spec.typology, event.spec.size)
        return 1

    def _hand_out_rows(self, at: At, rows: Rows[Block]) -> None:
        block, start, end, missing = rows
        self._sink.offered(at, end - start + missing)
        if missing:
            self._sink.dropped(at, None, NO_CUSTOMER, missing)
        needs = [self._queues.needs_user(persona) for persona in block.legend.personas]
        if not any(needs):
            self._rows.put(at, block, range(start, end))
            return
        personas = block.persona[start:end].tolist()
        if not all(needs):
            self._rows.put(at, block, [start + n for n, code in enumerate(personas) if not needs[code]])
        for position in (start + n for n, code in enumerate(personas) if needs[code]):
            planned = block.planned(position)
            self._to_user(at, planned, self._clock.wall_at(planned.sim_s))

    def _hand_out(self, at: At, due: Due) -> None:
        self._sink.offered(at)
        if due.missing:
            self._sink.dropped(at, due.planned, due.missing)
        else:
            self._to_user(at, due.planned, max(self._clock.wall_at(due.sim_s), due.after_wall_s))

    def _to_user(self, at: At, planned: Planned, due_wall_s: float) -> None:
        truth = planned.truth
        users = FRAUD_SEAT if truth.is_fraud else truth.persona  # decoys are genuine
        refused = self._queues.put(users, Arrival(due_wall_s, planned, self._performer))
        if refused:
            self._sink.dropped(at, planned, refused)
