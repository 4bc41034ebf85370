"""Amounts as people and shops make them: prices end in .99, cash comes in notes, rents are round.

All results are cents, at least `SMALLEST_UNITS` and never above the payer's tier limit.
An amount drawn above the limit is brought below it at random rather than cut to it, so
that no heap of equal amounts forms at the edge.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import exp, sqrt

import numpy as np

from banksim.model import Kind
from banksim.model.money import MINOR_DIGITS, to_cents
from banksim.world import TIER_LIMIT_UNITS, Customer, Persona, unit_scale
from banksim.world.columns import PRICE_LEVEL_SIGMA
from banksim.world.merchants import SHOP_LEVEL_SIGMA
from banksim.world.random import Bools, Floats, Ints, rounded

SMALLEST_UNITS = 0.5
#: How prices end (judgement).
ENDS_IN_99 = 0.16
ENDS_IN_95 = 0.06
WHOLE = 0.08
#: Cash of one machine visit, in dollar-like units (judgement).
MACHINE_MOST = 800
ROUND_TRANSFERS = 0.65
#: Part of the variance of log amounts that lies between people and between shops; the rest is left to chance.
_BETWEEN = PRICE_LEVEL_SIGMA**2 + SHOP_LEVEL_SIGMA**2
_LEAST_SIGMA = 0.3
ALWAYS_99 = frozenset({"subscription", "digital_goods"})


class Pricing:
    """Draws and rounds amounts in one currency."""

    def __init__(self, currency: str) -> None:
        self.scale = unit_scale(currency)
        self._has_cents = MINOR_DIGITS.get(currency, 2) == 2
        self.per_unit = 100 if self._has_cents else 1
        self._smallest_cents = to_cents(SMALLEST_UNITS * self.scale, currency)
        self._limits = {tier: units * self.per_unit for tier, units in TIER_LIMIT_UNITS.items()}
        #: The smallest note a machine gives, in cents: $20, or 1,000 yen.
        self.note_cents = (20 if self.scale == 1 else 1000) * self.per_unit

    def limit_cents(self, customer: Customer) -> int:
        """The most the bank lets this customer pay at once."""
        return self._limits[customer.kyc_tier]

    def cents(self, units: float) -> int:
        cents = round(units * self.per_unit)
        return cents if cents > self._smallest_cents else self._smallest_cents

    def purchase(self, persona: Persona, category: str, rng: random.Random) -> int:
        """A price in a shop of ``category``."""
        return self.price(self.drawn(persona, category, rng), rng, category in ALWAYS_99)

    def drawn(self, persona: Persona, key: str, rng: random.Random, level: float = 0.0) -> float:
        """An amount of the persona's log-normal for ``key``, in units of this currency.

        With a ``level`` that of a customer with this price level.
        """
        model = persona.amounts.get(key)
        if model is None:  # a shop outside the persona's own mix, met on the way
            model = persona.amounts["online_retail"]
        if level > 0:
            drawn = level * model.median_units * exp(within_sigma(model.sigma) * rng.gauss(0, 1))
            return drawn * self.scale
        return model.draw(rng) * self.scale

    def price(self, units: float, rng: random.Random, always_99: bool = False) -> int:
        """``units`` as a price tag: some end in .99 or .95, some are whole."""
        cents = self.cents(units)
        if not self._has_cents:
            return max(10, round(cents, -1)) if rng.random() < 0.6 else cents
        whole = cents - cents % 100
        chance = rng.random()
        if always_99 or chance < ENDS_IN_99:
            return whole + 99
        if chance < ENDS_IN_99 + ENDS_IN_95:
            return whole + 95
        return max(whole, 100) if chance < ENDS_IN_99 + ENDS_IN_95 + WHOLE else cents

    def cash(self, persona: Persona, at_machine: bool, rng: random.Random) -> int:
        """Notes: from a machine at most a few hundred, at the counter more."""
        units = self.drawn(persona, Kind.WITHDRAWAL, rng)
        if not at_machine:
            return self.whole_notes(self.cents(units * 4))
        most = int(MACHINE_MOST * self.scale) * self.per_unit
        return min(self.whole_notes(self.cents(units)), most - most % self.note_cents)

    def whole_notes(self, cents: int) -> int:
        """The nearest sum in notes, at least one note."""
        return max(1, round(cents / self.note_cents)) * self.note_cents

    def deposit(self, persona: Persona, in_cash: bool, rng: random.Random) -> int:
        """Cash comes in fives and tens, cheques to the cent."""
        cents = self.cents(self.drawn(persona, Kind.DEPOSIT, rng))
        return self.rounded(cents, 5 if rng.random() < 0.4 else 10) if in_cash else cents

    def transfer(self, persona: Persona, rng: random.Random, factor: float = 1.0) -> int:
        """Between people mostly a round sum."""
        cents = self.cents(self.drawn(persona, Kind.TRANSFER, rng) * factor)
        if rng.random() >= ROUND_TRANSFERS:
            return cents
        return self.rounded(cents, 5 if cents < 100 * self.scale * self.per_unit else 10)

    def rounded(self, cents: int, units: int) -> int:
        """``cents`` to the nearest ``units`` whole units (scaled with the currency), at least one."""
        step = self.step_cents(units)
        return max(1, round(cents / step)) * step

    def step_cents(self, units: int) -> int:
        """The cents of ``units`` whole units, scaled with the currency."""
        return int(units * (self.scale if self.scale == 1 else 100)) * self.per_unit

    def within_limit(self, cents: int, customer: Customer, rng: random.Random) -> int:
        """``cents``, or somewhere below the customer's tier limit when that is less."""
        limit = self.limit_cents(customer)
        return cents if cents < limit else int(limit * rng.uniform(0.55, 0.97))


