"""Independent named streams of random numbers.

Everything random in a run comes from ``stream(seed, *names)``: the same seed and names
give the same numbers on every machine and in every process, and two different names
give unrelated ones.  Nothing here touches the process-wide ``random`` state, so a
plugin that calls ``random.seed`` changes nothing.

Text names are quoted before they are joined, so ``("a", "bc")`` and ``("ab", "c")``, or
``1`` and ``"1"``, are different streams.

Random numbers by counter: number k of row n is a pure function of (seed, names, n, k).

A stream of `random.Random` has to be drawn in order; these can be drawn for any rows at any
time and in any process, many at once.  So a plan does not depend on how it is cut into blocks,
and rows that are taken back are drawn again with the same result.

    word(n, k) = mix(key + (64 n + k) · golden)        splitmix64 (Steele, Lea, Flood, 2014)

`Draws.word` and `Draws.words` agree bit for bit.  Logarithms and cosines of numpy may differ in
the last bit between machines, so whatever is derived from `normals` is rounded before it is kept.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate, pairwise
from math import exp, inf
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

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


Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint64]
Bools = NDArray[np.bool_]

#: Numbers that one row may draw from one stream.
DRAWS_PER_ROW = 64
_MASK = (1 << 64) - 1
_GOLDEN, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_U_GOLDEN, _U_MIX_1, _U_MIX_2 = np.uint64(_GOLDEN), np.uint64(_MIX_1), np.uint64(_MIX_2)
_30, _27, _31, _11, _64 = (np.uint64(n) for n in (30, 27, 31, 11, DRAWS_PER_ROW))
_TO_UNIT = 2.0**-53


#: As many words are drawn one by one in the time that numpy takes to begin.
_FEW = 12


def unit(word: int) -> float:
    """The number in [0, 1) that `Draws.units` makes of a word."""
    return (word >> 11) * _TO_UNIT


class Draws:
    """The stream of ``names`` under ``seed``.  ``k`` is below `DRAWS_PER_ROW`."""

    def __init__(self, seed: int, *names: str | int) -> None:
        self._key = stream_key(seed, "draws", *names)
        self._offsets = [np.uint64((self._key + k * _GOLDEN) & _MASK) for k in range(DRAWS_PER_ROW)]
        self._step = np.uint64(_GOLDEN * DRAWS_PER_ROW & _MASK)

    def word(self, row: int, k: int = 0) -> int:
        """64 random bits."""
        x = (self._key + (row * DRAWS_PER_ROW + k) * _GOLDEN) & _MASK
        x = ((x ^ x >> 30) * _MIX_1) & _MASK
        x = ((x ^ x >> 27) * _MIX_2) & _MASK
        return x ^ x >> 31

    def words(self, rows: Ints, k: int = 0) -> Words:
        """64 random bits for each row."""
        x: Words = rows.astype(np.uint64)
        x *= self._step
        x += self._offsets[k]
        x ^= x >> _30
        x *= _U_MIX_1
        x ^= x >> _27
        x *= _U_MIX_2
        x ^= x >> _31
        return x

    def lists(self, start: int, end: int, k: int) -> list[int]:
        """`word` of the rows from ``start`` to ``end`` (exclusive), the quick way for few and for many."""
        if end - start < _FEW:
            return [self.word(row, k) for row in range(start, end)]
        words: list[int] = self.words(np.arange(start, end, dtype=np.int64), k).tolist()
        return words

    def units(self, rows: Ints, k: int = 0) -> Floats:
        """A number in [0, 1) for each row."""
        x = self.words(rows, k)
        x >>= _11
        units: Floats = x.astype(np.float64)
        units *= _TO_UNIT
        return units

    def below(self, rows: Ints, k: int, counts: Ints | int) -> Ints:
        """A whole number in [0, count) for each row."""
        return (self.units(rows, k) * counts).astype(np.int64)

    def normals(self, rows: Ints, k: int = 0) -> Floats:
        """A standard normal number for each row, made of the numbers ``k`` and ``k`` + 1 (Box-Muller)."""
        radius = np.sqrt(-2.0 * np.log1p(-self.units(rows, k)))
        normals: Floats = radius * np.cos(2 * np.pi * self.units(rows, k + 1))
        return normals


class Shares:
    """Many small weighted choices in one sorted table: one look-up draws from a choice per row.

    Choice r is stored at r … r + 1, so u from choice r is a search for r + u.
    """

    def __init__(self, choices: Sequence[Sequence[float]]) -> None:
        """``choices`` are weights.  A choice without a positive weight gives its first item."""
        edges: list[Floats] = []
        firsts = np.zeros(len(choices), np.int64)
        count = 0
        for number, weights in enumerate(choices):
            sums = np.cumsum(np.asarray(weights if sum(weights) > 0 else [1.0], np.float64))
            sums /= sums[-1]
            # Items of no weight at the end are not reached, nor is the end itself.
            sums[np.searchsorted(sums, 1.0) :] = 1.0
            edges.append(sums + number)
            firsts[number] = count
            count += len(sums)
        self._edges = np.concatenate(edges)
        self._firsts = firsts

    def pick(self, choices: Ints, units: Floats) -> Ints:
        """Positions in the choices, for numbers in [0, 1)."""
        wanted = choices + np.minimum(units, 1 - 1e-9)
        found: Ints = np.searchsorted(self._edges, wanted, side="right") - self._firsts[choices]
        return found


def rounded(values: Floats) -> Ints:
    """The nearest whole numbers."""
    whole: Ints = np.rint(values).astype(np.int64)
    return whole


#: Four hexadecimal digits of every 16 bits, as one number.
_HEX = np.frombuffer(b"".join(b"%04x" % bits for bits in range(1 << 16)), np.uint32)


_LOW = (1 << 62) - 1


def uuid_text(high: int, low: int) -> str:
    """128 random bits as text in the form of a version 4 UUID."""
    digits = "%016x%016x" % (high & ~0xF000 | 0x4000, low & _LOW | 1 << 63)  # noqa: UP031 - the quickest way
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def uuid_texts(high: Words, low: Words) -> NDArray[np.uint8]:
    """The same for many: n rows of 36 ASCII characters."""
    words = np.empty((len(high), 2), ">u8")
    words[:, 0] = high & np.uint64(_MASK - 0xF000) | np.uint64(0x4000)
    words[:, 1] = low & np.uint64((1 << 62) - 1) | np.uint64(1 << 63)
    digits = _HEX[words.view(">u2")].view(np.uint8).reshape(len(high), 32)
    texts = np.full((len(high), 36), ord("-"), np.uint8)
    for start, end, digit in ((0, 8, 0), (9, 13, 8), (14, 18, 12), (19, 23, 16), (24, 36, 20)):
        texts[:, start:end] = digits[:, digit : digit + end - start]
    return texts
