"""The dispatcher: hands out whatever is due, when it is due, and waits for nobody.

One greenlet merges two streams by simulated time: genuine arrivals (drawn from the
offered rate) and the agenda (campaigns, their steps, customers that join).  It sleeps
until the earlier of the two is due on the wall clock, or until something changes: the
speed, a pause, or a campaign whose next step just became known.

    arrivals ──► plan ──┐
                        ├──► seats (one queue per persona, one for fraud actors)
    agenda ─────────────┘
      ▲    outcome of the step before
      └────────────────────────────────── executor

A campaign's step is due at its simulated moment, but never before the answer it depends
on: at high speeds minutes shrink below a network round trip, and order is kept.
"""

from __future__ import annotations

import heapq
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.hub import Waiter

from banksim.activity.onboarding import Joining
from banksim.fraud import CampaignRun, CampaignSpec
from banksim.measure import Measures
from banksim.model import Outcome, Planned
from banksim.run.plan import WHOLE, Parts, Share
from banksim.run.queues import ENDED_FIRST, FRAUD_SEAT, Arrival, Seats

logger = logging.getLogger(__name__)

# -- Sleep until a moment, or until somebody rings --------------------------------------------------
#
# The dispatcher sleeps some thousand times a second and is rarely rung.  Waiting for a
# `gevent.event.Event` with a timeout makes and throws an exception whenever nobody rang,
# which costs several times as much as this.


class Alarm:
    """One sleeper at a time.  A ring while nobody sleeps is nothing: look first, then sleep."""

    def __init__(self) -> None:
        self._waiter: Any = None

    def sleep(self, seconds: float | None) -> None:
        """Return after ``seconds`` of wall time (None: never), or once `ring` is called."""
        hub = gevent.get_hub()
        waiter = self._waiter = Waiter(hub)
        if seconds is None:
            waiter.get()
            return
        with hub.loop.timer(seconds) as timer:
            hub.loop.update_now()  # else the time spent since the loop's last turn would count as slept
            timer.start(self._ended, waiter)
            waiter.get()

    def ring(self) -> None:
        """Wake the sleeper at the loop's next turn, if there is one."""
        if self._waiter is not None:
            gevent.get_hub().loop.run_callback(self._ended, self._waiter)

    def _ended(self, waiter: Any) -> None:
        if waiter is self._waiter:  # else it is about a sleep that is over
            self._waiter = None
            waiter.switch(None)


# -- The agenda: everything that must happen at a known simulated moment, in order ------------------
#
# Genuine arrivals come from a stream and are not kept here; this holds what has a date of
# its own: campaigns that start, their next steps, customers that join.  It is a heap with
# a sequence number, so equal moments keep the order in which they were entered.


@dataclass(frozen=True, slots=True)
class CampaignStart:
    spec: CampaignSpec


@dataclass(frozen=True, slots=True)
class CampaignStep:
    """The next transaction of a campaign.  ``ready_wall_s``: when the answer before it came."""

    run: CampaignRun
    planned: Planned
    ready_wall_s: float


@dataclass(frozen=True, slots=True)
class CustomerJoins:
    joining: Joining


@dataclass(frozen=True, slots=True)
class FirstDeposit:
    """What a customer who joined during the run does first; ``begin`` makes them one who acts."""

    planned: Planned
    begin: Callable[[], None]


Entry = CampaignStart | CampaignStep | CustomerJoins | FirstDeposit


@dataclass(order=True, slots=True)
class _Dated:
    sim_s: float
    sequence: int
    entry: Entry = field(compare=False)


class Agenda:
    """A heap of dated entries.  Bounded by the plan: one entry per campaign and joining customer."""

    def __init__(self) -> None:
        self._heap: list[_Dated] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, sim_s: float, entry: Entry) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, _Dated(sim_s, self._sequence, entry))

    def add_campaigns(self, specs: Iterable[CampaignSpec]) -> None:
        for spec in specs:
            self.add(spec.start_s, CampaignStart(spec))

    def peek(self) -> float | None:
        """The first entry's moment in simulated seconds; None when there is none."""
        return self._heap[0].sim_s if self._heap else None

    def pop(self) -> tuple[float, Entry]:
        """Remove and return the first entry with its moment.  Raises IndexError when empty."""
        dated = heapq.heappop(self._heap)
        return dated.sim_s, dated.entry

    def drop(self, condition: Callable[[Entry], bool]) -> int:
        """Remove the entries for which ``condition`` holds; returns how many those were."""
        kept = [dated for dated in self._heap if not condition(dated.entry)]
        dropped = len(self._heap) - len(kept)
        heapq.heapify(kept)
        self._heap = kept
        return dropped


