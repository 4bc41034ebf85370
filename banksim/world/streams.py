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
