"""The dispatcher: hands out each transaction when it is due, and never waits for an answer.

It paces a `Simulation` by the wall clock: it sleeps until the next event is due, or until
something changes (the speed, a pause, an answer that brings a campaign's next step), and then
takes the event.

    simulation ── peek ──► sleep until clock.wall_at ── step ──► Due ──► queues (one per persona,
        ▲                                                                one for fraud actors)
        └── answered ◄── outcome ◄── executor

A campaign's step is due at its simulated moment, but never before the answer it depends
on: at high speeds minutes shrink below a network round trip, and order is kept.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.hub import Waiter

from banksim.measure import Measures
from banksim.model import At, Outcome, Planned
from banksim.run.plan import LiveSimulation
from banksim.run.queues import ENDED_FIRST, FRAUD_SEAT, Arrival, Seats
from banksim.schedule.clock import Clock
from banksim.schedule.simulation import Begun, Due, Joining

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


#: Hand-outs in a row before other greenlets get a turn.
BURST = 50
#: How often the end of the last campaigns is looked for once simulated time is over.
END_POLL_S = 0.05
#: How often a process that may not offer asks again.
HELD_POLL_S = 0.02


class Dispatcher:
    """Turns due transactions into arrivals at the seats."""

    def __init__(
        self,
        simulation: LiveSimulation,
        clock: Clock,
        seats: Seats,
        measures: Measures,
        on_drop: Callable[[Planned, str], None],
        on_join: Callable[[Joining], None],
        moment: Callable[[], At],
        may_offer: Callable[[], bool] | None = None,
    ) -> None:
        """``moment``: the current one of the run.

        While ``may_offer`` returns False, what is due waits.
        """
        self._simulation = simulation
        self._clock = clock
        self._seats = seats
        self._measures = measures
        self._on_drop = on_drop
        self._on_join = on_join
        self._moment = moment
        self._may_offer = may_offer
        self._wakeup = Wakeup()
        self._stopped = False

    def run(self) -> None:
        """Hand out everything until simulated time is over and the last campaign has ended."""
        try:
            self._hand_out_what_is_due()
        finally:
            self._count_what_was_due()

    def stop(self) -> None:
        """Hand out nothing more."""
        self._stopped = True
        self._wakeup.wake()

    def wake(self) -> None:
        """Something changed: look again at what is due when."""
        self._wakeup.wake()

    def answered(self, planned: Planned, outcome: Outcome) -> None:
        """A transaction that was handed out has ended."""
        if self._simulation.answered(planned, outcome, time.monotonic()):
            self._wakeup.wake()

    def _hand_out_what_is_due(self) -> None:
        handed_out = 0
        while not self._stopped:
            moment_s = self._simulation.peek()
            if moment_s is None and self._over():
                return
            wait_s = self._wait_s(moment_s)
            if wait_s > 0:
                self._wakeup.sleep(None if math.isinf(wait_s) else wait_s)
                continue
            if self._may_offer is not None and not self._may_offer():
                gevent.sleep(HELD_POLL_S)
                continue
            self._hand_out_next()
            handed_out += 1
            if handed_out % BURST == 0:
                gevent.sleep(0)

    def _count_what_was_due(self) -> None:
        """A dispatcher that is behind when a run ends early owes arrivals: these are drops."""
        now_s = self._clock.sim_at(time.monotonic())
        for _ in range(self._simulation.skip_until(now_s, sys.maxsize)):
            self._count_offered()
            self._measures.dropped(self._moment(), None, ENDED_FIRST)

    def _over(self) -> bool:
        return self._clock.finished(time.monotonic()) and self._simulation.over

    def _wait_s(self, moment_s: float | None) -> float:
        """Wall seconds until there is something to do; always positive when ``moment_s`` is None."""
        now_s = time.monotonic()
        if moment_s is not None:
            return self._clock.wall_at(min(moment_s, self._clock.duration_s)) - now_s
        if self._clock.finished(now_s):
            return END_POLL_S
        return max(END_POLL_S, self._clock.wall_at(self._clock.duration_s) - now_s)

    def _hand_out_next(self) -> None:
        event = self._simulation.step()
        if isinstance(event, Due):
            self._hand_out(event)
        elif isinstance(event, Begun):
            if not event.spec.decoy:
                self._measures.planned_fraud.add(event.spec.typology, event.spec.size)
        else:
            self._on_join(event)

    def _hand_out(self, due: Due) -> None:
        self._count_offered()
        planned = due.planned
        if planned is None:
            self._measures.dropped(self._moment(), None, due.missing)
            return
        truth = planned.truth
        seat = FRAUD_SEAT if truth.is_fraud else truth.persona  # decoys are honest
        due_wall_s = max(self._clock.wall_at(due.sim_s), due.after_wall_s)
        refused = due.missing or self._seats.put(seat, Arrival(due_wall_s, planned))
        if refused:
            self._on_drop(planned, refused)

    def _count_offered(self) -> None:
        self._measures.offered(self._moment())
