"""What one arrival becomes: channel, shop or payee, place and amount, kind by kind.

A draft is not affordable yet: `activity.Activity` checks it against the planned balance.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from banksim.activity.actors import Actor, Sighting, reachable
from banksim.activity.calendar import Act, Rhythm
from banksim.activity.descriptions import (
    TRANSFER_WORDS,
    deposit_words,
    pay_words,
    purchase_words,
    withdrawal_words,
)
from banksim.activity.habits import REGULAR_ONLINE_SHARE, REGULAR_PAYEE_SHARE, REGULAR_SHARE, Bill, HabitBook
from banksim.activity.prices import Pricing
from banksim.model import AccountRef, Channel, Kind, Merchant, Place
from banksim.world import World
from banksim.world.persona import load_categories

_SHOP_TRIES = 4
_PAYEE_TRIES = 4
_RENT_DAYS = 25
_OWN_TRANSFER_SHARE = 0.20
_TO_SAVINGS_SHARE = 0.15
#: A wire is taken for larger sums (judgement).
_WIRE_FACTOR = 6.0
_REGULAR_PAY_NOISE = 0.08
_BILL_NOISE = 0.06

_BILL_WORDS = {"rent": "Rent", "utilities": "Utilities", "telecom": "Phone and internet", "tax": "Tax"}


@dataclass(slots=True)
class Draft:
    """A transaction in the making.  ``slot`` is the customer's account."""

    kind: Kind
    channel: Channel
    amount_cents: int
    place: Place
    description: str
    merchant: Merchant | None = None
    counterparty: AccountRef | None = None
    slot: int = 0


@dataclass(slots=True)
class Situation:
    """Who does what, when and where: everything a draft depends on.

    Not frozen only because one is made per transaction, and frozen ones take three times as long.
    """

    sim_s: float
    hour_of_week: int
    act: Act
    actor: Actor
    where: Place
    last: Sighting | None
    is_open: Callable[[int], bool] | None