def within_sigma(sigma: float) -> float:
    """What is left to chance of a log-normal's sigma once the customer and the shop are known."""
    return min(sigma, sqrt(max(sigma * sigma - _BETWEEN, _LEAST_SIGMA**2)))


class PriceColumns:
    """The same for many at once, in one currency.  Keys of amounts: category codes, then `key` of a kind."""

    def __init__(self, currency: str, personas: Sequence[Persona], categories: Sequence[str]) -> None:
        self.one = Pricing(currency)
        keys = [*categories, *Kind]
        self._keys = {key: code for code, key in enumerate(keys)}
        models = [[p.amounts.get(key) or p.amounts["online_retail"] for key in keys] for p in personas]
        self._median = np.array([[model.median_units for model in row] for row in models]) * self.one.scale
        self._sigma = np.array([[within_sigma(model.sigma) for model in row] for row in models])
        self._ends_in_99 = np.array([category in ALWAYS_99 for category in categories])
        self._smallest = self.one.cents(0)

    def key(self, kind: Kind | str) -> int:
        return self._keys[kind]

    def cents(self, units: Floats) -> Ints:
        return np.maximum(rounded(units * self.one.per_unit), self._smallest)

    def drawn(self, personas: Ints, keys: Ints | int, normals: Floats) -> Floats:
        """Amounts of the personas' log-normals, in units."""
        units: Floats = self._median[personas, keys] * np.exp(self._sigma[personas, keys] * normals)
        return units

    def purchase(
        self, personas: Ints, categories: Ints, normals: Floats, ends: Floats, levels: Floats
    ) -> Ints:
        """Prices in shops: some end in .99 or .95, some are whole.

        ``levels`` are the customer's × the shop's.
        """
        cents = self.cents(self.drawn(personas, categories, normals) * levels)
        if self.one.per_unit == 1:
            return np.where(ends < 0.6, np.maximum(10, rounded(cents / 10) * 10), cents)
        whole = cents - cents % 100
        in_99 = self._ends_in_99[categories] | (ends < ENDS_IN_99)
        prices: Ints = np.where(ends < ENDS_IN_99 + ENDS_IN_95 + WHOLE, np.maximum(whole, 100), cents)
        prices = np.where(ends < ENDS_IN_99 + ENDS_IN_95, whole + 95, prices)
        return np.where(in_99, whole + 99, prices)

    def cash(self, personas: Ints, at_machine: Bools, normals: Floats, levels: Floats) -> Ints:
        """Notes: from a machine at most a few hundred, at the counter more."""
        units = self.drawn(personas, self.key(Kind.WITHDRAWAL), normals) * levels
        cents = self.cents(np.where(at_machine, units, units * 4))
        note = self.one.note_cents
        notes = np.maximum(1, rounded(cents / note)) * note
        most = int(MACHINE_MOST * self.one.scale) * self.one.per_unit
        return np.where(at_machine, np.minimum(notes, most - most % note), notes)

    def deposit(self, personas: Ints, in_cash: Bools, normals: Floats, ends: Floats) -> Ints:
        """Cash comes in fives and tens, cheques to the cent."""
        cents = self.cents(self.drawn(personas, self.key(Kind.DEPOSIT), normals))
        return np.where(in_cash, self.rounded(cents, np.where(ends < 0.4, 5, 10)), cents)

    def transfer(self, personas: Ints, factors: Floats, normals: Floats, ends: Floats) -> Ints:
        """Between people mostly a round sum."""
        cents = self.cents(self.drawn(personas, self.key(Kind.TRANSFER), normals) * factors)
        is_small = cents < 100 * self.one.scale * self.one.per_unit
        round_sums = self.rounded(cents, np.where(is_small, 5, 10))
        return np.where(ends >= ROUND_TRANSFERS, cents, round_sums)

    def rounded(self, cents: Ints, units: Ints | int) -> Ints:
        """To the nearest ``units`` whole units (scaled with the currency), at least one."""
        step = np.asarray(units, np.int64) * self.one.step_cents(1)
        return np.maximum(rounded(cents / step), 1) * step

    def within(self, cents: Ints, limits: Ints, units: Floats) -> Ints:
        """``cents``, or somewhere below the limit when that is less."""
        if not (cents >= limits).any():
            return cents
        return np.where(cents < limits, cents, (limits * (0.55 + 0.42 * units)).astype(np.int64))
