"""Amounts of many transactions at once, as `amounts.Pricing` makes one: same medians, same rounding.

All results are cents.  ``draws`` are normal numbers and numbers in [0, 1), one per amount.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from banksim.activity.prices import (
    ALWAYS_99,
    ENDS_IN_95,
    ENDS_IN_99,
    MACHINE_MOST,
    ROUND_TRANSFERS,
    WHOLE,
    Pricing,
)
from banksim.model import Kind
from banksim.world import Persona
from banksim.world.draws import Bools, Floats, Ints, rounded


class PriceColumns:
    """Prices of one currency.  Keys of amounts: category codes, then `key` of a kind."""

    def __init__(self, currency: str, personas: Sequence[Persona], categories: Sequence[str]) -> None:
        self.one = Pricing(currency)
        keys = [*categories, *Kind]
        self._keys = {key: code for code, key in enumerate(keys)}
        models = [[p.amounts.get(key) or p.amounts["online_retail"] for key in keys] for p in personas]
        self._median = np.array([[model.median_units for model in row] for row in models]) * self.one.scale
        self._sigma = np.array([[model.sigma for model in row] for row in models])
        self._ends_in_99 = np.array([category in ALWAYS_99 for category in categories])
        self._smallest = self.one.cents(0)

    def key(self, kind: Kind) -> int:
        return self._keys[kind]

    def cents(self, units: Floats) -> Ints:
        return np.maximum(rounded(units * self.one.per_unit), self._smallest)

    def drawn(self, personas: Ints, keys: Ints | int, normals: Floats) -> Floats:
        """Amounts of the personas' log-normals, in units."""
        units: Floats = self._median[personas, keys] * np.exp(self._sigma[personas, keys] * normals)
        return units

    def purchase(self, personas: Ints, categories: Ints, normals: Floats, ends: Floats) -> Ints:
        """Prices in shops: some end in .99 or .95, some are whole."""
        cents = self.cents(self.drawn(personas, categories, normals))
        if self.one.per_unit == 1:
            return np.where(ends < 0.6, np.maximum(10, rounded(cents / 10) * 10), cents)
        whole = cents - cents % 100
        in_99 = self._ends_in_99[categories] | (ends < ENDS_IN_99)
        prices: Ints = np.where(ends < ENDS_IN_99 + ENDS_IN_95 + WHOLE, np.maximum(whole, 100), cents)
        prices = np.where(ends < ENDS_IN_99 + ENDS_IN_95, whole + 95, prices)
        return np.where(in_99, whole + 99, prices)

    def cash(self, personas: Ints, at_machine: Bools, normals: Floats) -> Ints:
        """Notes: from a machine at most a few hundred, at the counter more."""
        units = self.drawn(personas, self.key(Kind.WITHDRAWAL), normals)
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
