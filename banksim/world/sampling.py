"""Weighted choice and log-normal amounts, made once and drawn from many times.

``random.choices`` adds its weights up on every call; a plan draws five or six times, so
the running totals are kept here and a draw is one random number and one bisection.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from math import exp, inf
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class LogNormal(NamedTuple):
    """An amount in whole currency units: the median, and the standard deviation of its logarithm."""

    median_units: float
    sigma: float

    def draw(self, rng: random.Random) -> float:
        """One amount in units, always positive."""
        return self.median_units * exp(self.sigma * rng.gauss(0.0, 1.0))


class Choice(Generic[Item]):
    """Items with weights; ``pick`` draws one in proportion to its weight."""

    __slots__ = ("_sums", "_total", "items")

    def __init__(self, items: Iterable[Item], weights: Iterable[float]) -> None:
        """Raises ValueError when nothing has a positive weight or a weight is negative."""
        pairs = list(zip(items, weights, strict=True))
        if any(weight < 0 for _, weight in pairs):
            raise ValueError("a weight is negative")
        kept = [(item, weight) for item, weight in pairs if weight > 0]
        if not kept:
            raise ValueError("nothing to choose from: no positive weight")
        self.items: tuple[Item, ...] = tuple(item for item, _ in kept)
        self._sums = list(accumulate(weight for _, weight in kept))
        self._total = self._sums[-1]
        # The product of a number below 1 and the total may round up to the total.
        self._sums[-1] = inf

    @classmethod
    def of(cls, weights: Mapping[Item, float]) -> Choice[Item]:
        return cls(weights.keys(), weights.values())

    def shares(self) -> list[tuple[Item, float]]:
        """Each item with its chance."""
        edges = [0.0, *self._sums[:-1], self._total]
        chances = ((b - a) / self._total for a, b in pairwise(edges))
        return list(zip(self.items, chances, strict=True))

    def pick(self, rng: random.Random) -> Item:
        return self.items[bisect_right(self._sums, rng.random() * self._total)]


def zipf_weights(count: int, exponent: float = 1.0) -> list[float]:
    """Popularity of ``count`` ranked things: 1, 1/2^s, 1/3^s …"""
    return [1.0 / (rank + 1) ** exponent for rank in range(count)]