#: Hand-outs in a row before other greenlets get a turn.
BURST = 50
#: How often the end of the last campaigns is looked for once simulated time is over.
END_POLL_S = 0.05
#: How often a process that may not offer asks again.
HELD_POLL_S = 0.02


class Dispatcher:
    """Turns the plan into arrivals at the seats."""

    def __init__(
        self,
        parts: Parts,
        agenda: Agenda,
        seats: Seats,
        measures: Measures,
        on_drop: Callable[[Arrival, str], None],
        on_join: Callable[[Joining], None],
        moment: Callable[[], tuple[float, float]],
        is_open: Callable[[int], bool],
        share: Share = WHOLE,
        may_offer: Callable[[], bool] | None = None,
    ) -> None:
        """``moment``: (wall, simulated) seconds since the start; ``is_open``: whether a customer can act.

        ``share`` is this process's part of the load.  While ``may_offer`` says no, what is due waits.
        """
        self._clock = parts.clock
        self._arrivals = parts.arrivals
        self._activity = parts.activity
        self._desk = parts.desk
        self._speed = parts.clock.speed
        self._planned_tps = max(piece.value for piece in parts.offered)
        self._rate_factor = 1.0
        self._genuine = parts.genuine
        self._begun: set[str] = set()
        self._agenda = agenda
        self._seats = seats
        self._measures = measures
        self._on_drop = on_drop
        self._on_join = on_join
        self._moment = moment
        self._is_open = is_open
        self._share = share
        self._is_mine = None if share.is_whole else share.has_customer
        self._may_offer = may_offer
        self._alarm = Alarm()
        self._stopped = False
        self.active_campaigns = 0
        if not share.is_whole:
            self._change_arrivals(0.0)

    def run(self) -> None:
        """Hand out everything until simulated time is over and the last campaign has ended."""
        try:
            self._hand_out_what_is_due()
        finally:
            self._count_what_was_due()

    def _hand_out_what_is_due(self) -> None:
        handed_out = 0
        while not self._stopped:
            moment_s = self._next_moment()
            if moment_s is None and self._over():
                return
            wait_s = self._wait_s(moment_s)
            if wait_s > 0:
                self._alarm.sleep(None if math.isinf(wait_s) else wait_s)
                continue
            if self._may_offer is not None and not self._may_offer():
                gevent.sleep(HELD_POLL_S)
                continue
            assert moment_s is not None  # only a known moment can be due
            self._hand_out_next(moment_s)
            handed_out += 1
            if handed_out % BURST == 0:
                gevent.sleep(0)

    def _count_what_was_due(self) -> None:
        """A dispatcher that is behind when a run is ended early has arrivals it owes: they are drops."""
        now_s = self._clock.sim_at(time.monotonic())
        while (moment_s := self._arrivals.peek()) is not None and moment_s <= now_s:
            self._arrivals.take()
            self._count_offered()
            self._measures.dropped(None, ENDED_FIRST)

    def stop(self) -> None:
        """Hand out nothing more."""
        self._stopped = True
        self._alarm.ring()

    def wake(self) -> None:
        """Something changed: look again at what is due when."""
        self._alarm.ring()

    def change_speed(self, now_s: float, speed: float) -> None:
        """Arrivals and campaigns that have not started follow a new speed from ``now_s`` (simulated) on."""
        self._speed = speed
        self._arrivals.change(now_s, speed)
        self._plan_anew(now_s)

    def change_rate(self, now_s: float, tps: float) -> None:
        """Offer ``tps`` transactions per wall second from ``now_s`` (simulated) on; fraud keeps its share."""
        self._rate_factor = tps / self._planned_tps
        self._genuine = self._desk.genuine_share.map(lambda piece: tps * piece.value)
        self._change_arrivals(now_s)
        self._plan_anew(now_s)

    def change_share(self, now_s: float) -> None:
        """Who and what is this process's has changed from ``now_s`` (simulated) on.

        Genuine arrivals that fell due before, and were not handed out, are somebody else's business.
        """
        self._change_arrivals(now_s, keep_due=False)
        self._agenda.drop(lambda entry: isinstance(entry, CampaignStart))
        self.plan_campaigns()
        self.wake()

    def plan_campaigns(self) -> None:
        """Enter the campaigns of this process that have not begun into the agenda."""
        self._agenda.add_campaigns(
            spec for spec in self._mine(self._desk.planned) if spec.campaign_id not in self._begun
        )

    def _mine(self, specs: Iterable[CampaignSpec]) -> Iterator[CampaignSpec]:
        return (spec for spec in specs if self._share.has_campaign(spec.campaign_id, spec.start_s))

    def _change_arrivals(self, now_s: float, keep_due: bool = True) -> None:
        part = self._share.part
        rate = self._genuine.map(lambda piece: part * piece.value)
        self._arrivals.change(now_s, self._speed, rate, keep_due)

    def _plan_anew(self, now_s: float) -> None:
        # Twice the rate is to a plan what half the speed is: twice the transactions a simulated hour.
        planned = self._desk.replan(now_s, self._speed / self._rate_factor)
        # What was due and only not yet looked at has started, as far as the plan knows.
        self._agenda.drop(
            lambda e: isinstance(e, CampaignStart) and e.spec.rate_driven and e.spec.start_s >= now_s
        )
        self._agenda.add_campaigns(self._mine(planned))
        self.wake()

    def advance(self, run: CampaignRun, outcome: Outcome) -> None:
        """A campaign's step was answered: ask it for the next one."""
        planned = run.advance(outcome)
        if planned is None:
            self._end_campaign(run)
        else:
            self._agenda.add(planned.sim_s, CampaignStep(run, planned, time.monotonic()))
        self.wake()

    def _next_moment(self) -> float | None:
        genuine_s, dated_s = self._arrivals.peek(), self._agenda.peek()
        if genuine_s is None or dated_s is None:
            return dated_s if genuine_s is None else genuine_s
        return min(genuine_s, dated_s)

    def _over(self) -> bool:
        return self._clock.finished(time.monotonic()) and self.active_campaigns == 0

    def _wait_s(self, moment_s: float | None) -> float:
        now_s = time.monotonic()
        if moment_s is not None:
            return self._clock.wall_at(min(moment_s, self._clock.duration_s)) - now_s
        if self._clock.finished(now_s):
            return END_POLL_S
        return max(END_POLL_S, self._clock.wall_at(self._clock.duration_s) - now_s)

    def _hand_out_next(self, moment_s: float) -> None:
        if self._arrivals.peek() == moment_s:
            self._arrivals.take()
            planned = self._activity.plan(moment_s, self._is_open, self._is_mine)
            if planned is not None:
                self._put(planned.truth.persona, Arrival(self._clock.wall_at(moment_s), planned))
            else:
                self._count_offered()
                self._measures.dropped(None, "no customer was open")
            return
        _, entry = self._agenda.pop()
        match entry:
            case CampaignStart(spec):
                self._begin_campaign(self._desk.open(spec, self._is_open))
            case CampaignStep(run, planned, ready_wall_s):
                due_wall_s = max(self._clock.wall_at(planned.sim_s), ready_wall_s)
                seat = FRAUD_SEAT if planned.truth.is_fraud else planned.truth.persona  # decoys are honest
                arrival = Arrival(due_wall_s, planned, run)
                if self._is_open(planned.transaction.account.customer_index):
                    self._put(seat, arrival)
                else:  # nobody who has joined suits the campaign so far
                    self._count_offered()
                    self._on_drop(arrival, "the customer has not joined yet")
            case CustomerJoins(joining):
                self._on_join(joining)
            case FirstDeposit(planned, begin):
                begin()
                self._activity.note(planned.transaction)
                self._put(planned.truth.persona, Arrival(self._clock.wall_at(moment_s), planned))

    def _count_offered(self) -> None:
        wall_s, sim_s = self._moment()
        self._measures.tick(sim_s, wall_s)
        self._measures.offered()

    def _put(self, seat: str, arrival: Arrival) -> None:
        self._count_offered()
        refused = self._seats.put(seat, arrival)
        if refused:
            self._on_drop(arrival, refused)

    def _begin_campaign(self, run: CampaignRun) -> None:
        self.active_campaigns += 1
        self._begun.add(run.spec.campaign_id)
        planned = run.first()
        logger.debug("Campaign %s starts", run.spec.campaign_id)
        if planned is None:
            self._end_campaign(run)
        else:
            self._agenda.add(planned.sim_s, CampaignStep(run, planned, 0.0))

    def _end_campaign(self, run: CampaignRun) -> None:
        self.active_campaigns -= 1
        logger.debug("Campaign %s ends", run.spec.campaign_id)
        ended_s = self._clock.sim_at(time.monotonic())
        self._agenda.add_campaigns(
            spec for spec in self._desk.finished(run, ended_s) if spec.start_s < self._clock.duration_s
        )
