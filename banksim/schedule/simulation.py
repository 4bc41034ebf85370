"""The one event loop of a run, without a wall clock: a heap of dated events merged with the arrivals.

    arrivals ──► planner ──────────────┐    ┌──► Rows ──► (sent)
                                       ├──► step() ──► Due ──► (sent, answered) ──┐
    dated: campaigns, their steps, ────┘                                          │
      ▲    joining customers, first deposits                                      │
      └───────────────────────────────────── answered(planned, outcome) ◄─────────┘

A dispatcher sleeps until the wall moment of `peek` and then calls `step`, which gives all arrivals up
to the next dated event at once.  A data set plans many arrivals at once (`take_arrivals`) and takes
the dated events between them (`take_dated`).
Everything else is the same in both:

* An arrival and a dated event at the same moment: the arrival comes first.
* Who may act: customers who were there before the run, and those who joined and have reached
  their first deposit, as long as they have an account at the bank.
* A campaign's step whose payer or payee may not act is due but cannot be sent: see `Due.missing`.
* What genuine customers do depends on the seed and the arrivals alone, never on answers.

Moments are simulated seconds since the start of the run.  What people do (`Planner`), what
fraudsters do (`Program`) and who joins (`Onboarding`) is decided elsewhere.
"""

from __future__ import annotations

import heapq
import logging
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from banksim.model import Outcome, Planned, Transaction
from banksim.schedule.arrivals import WHOLE, Arrivals, Share
from banksim.schedule.clock import Clock, PiecewiseRate

logger = logging.getLogger(__name__)

#: Why a due transaction cannot be sent.
NO_CUSTOMER = "no customer was open"
NOT_JOINED = "the customer has not joined yet"

CustomerTest = Callable[[int], bool]
#: A block of rows: what genuine customers do at some arrivals.
B = TypeVar("B")

# -- What a simulation asks for ---------------------------------------------------------------------


class Planner(Protocol[B]):
    """Plans what genuine customers do at the plan's arrivals, ahead of time."""

    def peek(self) -> float | None:
        """The moment of the next arrival, None when there is none before the end of the run."""

    def take(
        self,
        until_s: float,
        most: int,
        is_open: CustomerTest | None = None,
        is_mine: CustomerTest | None = None,
    ) -> Rows[B]:
        """The next arrivals until ``until_s``, at most so many; there is one."""

    def take_back(self) -> None:
        """Forget what was planned and not taken; the arrivals are then as if only that had been drawn."""

    def note(self, transaction: Transaction) -> None:
        """Count a transaction planned elsewhere, such as a first deposit."""


