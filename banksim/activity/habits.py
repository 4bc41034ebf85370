"""What a customer keeps coming back to: shops, payees, bills, cash machines, pay days.

Habits are a pure function of (seed, index) like the customer, made when first needed and
kept for the most recent `CACHED_HABITS` customers.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass

from banksim.domain import Merchant, Place
from banksim.world import Choice, Customer, Persona, World, near, stream, unit_scale

CACHED_HABITS = 20_000
REGULAR_SHARE = 0.70
REGULAR_ONLINE_SHARE = 0.50
REGULAR_PAYEE_SHARE = 0.80
_HOME_OWNERS = 0.35
_NOISY_BILLS = frozenset({"utilities", "telecom"})
#: Days between pay days and how many are paid so (X, BLS 2019).
_PAY_PERIODS = Choice((7, 14, 15, 30), (33.8, 42.2, 18.6, 5.4))
_MONTH_DAYS = 30.4


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill that comes again: who is paid, how much (units), and whether the amount varies."""

    biller: Merchant
    amount_units: float
    varies: bool


@dataclass(frozen=True, slots=True)
class Habits:
    """One customer's.  ``payees`` are population indices; ``pay_units`` is one pay day's."""

    shops: Choice[Merchant]
    online_shops: Choice[Merchant]
    bills: Choice[Bill]
    payees: tuple[int, ...]
    cash_machines: tuple[Place, ...]
    pay_period_days: int
    pay_units: float
    pay_varies: bool


class HabitBook:
    """The habits of everybody in a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._scale = unit_scale(world.currency)
        self._shop_mix = {p.name: Choice.of(p.merchants) for p in world.personas.values()}
        self._online_mix = {p.name: Choice.of(p.online_merchants) for p in world.personas.values()}
        self._cache: OrderedDict[int, Habits] = OrderedDict()

    def shop_category(self, persona: str, rng: random.Random) -> str:
        return self._shop_mix[persona].pick(rng)

    def online_category(self, persona: str, rng: random.Random) -> str:
        return self._online_mix[persona].pick(rng)

    def of(self, customer: Customer) -> Habits:
        """The customer's habits, from the cache or made anew."""
        found = self._cache.get(customer.index)
        if found is None:
            found = self._make(customer)
            self._cache[customer.index] = found
            if len(self._cache) > CACHED_HABITS:
                self._cache.popitem(last=False)
        return found

    def _make(self, customer: Customer) -> Habits:
        world, persona = self._world, self._world.personas[customer.persona]
        rng = stream(world.seed, "habits", customer.index)
        shops = [
            world.merchants.pick(rng, customer.home, self.shop_category(persona.name, rng))
            for _ in range(rng.randint(3, 8))
        ]
        online = [
            world.merchants.pick(rng, customer.home, self.online_category(persona.name, rng), online=True)
            for _ in range(rng.randint(2, 4))
        ]
        payees = {world.population.pick(rng) for _ in range(rng.randint(2, 6))}
        days = _PAY_PERIODS.pick(rng)
        pay_units = customer.income_cents / _cents_per_unit(world) * days / _MONTH_DAYS
        return Habits(
            shops=Choice(shops, _favourites(len(shops))),
            online_shops=Choice(online, _favourites(len(online))),
            bills=self._bills(persona, customer, rng),
            payees=tuple(sorted(payees - {customer.index})),
            cash_machines=(near(customer.home, rng, 1.0), near(customer.home, rng, 2.5)),
            pay_period_days=days,
            pay_units=pay_units,
            pay_varies=rng.random() < 0.35,
        )

    def _bills(self, persona: Persona, customer: Customer, rng: random.Random) -> Choice[Bill]:
        categories = dict(persona.bills)
        if rng.random() < _HOME_OWNERS and len(categories) > 1:
            categories.pop("rent", None)
        bills = []
        for category in categories:
            amount = persona.amounts[category].draw(rng) * self._scale
            if category == "rent":
                amount = max(10.0, round(amount / 10)) * 10 if self._scale == 1 else round(amount, -3)
            biller = self._world.merchants.pick(rng, customer.home, category)
            bills.append(Bill(biller, amount, category in _NOISY_BILLS))
        return Choice(bills, list(categories.values()))


def _favourites(count: int) -> list[float]:
    """The first of a customer's regular shops sees most of them."""
    return [1.0 / (rank + 1) for rank in range(count)]


def _cents_per_unit(world: World) -> int:
    return 1 if world.currency == "JPY" else 100
