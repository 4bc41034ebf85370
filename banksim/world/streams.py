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
from hashlib import blake2b


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
    digits = f"{rng.getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
