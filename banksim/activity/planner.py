"""Genuine transactions: what honest customers do at the moments arrivals are due.

    arrival ─► persona (hour of the week) ─► what ─► customer ─► draft ─► affordable? ─► planned

One random stream feeds everything in the order of the arrivals, so the same seed and the
same moments give the same transactions; what hangs on a customer (home, habits,
journeys) comes from streams of their own and does not depend on that order.

Customers rarely overdraw: a sum above the planned balance mostly becomes a smaller one,
or money paid in.  Memory is bounded by the population: a few numbers per customer that
acted (planned balance, last rent), and capped caches for the rest.

Not handled: what fraud and refusals do to balances, months of different lengths, public
holidays, customers in other time zones than the bank.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from banksim.activity.actors import ActorBook, PlannedBalances, Sightings
from banksim.activity.calendar import SPENDING, Act, PayDays, Rhythm
from banksim.activity.drafts import Draft, Drafts, Situation
from banksim.activity.habits import HabitBook
from banksim.activity.payments import Payment, Payments
from banksim.model import CREDIT_KINDS, AccountRef, Channel, Kind, Planned, Transaction
from banksim.world import Choice, Customer, World, opaque_id, stream
from banksim.world.world import DAY_S, HOUR_S

#: Customers looked at for one arrival before giving up.
MAX_DRAWS = 64
#: Sums that are more than there is and are tried anyway (judgement).
_OVERDRAWS = 0.02
_SHRINK_DRAWS = 2
_MAIN_DEVICE_SHARE = 0.85
# Looking a member up in its class takes as long as drawing a random number.
_SALARY, _PURCHASE, _POS = Kind.SALARY, Kind.PURCHASE, Channel.POS

OpenCheck = Callable[[int], bool]


class ActivityScenario(Protocol):
    """What activity reads of a scenario."""

    @property
    def onboarding(self) -> Any: ...


@dataclass(slots=True)
class _Hour:
    """What is the same for all arrivals of a clock hour; ``from_s`` is unix seconds."""

    from_s: float
    day: int
    of_week: int
    acts: Choice[Act]
    since_pay: tuple[int, ...]


class Activity:
    """Plans genuine transactions for one process."""

    def __init__(
        self,
        world: World,
        scenario: ActivityScenario | None = None,
        shard: int = 0,
        payments: Sequence[Payment] = (),
    ) -> None:
        """``shard`` tells processes that share a run apart: each draws from a stream of its own.

        With an onboarding block the customers who join during the run start with a
        planned balance of zero; tell their first deposits with `note`.  ``payments`` are
        kinds of a user's own.
        """
        self._world = world
        self._population = world.population
        self._rng = stream(world.seed, "activity", shard)
        self._rhythm = Rhythm(world)
        habits = HabitBook(world)
        self._drafts = Drafts(world, self._rhythm, habits, self._rng)
        self._payments = Payments(payments, world, self._rng) if payments else None
        self._pay_days = PayDays(world.population)
        self._actors = ActorBook(world, habits, self._pay_days, self._drafts.pricing)
        self._hour = self._hour_at(world.start_epoch_s)
        # Per persona: a day, and who is still to be paid on it.
        self._unpaid: dict[str, tuple[int, Iterator[int]]] = {}
        self._sightings = Sightings()
        #: What every account should hold by the plans so far.
        self.balances = PlannedBalances(world, _funded(world, scenario))
        #: Arrivals for which no customer was found.
        self.unplanned = 0

    def plan(
        self, sim_s: float, is_open: OpenCheck | None = None, is_mine: OpenCheck | None = None
    ) -> Planned | None:
        """The genuine transaction for an arrival at ``sim_s`` (simulated seconds, in order).

        ``is_open`` says whether a customer has an account yet (payers and payees),
        ``is_mine`` whether this process may act for a payer.  None when none of
        `MAX_DRAWS` random customers would do; those are counted in ``unplanned``.
        """
        at = self._find(sim_s, is_open, is_mine)
        if at is None:
            self.unplanned += 1
            return None
        draft = self._own_kind(at) if self._payments is not None else None
        return self._finish(draft or self._affordable(self._drafts.make(at), at), at)

    def note(self, transaction: Transaction) -> None:
        """Book a transaction planned elsewhere, such as a first deposit."""
        self.balances.book(transaction)

    def planned_balance_cents(self, account: AccountRef) -> int:
        """What the account should hold by the plans so far, in cents."""
        return self.balances.available(account)

    def _own_kind(self, at: Situation) -> Draft | None:
        """A payment of a user's own kind, if it is one's turn and there is the money for it."""
        assert self._payments is not None
        draft = self._payments.draft(at)
        if draft is None or draft.amount_cents >= at.actor.limit_cents:
            return None
        if draft.kind in CREDIT_KINDS or draft.amount_cents <= self.balances.available(at.actor.account):
            return draft
        return None

    def _find(self, sim_s: float, is_open: OpenCheck | None, is_mine: OpenCheck | None) -> Situation | None:
        """Rejection sampling: who is left are the customers that can act, in their own proportions."""
        rng, pick = self._rng, self._population.pick
        timestamp_s = self._world.timestamp_s(sim_s)
        hour = self._hour
        if not hour.from_s <= timestamp_s < hour.from_s + HOUR_S:
            hour = self._hour = self._hour_at(timestamp_s)
        act: Act | None = None
        for _ in range(MAX_DRAWS):
            if act is None:
                act = hour.acts.pick(rng)
            index = pick(rng, act.persona.name)
            if act.kind is _SALARY:
                index = next(self._to_be_paid(act.persona.name, hour.day), -1)
                if index < 0:
                    act = self._rhythm.act(act.persona.name, Kind.DEPOSIT, hour.of_week)
                    continue
            if (is_mine is not None and not is_mine(index)) or (is_open is not None and not is_open(index)):
                act = None
                continue
            actor = self._actors.of(index, timestamp_s)
            if act.kind is _PURCHASE:
                days = hour.since_pay[actor.pay_class]
                if days > 6 and rng.random() >= SPENDING[days]:
                    continue  # somebody else of this persona, whose money is fresher
            stay = actor.stay
            if not stay.from_s <= timestamp_s < stay.until_s:
                stay = self._actors.move(actor, timestamp_s)
            if stay.place is None:
                act = None
                continue
            last = self._sightings.recent(index, sim_s)
            return Situation(sim_s, hour.of_week, act, actor, stay.place, last, is_open)
        return None

    def _hour_at(self, timestamp_s: float) -> _Hour:
        from_s = timestamp_s // HOUR_S * HOUR_S
        day = int(from_s // DAY_S)
        of_week = self._world.hour_of_week(from_s - self._world.start_epoch_s)
        return _Hour(from_s, day, of_week, self._rhythm.acts_at[of_week], self._pay_days.since(day))

    def _to_be_paid(self, persona: str, day: int) -> Iterator[int]:
        """Who of ``persona`` has their pay day on ``day`` and was not paid yet."""
        known = self._unpaid.get(persona)
        if known is None or known[0] != day:
            known = self._unpaid[persona] = (day, iter(self._pay_days.paid_on(persona, day).tolist()))
        return known[1]

    def _affordable(self, draft: Draft, at: Situation) -> Draft:
        """The draft, or something in its place that the planned balance covers."""
        pricing, rng = self._drafts.pricing, self._rng
        if draft.amount_cents >= at.actor.limit_cents:
            draft.amount_cents = pricing.within_limit(draft.amount_cents, at.actor.customer, rng)
        if draft.kind in CREDIT_KINDS:
            return draft
        available = self.balances.available(at.actor.account)
        if draft.amount_cents <= available or rng.random() < _OVERDRAWS:
            return draft
        if self._shrink(draft, at, available):
            return draft
        return self._pay_in(at)

    def _shrink(self, draft: Draft, at: Situation, available: int) -> bool:
        """Make the sum fit, in a way that still looks like it; False when there is no such way."""
        pricing, rng = self._drafts.pricing, self._rng
        if draft.kind is Kind.PURCHASE and draft.merchant is not None:
            for _ in range(_SHRINK_DRAWS):
                cents = pricing.purchase(at.actor.persona, draft.merchant.category, rng)
                if cents <= available:
                    draft.amount_cents = pricing.within_limit(cents, at.actor.customer, rng)
                    return True
            return False
        if draft.kind is Kind.BILL_PAYMENT:
            return False
        part = int(available * rng.uniform(0.2, 0.7))
        if draft.kind is Kind.WITHDRAWAL:
            part -= part % pricing.note_cents
        elif part >= pricing.cents(20 * pricing.scale):
            part = pricing.rounded(part, 5)
        # A withdrawal needs a note, a transfer something worth sending.
        if part < pricing.cents(5 * pricing.scale) or part > available:
            return False
        draft.amount_cents = part
        return True

    def _pay_in(self, at: Situation) -> Draft:
        """Money in: from the own savings when there are enough, else a deposit."""
        pricing, rng = self._drafts.pricing, self._rng
        for slot in range(1, len(at.actor.customer.accounts)):
            saved = self.balances.available(AccountRef(at.actor.customer.index, slot))
            part = pricing.rounded(int(saved * rng.uniform(0.1, 0.4)), 10) if saved > 0 else 0
            if pricing.cents(50 * pricing.scale) <= part <= saved and rng.random() < 0.6:
                amount = pricing.within_limit(part, at.actor.customer, rng)
                place = at.where if at.last is None else at.last.place
                main = AccountRef(at.actor.customer.index)
                return Draft(
                    Kind.TRANSFER, Channel.MOBILE, amount, place, "From savings", counterparty=main, slot=slot
                )
        draft = self._drafts.deposit(at)
        draft.amount_cents = pricing.within_limit(draft.amount_cents, at.actor.customer, rng)
        return draft

    def _finish(self, draft: Draft, at: Situation) -> Planned:
        actor, customer, world = at.actor, at.actor.customer, self._world
        transaction = Transaction(
            opaque_id(self._rng),
            draft.kind,
            AccountRef(customer.index, draft.slot) if draft.slot else actor.account,
            draft.amount_cents,
            world.currency,
            draft.channel,
            world.start_epoch_s + at.sim_s,
            draft.place,
            _device(customer, self._rng),
            draft.description,
            draft.counterparty,
            draft.merchant,
        )
        self.balances.book(transaction)
        in_shop = draft.merchant if draft.channel is _POS else None
        self._sightings.note(customer.index, at.sim_s, draft.place, in_shop)
        return Planned(transaction, actor.truth, at.sim_s)


def _device(customer: Customer, rng: random.Random) -> str:
    devices = customer.devices
    if len(devices) == 1 or rng.random() < _MAIN_DEVICE_SHARE:
        return devices[0]
    return devices[1 + int(rng.random() * (len(devices) - 1))]


def _funded(world: World, scenario: ActivityScenario | None) -> int:
    """How many customers have money when the run starts: all of them, unless some join later."""
    onboarding = scenario.onboarding if scenario is not None else None
    size = world.population.size
    return size if onboarding is None else round(size * onboarding.existing_share)
