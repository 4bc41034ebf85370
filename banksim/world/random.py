"""Independent named streams of random numbers.

Everything random in a run comes from ``stream(seed, *names)``: the same seed and names
give the same numbers on every machine and in every process, and two different names
give unrelated ones.  Nothing here touches the process-wide ``random`` state, so a
plugin that calls ``random.seed`` changes nothing.

Text names are quoted before they are joined, so ``("a", "bc")`` and ``("ab", "c")``, or
``1`` and ``"1"``, are different streams.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import accumulate, pairwise
from math import exp, inf
from typing import Generic, NamedTuple, TypeVar

# -- Amounts in other currencies: a scale, not an exchange rate -------------------------------------
#
# All medians and incomes are written in units of about a dollar.  A currency whose unit
# is worth far less multiplies them by a fixed round factor, so that a coffee costs 975
# yen and not 6.50.  It is never used to convert amounts.


_UNIT_SCALE: dict[str, float] = {"JPY": 150.0}


def unit_scale(currency: str) -> float:
    """The factor for amounts in dollar-like units; 1 for a currency that is not listed."""
    return _UNIT_SCALE.get(currency, 1.0)


# -- Weighted choice and log-normal amounts, made once and drawn from many times --------------------
#
# ``random.choices`` adds its weights up on every call; a plan draws five or six times, so
# the running totals are kept here and a draw is one random number and one bisection.


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


#: The bits of a version 4 UUID that are fixed (RFC 9562), and all the others.
_VERSION_4 = 0x4 << 76 | 0x2 << 62
_FREE_BITS = (1 << 128) - 1 & ~(0xF << 76 | 0x3 << 62)


def stream_key(seed: int, *names: str | int) -> int:
    """A 64-bit number that is a pure function of the seed and the names."""
    # str() first: the repr of a StrEnum member would name its class and break on a rename.
    plain = (int(seed), *(name if type(name) is int else str(name) for name in names))
    return int.from_bytes(blake2b(repr(plain).encode("utf-8"), digest_size=8).digest(), "big")


def stream(seed: int, *names: str | int) -> random.Random:
    """A generator of its own for ``names`` under ``seed``."""
    return random.Random(stream_key(seed, *names))


def opaque_id(rng: random.Random) -> str:
    """Text of the form of a version 4 UUID, drawn from ``rng`` and so repeatable.

    Transaction, device and merchant ids look like this, so that no id says what kind
    of thing, or whose doing, it is.
    """
    digits = (rng.getrandbits(128) & _FREE_BITS | _VERSION_4).to_bytes(16, "big").hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
