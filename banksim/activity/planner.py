"""Genuine transactions for a live run: rows planned ahead of their arrivals, taken when they are due.

    arrivals ahead ─► `RowPlanner.plan` ─► block ─► the rows that are due

Whatever changes before a row is taken (speed, rate, whose customers these are) takes the rest of the block
back, so planning ahead changes nothing but the time it takes.

Customers who join during the run: when, whether their identity check succeeds, and
what they pay in first.

The last (1 − existing_share) of the population join, in the order of their indices, over
the first 80 % of the run, as densely as transactions are offered: the k-th of n joins
where (k + u) / n of the area under λ has passed, u of their own stream.  That is sorted
by itself and needs no list: each joining is computed when it is asked for.

    λ  ────┐    ┌────
           └────┘           joinings per hour follow λ
       |||| | | ||||
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from banksim.activity.block import Block
from banksim.activity.finder import ActivityScenario
from banksim.activity.payments import Payment
from banksim.activity.prices import Pricing
from banksim.activity.rows import RowPlanner
from banksim.model import AccountRef, Channel, Kind, Label, Planned, Transaction, Truth
from banksim.model.money import to_cents
from banksim.schedule.clock import PiecewiseRate
from banksim.schedule.simulation import Rows
from banksim.world import Customer, World, opaque_id, stream
from banksim.world.random import Bools, Floats, Ints

OpenCheck = Callable[[int], bool]
#: Rows planned together: fewest after an arrival without a customer, most when all goes well.
FEWEST_AHEAD, MOST_AHEAD = 16, 512


class Moments(Protocol):
    """Where the moments come from: `schedule.Arrivals`."""

    def peek(self) -> float | None: ...
    def upcoming(self, count: int) -> Floats: ...
    def advance(self, count: int) -> None: ...


class Activity:
    """Plans genuine transactions for one process."""

    def __init__(
        self,
        world: World,
        scenario: ActivityScenario | None,
        shard: int,
        payments: Sequence[Payment],
        arrivals: Moments,
    ) -> None:
        """Rows are planned at ``arrivals``; the other arguments are those of `RowPlanner`."""
        self.rows = RowPlanner(world, scenario, shard, payments)
        self._arrivals = arrivals
        self._block: Block | None = None
        # The block's arrivals, the row of the first and the next of them; the rows found for them, the next.
        self._moments: list[float] = []
        self._first_row, self._next = 0, 0
        self._found: list[int] = []
        self._position = 0
        self._ahead = FEWEST_AHEAD
        #: Arrivals for which no customer was found.
        self.unplanned = 0

    def peek(self) -> float | None:
        """The moment of the next arrival (simulated seconds), None when there is none."""
        if self._next < len(self._moments):
            return self._moments[self._next]
        self.take_back()
        return self._arrivals.peek()

    def take(
        self, until_s: float, most: int, is_open: OpenCheck | None = None, is_mine: OpenCheck | None = None
    ) -> Rows[Block]:
        """The rows of the next arrivals until ``until_s``, at most ``most``; the first in any case.

        ``is_open`` says whether a customer has an account yet (payers and payees),
        ``is_mine`` whether this process may act for a payer.  An arrival has no row when none of
        `row_drafts.MAX_DRAWS` random customers would do.
        """
        block = self._block
        if block is None or self._next == len(self._moments):
            block = self._plan_ahead(is_open, is_mine)
        first = self._next
        self._next = bisect_right(self._moments, until_s, first + 1, min(first + most, len(self._moments)))
        start = self._position
        self._position = bisect_left(self._found, self._first_row + self._next, start)
        missing = (self._next - first) - (self._position - start)
        self.unplanned += missing
        return Rows(block, start, self._position, missing)

    def take_back(self) -> None:
        """Undo what was planned and not taken; the arrivals that were taken are."""
        taken, block = self._next, self._block
        if block is not None:
            if taken < len(self._moments):
                self.rows.take_back(block, self._first_row + taken)
            elif len(block) < taken:
                self._ahead = FEWEST_AHEAD
            else:
                self._ahead = min(2 * self._ahead, MOST_AHEAD)
            self._arrivals.advance(taken)
        self._first_row += taken
        self._block, self._moments, self._next = None, [], 0

    def note(self, transaction: Transaction) -> None:
        """Book a transaction planned elsewhere, such as a first deposit."""
        self.rows.state.book(transaction)

    def _plan_ahead(self, is_open: OpenCheck | None, is_mine: OpenCheck | None) -> Block:
        self.take_back()
        self.rows.eligible.has_account = None if is_open is None else _for_many(is_open)
        self.rows.eligible.is_mine = None if is_mine is None else _for_many(is_mine)
        moments = self._arrivals.upcoming(self._ahead)
        self._block = block = self.rows.plan(self._first_row, moments)
        self._moments, self._found, self._position = moments.tolist(), block.row.tolist(), 0
        return block


def _for_many(check: OpenCheck) -> Callable[..., Bools]:
    """``check`` for columns of customers."""

    def check_all(customers: Ints, *_: Floats) -> Bools:
        return np.fromiter(map(check, customers.tolist()), bool, len(customers))

    return check_all


JOINING_SHARE_OF_RUN = 0.8
HOUR_S = 3600.0
#: How a first deposit comes in, by weight (judgement).
_FIRST_CHANNELS = (Channel.BRANCH, Channel.MOBILE, Channel.MOBILE, Channel.ACH)


class OnboardingBlock(Protocol):
    """A scenario's onboarding block."""

    @property
    def kyc_approval_rate(self) -> float: ...
    @property
    def first_transaction_delay_hours(self) -> tuple[float, float]: ...
    @property
    def initial_deposit_range(self) -> tuple[float, float]: ...
    @property
    def existing_share(self) -> float: ...