class Spec(Protocol):
    """A campaign that has not started."""

    @property
    def campaign_id(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def rate_driven(self) -> bool: ...
    @property
    def follows(self) -> str | None: ...


class Campaign(Protocol):
    """A campaign that has started."""

    @property
    def spec(self) -> Spec: ...
    @property
    def ended_s(self) -> float: ...
    @property
    def fault(self) -> str: ...
    def first(self) -> Planned | None: ...
    def advance(self, outcome: Outcome) -> Planned | None: ...


S = TypeVar("S", bound=Spec)
C = TypeVar("C", bound=Campaign)


class Program(Protocol[S, C]):
    """Plans and opens campaigns."""

    @property
    def planned(self) -> Sequence[S]: ...
    @property
    def genuine_share(self) -> PiecewiseRate: ...
    def replan(self, from_s: float, speed: float) -> list[S]: ...
    def open(self, spec: S, onboarded: CustomerTest | None = None) -> C: ...
    def finished(self, run: C, at_s: float) -> list[S]: ...


class Joining(Protocol):
    """A customer who applies at ``sim_s``; ``first_deposit`` is None where none falls into the run."""

    @property
    def sim_s(self) -> float: ...
    @property
    def customer_index(self) -> int: ...
    @property
    def approved(self) -> bool: ...
    @property
    def first_deposit(self) -> Planned | None: ...


class Onboarding(Protocol):
    """Who joins during the run, in order of time; the first ``existing`` customers were there before."""

    existing: int

    def __next__(self) -> Joining: ...
    def move_to(self, sim_s: float) -> None: ...


class Plan(Protocol[S, C, B]):
    """The plan of one run.  ``offered`` is λ per wall second, ``genuine`` the genuine part of it."""

    @property
    def clock(self) -> Clock: ...
    @property
    def offered(self) -> PiecewiseRate: ...
    @property
    def genuine(self) -> PiecewiseRate: ...
    @property
    def arrivals(self) -> Arrivals: ...
    @property
    def activity(self) -> Planner[B]: ...
    @property
    def desk(self) -> Program[S, C]: ...
    @property
    def onboarding(self) -> Onboarding | None: ...


# -- What a simulation gives ------------------------------------------------------------------------


class Rows(NamedTuple, Generic[B]):
    """Arrivals fall due together: those at ``start`` to ``end`` (exclusive) of a block.

    For ``missing`` more no customer was found.  Nobody waits for their outcome.
    """

    block: B
    start: int
    end: int
    missing: int = 0


class Due(NamedTuple):
    """A transaction falls due.  The caller answers each one exactly once.

    ``missing`` says why it cannot be sent, empty when it can.  ``after_wall_s`` is the wall moment of
    the answer that it waited for, as given to `Simulation.answered`; 0 when it waited for none.
    """

    sim_s: float
    planned: Planned
    missing: str = ""
    after_wall_s: float = 0.0


class Begun(NamedTuple, Generic[S]):
    """A campaign has started; its first step, if it has one, falls due later."""

    spec: S


class Replan(NamedTuple):
    """What the program must be asked for: campaigns from simulated ``from_s`` on, at ``speed``."""

    from_s: float
    speed: float


@dataclass(frozen=True, slots=True)
class _Start(Generic[S]):
    spec: S


@dataclass(frozen=True, slots=True)
class _Step(Generic[C]):
    campaign: C
    planned: Planned
    after_wall_s: float


@dataclass(frozen=True, slots=True)
class _FirstDeposit:
    planned: Planned


_Entry = _Start[S] | _Step[C] | _FirstDeposit | Joining


class Simulation(Generic[S, C, B]):
    """The events of one run in the order of simulated time.

    Bounds: one dated event for each planned campaign and for each customer between joining and
    first deposit; ``faults`` holds one text for each campaign whose typology raised.
    """

    def __init__(
        self, plan: Plan[S, C, B], share: Share = WHOLE, has_account: CustomerTest | None = None
    ) -> None:
        """``has_account(index)`` tells whether the bank knows a customer; None: it knows everyone."""
        self._plan = plan
        self._arrivals = plan.arrivals
        self._planner = plan.activity
        self._program = plan.desk
        self._onboarding = plan.onboarding
        self._share = share
        self._is_mine = None if share.is_whole else share.has_customer
        self._has_account = has_account
        # Called several times for each transaction, so without detours where there are none.
        self._may_act = has_account if plan.onboarding is None else self._has_joined
        self._speed = plan.clock.speed
        self._rate_factor = 1.0
        self._genuine = plan.genuine
        # Rate-driven campaigns that have not started, in order; as many as the program plans.
        self._driven: deque[S] = deque()
        self._dated: list[tuple[float, int, _Entry[S, C]]] = []
        self._sequence = 0
        self._last_joining: Joining | None = None
        self._acting: set[int] = set()
        self._begun: set[str] = set()
        self._unanswered: dict[str, C] = {}  # by transaction: one for each active campaign
        self.active_campaigns = 0
        #: Campaigns that ended because their typology raised, and what it raised.
        self.faults: dict[str, str] = {}
        if not share.is_whole:
            self._change_arrivals(0.0)
        self._plan_campaigns()
        self._schedule_joining()

    # -- the loop -------------------------------------------------------------------------

    def peek(self) -> float | None:
        """The moment of the next event; None when there is none until an answer brings one."""
        arrival_s, dated_s = self._planner.peek(), self.peek_dated()
        if dated_s is None:
            return arrival_s
        return dated_s if arrival_s is None or dated_s < arrival_s else arrival_s

    def step(self, until_s: float = 0.0, most: int = 1) -> Rows[B] | Due | Begun[S] | Joining:
        """Take the next event: a campaign's step, a campaign that starts, a customer who joins, or the
        next arrival with those after it until ``until_s``, at most so many.

        Raises IndexError when there is no event.
        """
        arrival_s, dated_s = self._planner.peek(), self.peek_dated()
        if arrival_s is None or (dated_s is not None and dated_s < arrival_s):
            return self.take_dated()
        until_s = max(arrival_s, until_s if dated_s is None else min(until_s, dated_s))
        return self._planner.take(until_s, most, self._may_act, self._is_mine)

    def peek_dated(self) -> float | None:
        """The moment of the first event that is no arrival."""
        dated_s = self._dated[0][0] if self._dated else None
        if self._driven and (dated_s is None or self._driven[0].start_s < dated_s):
            return self._driven[0].start_s
        return dated_s

    def take_dated(self, note: bool = True) -> Due | Begun[S] | Joining:
        """Take the first event that is no arrival.  Raises IndexError when there is none.

        The planner counts a first deposit, unless ``note`` is False: then the caller has it counted.
        """
        if self._driven and (not self._dated or self._driven[0].start_s < self._dated[0][0]):
            return self._begin(self._driven.popleft())
        moment_s, _, entry = heapq.heappop(self._dated)
        if isinstance(entry, _Step):
            self._unanswered[entry.planned.transaction.transaction_id] = entry.campaign
            missing = "" if self._have_accounts(entry.planned) else NOT_JOINED
            return Due(moment_s, entry.planned, missing, entry.after_wall_s)
        if isinstance(entry, _Start):
            return self._begin(entry.spec)
        if isinstance(entry, _FirstDeposit):
            self._acting.add(entry.planned.transaction.account.customer_index)
            if note:
                self._planner.note(entry.planned.transaction)
            return Due(moment_s, entry.planned)
        if entry is self._last_joining:
            self._schedule_joining()
        return entry

    def take_arrivals(self, count: int) -> NDArray[np.float64]:
        """Take the next ``count`` arrivals (fewer at the end) without planning them: their moments."""
        self._planner.take_back()
        return self._arrivals.take_many(count)

    def answered(self, planned: Planned, outcome: Outcome, at_wall_s: float = 0.0) -> bool:
        """``outcome`` came of a due transaction; returns whether there may be a new event because of it."""
        campaign = self._unanswered.pop(planned.transaction.transaction_id, None)
        if campaign is None:
            return False
        self._continue(campaign, campaign.advance(outcome), at_wall_s)
        return True

    def skip_until(self, sim_s: float, most: int) -> int:
        """Take up to ``most`` arrivals due by ``sim_s`` without planning them; returns their number."""
        self._planner.take_back()
        return self._arrivals.skip(sim_s, most)

    @property
    def over(self) -> bool:
        """Whether nothing is left and no answer can bring anything more."""
        return self.active_campaigns == 0 and self.peek() is None

    # -- customers ------------------------------------------------------------------------

    def may_act(self, index: int) -> bool:
        """Whether a customer has an account and uses it."""
        return self._may_act is None or self._may_act(index)

    def joined(self, joining: Joining) -> None:
        """The bank has opened accounts for a customer; they act from their first deposit on."""
        if joining.approved and joining.first_deposit is not None:
            self._add(joining.first_deposit.sim_s, _FirstDeposit(joining.first_deposit))

    def admit(self, indices: Iterable[int]) -> None:
        """These customers act from now on: another process has opened them."""
        self._acting.update(indices)

    def joinings_until(self, sim_s: float) -> list[Joining]:
        """Joinings up to ``sim_s`` that were not looked at before; they are still to be taken."""
        found = []
        while self._last_joining is not None and self._last_joining.sim_s <= sim_s:
            found.append(self._last_joining)
            self._schedule_joining()
        return found

    def join_from(self, sim_s: float) -> None:
        """The next customer to join is the first at or after ``sim_s``."""
        if self._onboarding is not None:
            self._drop(lambda entry: not isinstance(entry, _Start | _Step | _FirstDeposit))
            self._onboarding.move_to(sim_s)
            self._schedule_joining()

    # -- changes --------------------------------------------------------------------------

    def change_speed(self, now_s: float, speed: float) -> Replan:
        """Arrivals follow a new speed from ``now_s`` on, and campaigns once they are replanned.

        Campaigns that depend on the rate and have not started are taken out; the caller has the
        program replan them, which may take a while, and gives the result to `adopt`.
        """
        self._speed = speed
        self._planner.take_back()
        self._arrivals.change(now_s, speed)
        return self._take_out(now_s)

    def change_rate(self, now_s: float, tps: float) -> Replan:
        """Offer ``tps`` transactions per wall second from ``now_s`` on; fraud keeps its share.

        Campaigns are replanned as after `change_speed`.
        """
        self._rate_factor = tps / max(piece.value for piece in self._plan.offered)
        self._genuine = self._program.genuine_share.map(lambda piece: tps * piece.value)
        self._change_arrivals(now_s)
        return self._take_out(now_s)

    def mine(self, specs: Iterable[S]) -> list[S]:
        """Those that belong to this process's share."""
        if self._share.is_whole:
            return list(specs)
        return [spec for spec in specs if self._share.has_campaign(spec.campaign_id, spec.start_s)]

    def adopt(self, planned: Sequence[S], until_s: float = math.inf) -> None:
        """Enter replanned campaigns of this process (in order) that start before ``until_s``.

        From then on others are to come.  Takes a millisecond for tens of thousands.
        """
        self._driven.extend(planned[: bisect_left(planned, until_s, key=lambda spec: spec.start_s)])

    def change_share(self, now_s: float) -> None:
        """The share has changed from ``now_s`` on.

        Arrivals that fell due before and were not taken belong to other processes.  A follower
        that waits for its start stays: only this process knows what it inherits.
        """
        self._change_arrivals(now_s, keep_due=False)
        self._drop(lambda entry: isinstance(entry, _Start) and entry.spec.follows is None)
        self._driven.clear()
        self._plan_campaigns()

    def _change_arrivals(self, now_s: float, keep_due: bool = True) -> None:
        part = self._share.part
        rate = self._genuine.map(lambda piece: part * piece.value)
        self._planner.take_back()
        self._arrivals.change(now_s, self._speed, rate, keep_due)

    def _take_out(self, now_s: float) -> Replan:
        # What fell due before and was not taken yet has started, as far as the plan knows.
        due = takewhile(lambda spec: spec.start_s < now_s, self._driven)
        self._driven = deque(due)
        # Twice the rate is to a plan what half the speed is: twice the transactions a simulated hour.
        return Replan(now_s, self._speed / self._rate_factor)

    def _plan_campaigns(self) -> None:
        for spec in self.mine(self._program.planned):
            if spec.campaign_id in self._begun:
                continue
            if spec.rate_driven:
                self._driven.append(spec)
            else:
                self._add(spec.start_s, _Start(spec))

    # -- dated events ---------------------------------------------------------------------

    def _begin(self, spec: S) -> Begun[S]:
        self.active_campaigns += 1
        self._begun.add(spec.campaign_id)
        logger.debug("Campaign %s starts", spec.campaign_id)
        campaign = self._program.open(spec, self._may_act)
        self._continue(campaign, campaign.first(), 0.0)
        return Begun(spec)

    def _continue(self, campaign: C, planned: Planned | None, after_wall_s: float) -> None:
        if planned is not None:
            self._add(planned.sim_s, _Step(campaign, planned, after_wall_s))
            return
        self.active_campaigns -= 1
        logger.debug("Campaign %s ends", campaign.spec.campaign_id)
        if campaign.fault:
            self.faults[campaign.spec.campaign_id] = campaign.fault
        followers = self._program.finished(campaign, campaign.ended_s)
        for spec in followers:
            if spec.start_s < self._plan.clock.duration_s:
                self._add(spec.start_s, _Start(spec))

    def _have_accounts(self, planned: Planned) -> bool:
        """Whether payer and payee may act; a campaign may have found no one who does."""
        payer, payee = planned.transaction.account, planned.transaction.counterparty
        return self.may_act(payer.customer_index) and (payee is None or self.may_act(payee.customer_index))

    def _has_joined(self, index: int) -> bool:
        there_before = self._onboarding is None or index < self._onboarding.existing
        if not there_before and index not in self._acting:
            return False
        return self._has_account is None or self._has_account(index)

    def _schedule_joining(self) -> None:
        self._last_joining = None if self._onboarding is None else next(self._onboarding, None)
        if self._last_joining is not None:
            self._add(self._last_joining.sim_s, self._last_joining)

    def _add(self, sim_s: float, entry: _Entry[S, C]) -> None:
        self._sequence += 1  # equal moments keep the order in which they were entered
        heapq.heappush(self._dated, (sim_s, self._sequence, entry))

    def _drop(self, condition: Callable[[_Entry[S, C]], bool]) -> None:
        self._dated = [dated for dated in self._dated if not condition(dated[2])]
        heapq.heapify(self._dated)