class Drafts:
    """Makes drafts for one world, all from one random stream."""

    def __init__(self, world: World, rhythm: Rhythm, habits: HabitBook, rng: random.Random) -> None:
        self.pricing = Pricing(world.currency)
        self._world = world
        self._rhythm = rhythm
        self._rng = rng
        self._habits = habits
        self._categories = load_categories()
        self._words: dict[str, str] = {}
        # Moments of the last rent, one number per customer at most.
        self._rent_s: dict[int, float] = {}
        self._make: dict[Kind, Callable[[Situation], Draft]] = {
            Kind.PURCHASE: self._purchase,
            Kind.WITHDRAWAL: self._withdrawal,
            Kind.DEPOSIT: self.deposit,
            Kind.SALARY: self._salary,
            Kind.TRANSFER: self._transfer,
            Kind.BILL_PAYMENT: self._bill_payment,
        }

    def make(self, at: Situation) -> Draft:
        """A draft of the act, or of a near one where it cannot be (a transfer without payees)."""
        return self._make[at.act.kind](at)

    def _purchase(self, at: Situation) -> Draft:
        channel = self._channel(at)
        merchant = self._shop(at) if channel is Channel.POS else None
        if merchant is not None:
            place = merchant.place
        else:
            channel = Channel.ONLINE if channel is Channel.POS else channel
            merchant, place = self._online_shop(at), self._here(at)
        amount = self.pricing.purchase(at.actor.persona, merchant.category, self._rng)
        return Draft(Kind.PURCHASE, channel, amount, place, self._purchase_words(merchant), merchant=merchant)

    def _purchase_words(self, merchant: Merchant) -> str:
        """One text per merchant, so that whoever looks texts up need not hash a new one each time."""
        found = self._words.get(merchant.merchant_id)
        if found is None:
            found = self._words[merchant.merchant_id] = purchase_words(merchant.name)
        return found

    def _shop(self, at: Situation) -> Merchant | None:
        """A shop that is open and within reach; None when there is none just now."""
        merchant = self._open_shop(at)
        if merchant is None or at.last is None or reachable(at.last, at.sim_s, merchant.place):
            return merchant
        return at.last.merchant  # no time to go anywhere else

    def _open_shop(self, at: Situation) -> Merchant | None:
        rng, hour = self._rng, at.hour_of_week % 24
        if at.where is at.actor.customer.home and rng.random() < REGULAR_SHARE:
            habits = at.actor.habits
            for _ in range(_SHOP_TRIES):
                merchant = habits.regular_shop(rng)
                if self._categories[merchant.category].is_open(hour):
                    return merchant
        category = self._habits.open_category(at.actor.persona.name, hour, rng)
        return self._world.merchants.pick(rng, at.where, category) if category is not None else None

    def _online_shop(self, at: Situation) -> Merchant:
        rng = self._rng
        if rng.random() < REGULAR_ONLINE_SHARE:
            return at.actor.habits.regular_online_shop(rng)
        category = self._habits.online_category(at.actor.persona.name, rng)
        return self._world.merchants.pick(rng, at.where, category, online=True)

    def _withdrawal(self, at: Situation) -> Draft:
        channel = self._channel(at)
        at_machine = channel is not Channel.BRANCH
        place = at.where
        if at_machine and at.where is at.actor.customer.home:
            machines = at.actor.habits.cash_machines
            place = machines[0] if self._rng.random() < 0.75 else machines[1]
        amount = self.pricing.cash(at.actor.persona, at_machine, self._rng)
        here = self._within_reach(at, place)
        return Draft(Kind.WITHDRAWAL, channel, amount, here, withdrawal_words(channel))

    def deposit(self, at: Situation) -> Draft:
        """Cash or a cheque paid in."""
        channel = self._channel_of(Kind.DEPOSIT, at)
        in_cash = channel in (Channel.BRANCH, Channel.ATM)
        amount = self.pricing.deposit(at.actor.persona, in_cash, self._rng)
        saves = len(at.actor.customer.accounts) > 1 and self._rng.random() < _TO_SAVINGS_SHARE
        words = deposit_words(channel)
        return Draft(Kind.DEPOSIT, channel, amount, self._here(at), words, slot=1 if saves else 0)

    def _salary(self, at: Situation) -> Draft:
        habits, rng = at.actor.habits, self._rng
        units = habits.pay_units * (rng.lognormvariate(0, _REGULAR_PAY_NOISE) if habits.pay_varies else 1.0)
        # A pay day too large for the account's tier is a second employer's: half of it.
        limit = self.pricing.limit_cents(at.actor.customer)
        amount = self.pricing.cents(units)
        amount = amount if amount < limit else amount // 2
        words = pay_words(at.actor.persona)
        return Draft(Kind.SALARY, self._channel(at), amount, self._here(at), words)

    def _transfer(self, at: Situation) -> Draft:
        rng, customer = self._rng, at.actor.customer
        own_slots = len(customer.accounts) - 1
        if own_slots and rng.random() < _OWN_TRANSFER_SHARE:
            other = AccountRef(customer.index, 1 + int(rng.random() * own_slots))
            words = "To savings"
        else:
            payee = self._payee(at)
            if payee is None:
                return self._bill_payment(at)
            other, words = AccountRef(payee), rng.choice(TRANSFER_WORDS)
        channel = self._channel(at)
        factor = _WIRE_FACTOR if channel is Channel.WIRE else 1.0
        amount = self.pricing.transfer(at.actor.persona, rng, factor)
        return Draft(Kind.TRANSFER, channel, amount, self._here(at), words, counterparty=other)

    def _payee(self, at: Situation) -> int | None:
        """Somebody else with an account; None when nobody was found."""
        rng, population = self._rng, self._world.population
        regular, own = at.actor.habits.payees, at.actor.customer.index
        for _ in range(_PAYEE_TRIES):
            known = regular and rng.random() < REGULAR_PAYEE_SHARE
            index = rng.choice(regular) if known else population.pick(rng)
            if index != own and (at.is_open is None or at.is_open(index)):
                return index
        return None

    def _bill_payment(self, at: Situation) -> Draft:
        rng = self._rng
        bill = self._bill(at)
        noise = rng.lognormvariate(0, _BILL_NOISE) if bill.varies else 1.0
        category = bill.biller.category
        words = f"{_BILL_WORDS.get(category, category.capitalize())} {bill.biller.name}"
        channel = self._channel_of(Kind.BILL_PAYMENT, at)
        return Draft(
            Kind.BILL_PAYMENT,
            channel,
            self.pricing.cents(bill.amount_units * noise),
            self._here(at),
            words,
            merchant=bill.biller,
        )

    def _bill(self, at: Situation) -> Bill:
        habits, index = at.actor.habits, at.actor.customer.index
        bill = habits.due_bill(self._rng)
        for _ in range(3):
            if bill.biller.category != "rent":
                return bill
            paid_s = self._rent_s.get(index)
            if paid_s is None or at.sim_s - paid_s > _RENT_DAYS * 86_400:
                self._rent_s[index] = at.sim_s
                return bill
            bill = habits.due_bill(self._rng)
        return bill

    def _channel(self, at: Situation) -> Channel:
        choice = at.act.channels
        return choice.pick(self._rng) if choice is not None else Channel.ONLINE

    def _channel_of(self, kind: Kind, at: Situation) -> Channel:
        """A channel for another kind than the act's, which it was replaced with."""
        if kind is at.act.kind:
            return self._channel(at)
        choice = self._rhythm.channels_at(at.actor.persona.name, kind, at.hour_of_week)
        return choice.pick(self._rng) if choice is not None else Channel.ONLINE

    def _here(self, at: Situation) -> Place:
        return self._within_reach(at, at.where)

    def _within_reach(self, at: Situation, wanted: Place) -> Place:
        """``wanted``, or where the customer still is when there was no time to get there."""
        return wanted if at.last is None or reachable(at.last, at.sim_s, wanted) else at.last.place