class OnboardingScenario(Protocol):
    """What onboarding reads of a scenario."""

    @property
    def onboarding(self) -> OnboardingBlock | None: ...


@dataclass(frozen=True, slots=True)
class Joining:
    """A customer applies at ``sim_s``.

    ``first_deposit`` is None for those who were not approved and those whose first
    deposit would come after the end of the run.
    """

    sim_s: float
    customer_index: int
    approved: bool
    first_deposit: Planned | None


class OnboardingPlan(Iterator[Joining]):
    """The joinings of a run in order of time; an iterator that computes each when asked.

    ``existing`` customers were there before the run: those with a smaller index.
    """

    def __init__(self, world: World, scenario: OnboardingScenario, rate: PiecewiseRate) -> None:
        """``rate`` is λ over the run's simulated seconds; only its shape matters.

        Raises ValueError when the scenario has no onboarding block.
        """
        if scenario.onboarding is None:
            raise ValueError("the scenario has no onboarding block")
        self._world = world
        self._block = scenario.onboarding
        self._rate = rate
        self._pricing = Pricing(world.currency)
        self._window_s = rate.duration_s * JOINING_SHARE_OF_RUN
        self._area = rate.integral(0.0, self._window_s)
        self.existing = round(world.population.size * self._block.existing_share)
        self._next = self.existing

    def __next__(self) -> Joining:
        if self._next >= self._world.population.size:
            raise StopIteration
        self._next += 1
        return self.joining(self._next - 1)

    def move_to(self, sim_s: float) -> None:
        """The next joining is the first at or after this simulated second."""
        size = self._world.population.size
        self._next = bisect_left(
            range(size), sim_s, lo=self.existing, hi=size, key=lambda index: self.joining(index).sim_s
        )

    def joining(self, index: int) -> Joining:
        """The joining of the customer at ``index``: a pure function.

        Raises IndexError for a customer who was there before, or does not exist.
        """
        if not self.existing <= index < self._world.population.size:
            raise IndexError(f"customer {index} does not join during the run")
        rng = stream(self._world.seed, "onboarding", index)
        position = (index - self.existing + rng.random()) / (self._world.population.size - self.existing)
        sim_s = self._moment(position)
        approved = rng.random() < self._block.kyc_approval_rate
        deposit_s = sim_s + rng.uniform(*self._block.first_transaction_delay_hours) * HOUR_S
        units = rng.uniform(*self._block.initial_deposit_range)
        if not approved or deposit_s >= self._rate.duration_s:
            return Joining(sim_s, index, approved, None)
        customer = self._world.population.customer(index)
        cents = self._pricing.within_limit(to_cents(units, self._world.currency), customer, rng)
        transaction = Transaction(
            transaction_id=opaque_id(rng),
            kind=Kind.DEPOSIT,
            account=AccountRef(index),
            amount_cents=max(1, cents),
            currency=self._world.currency,
            channel=rng.choice(_FIRST_CHANNELS),
            timestamp_s=self._world.timestamp_s(deposit_s),
            place=customer.home,
            device_id=customer.devices[0],
            description="First deposit",
        )
        truth = Truth(Label.GENUINE, customer.persona)
        return Joining(sim_s, index, True, Planned(transaction, truth, deposit_s))

    def customer(self, index: int) -> Customer:
        """The customer as the bank should open them: who joins during the run brings no money yet."""
        customer = self._world.population.customer(index)
        if index < self.existing:
            return customer
        empty = tuple(dataclasses.replace(spec, opening_balance_cents=0) for spec in customer.accounts)
        return dataclasses.replace(customer, accounts=empty)

    def _moment(self, position: float) -> float:
        """Simulated second at which the share ``position`` of all joinings has passed."""
        if not self._area > 0:
            return position * self._window_s
        moment_s = self._rate.moment_after(0.0, position * self._area)
        return self._window_s if moment_s is None else min(moment_s, self._window_s)
