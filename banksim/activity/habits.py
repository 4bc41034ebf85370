"""What a customer keeps coming back to: shops, payees, bills, cash machines, pay days.

Habits are a pure function of (seed, index) like the customer, made when first needed and
kept for the most recent `CACHED_HABITS` customers.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass

from banksim.activity.pay_days import PayDays
from banksim.domain import Merchant, Place
from banksim.domain.money import to_units
from banksim.world import Choice, Customer, Persona, World, near, stream, unit_scale
from banksim.world.categories import load_categories
from banksim.world.sampling import zipf_weights

CACHED_HABITS = 20_000
REGULAR_SHARE = 0.70
REGULAR_ONLINE_SHARE = 0.50
REGULAR_PAYEE_SHARE = 0.80
_HOME_OWNERS = 0.35
_NOISY_BILLS = frozenset({"utilities", "telecom"})
_MONTH_DAYS = 30.4
_MOST_SHOPS = 8
#: Ranks of a list of favourites by its length: the second sees half of what the first sees.
_RANKS = {n: Choice(range(n), zipf_weights(n)) for n in range(1, _MOST_SHOPS + 1)}


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill that comes again: who is paid, how much (units), and whether the amount varies."""

    biller: Merchant
    amount_units: float
    varies: bool


@dataclass(frozen=True, slots=True)
class Habits:
    """One customer's.  ``payees`` are population indices; ``pay_units`` is one pay day's."""

    shops: tuple[Merchant, ...]
    online_shops: tuple[Merchant, ...]
    bills: tuple[Bill, ...]
    bill_turns: Choice[int]
    payees: tuple[int, ...]
    cash_machines: tuple[Place, ...]
    pay_period_days: int
    pay_units: float
    pay_varies: bool

    def regular_shop(self, rng: random.Random) -> Merchant:
        """One of the regular shops, the first of them most often."""
        return self.shops[_RANKS[len(self.shops)].pick(rng)]

    def regular_online_shop(self, rng: random.Random) -> Merchant:
        return self.online_shops[_RANKS[len(self.online_shops)].pick(rng)]

    def due_bill(self, rng: random.Random) -> Bill:
        """One of the household's bills, by how often each comes."""
        return self.bills[self.bill_turns.pick(rng)]


class HabitBook:
    """The habits of everybody in a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._scale = unit_scale(world.currency)
        self._pay_days = PayDays(world.population)
        self._shop_mix = {p.name: Choice.of(p.merchants) for p in world.personas.values()}
        self._open_mix = {
            (p.name, hour): _open_categories(p, hour) for p in world.personas.values() for hour in range(24)
        }
        self._online_mix = {p.name: Choice.of(p.online_merchants) for p in world.personas.values()}
        self._bill_turns = {
            (p.name, owns): _bill_turns(p, owns) for p in world.personas.values() for owns in (False, True)
        }
        self._cache: OrderedDict[int, Habits] = OrderedDict()

    def open_category(self, persona: str, hour: int, rng: random.Random) -> str | None:
        """A category of the persona's shopping that is open at that hour; None when all are closed."""
        choice = self._open_mix[persona, hour]
        return choice.pick(rng) if choice is not None else None

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
            world.merchants.pick(rng, customer.home, self._shop_mix[persona.name].pick(rng))
            for _ in range(rng.randint(3, _MOST_SHOPS))
        ]
        online = [
            world.merchants.pick(rng, customer.home, self.online_category(persona.name, rng), online=True)
            for _ in range(rng.randint(2, 4))
        ]
        bills, turns = self._bills(persona, customer, rng)
        payees = {world.population.pick(rng) for _ in range(rng.randint(2, 6))}
        days = self._pay_days.period_days(customer.index)
        pay_units = to_units(customer.income_cents, world.currency) * days / _MONTH_DAYS
        return Habits(
            shops=tuple(shops),
            online_shops=tuple(online),
            bills=bills,
            bill_turns=turns,
            payees=tuple(sorted(payees - {customer.index})),
            cash_machines=(near(customer.home, rng, 1.0), near(customer.home, rng, 2.5)),
            pay_period_days=days,
            pay_units=pay_units,
            pay_varies=rng.random() < 0.35,
        )

    def _bills(
        self, persona: Persona, customer: Customer, rng: random.Random
    ) -> tuple[tuple[Bill, ...], Choice[int]]:
        owns_home = rng.random() < _HOME_OWNERS
        categories, turns = self._bill_turns[persona.name, owns_home]
        bills = []
        for category in categories:
            amount = persona.amounts[category].draw(rng) * self._scale
            if category == "rent":
                amount = max(10.0, round(amount / 10)) * 10 if self._scale == 1 else round(amount, -3)
            biller = self._world.merchants.pick(rng, customer.home, category)
            bills.append(Bill(biller, amount, category in _NOISY_BILLS))
        return tuple(bills), turns


def _bill_turns(persona: Persona, owns_home: bool) -> tuple[tuple[str, ...], Choice[int]]:
    """The categories of a household's bills, and a draw of their positions."""
    weights = dict(persona.bills)
    if owns_home and len(weights) > 1:
        weights.pop("rent", None)
    return tuple(weights), Choice(range(len(weights)), weights.values())


def _open_categories(persona: Persona, hour: int) -> Choice[str] | None:
    categories = load_categories()
    weights = {name: weight for name, weight in persona.merchants.items() if categories[name].is_open(hour)}
    return Choice.of(weights) if weights else None
