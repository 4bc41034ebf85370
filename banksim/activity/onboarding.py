"""Customers who join during the run: when, whether their identity check succeeds, and
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
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from banksim.activity.prices import Pricing
from banksim.model import AccountRef, Channel, Kind, Label, Planned, Transaction, Truth
from banksim.model.money import to_cents
from banksim.schedule.rate import PiecewiseRate
from banksim.world import Customer, World, opaque_id, stream

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
