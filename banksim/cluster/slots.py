"""Slots: customers and campaigns in 4,096 groups, and which member owns each group.

Rendezvous hashing (Thaler and Ravishankar, 1998): a slot belongs to the live member whose
hash with the slot is the highest.  So when a member comes or goes, only slots that it wins
or leaves change hands; everybody else keeps theirs.

    customer ─┐
    campaign ─┴► slot ─► table: one member number per slot (2 bytes each, 8 KB in all)

Only the master computes tables; workers are sent them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

SLOTS = 4096
_BITS = 12
#: Fibonacci hashing: neighbouring indices fall far apart.
_FACTOR = 0x9E3779B1
_WEIGHTS_PER_HASH = 16

#: Nobody owns the slot.
NOBODY = 0xFFFF
#: Numbers are given once and never again; a master that has seen more workers is restarted.
MAX_MEMBERS = NOBODY


def slot_of_customer(index: int) -> int:
    """The slot of the customer at ``index`` of the population."""
    return (index * _FACTOR & 0xFFFFFFFF) >> 32 - _BITS


def slot_of_campaign(campaign_id: str) -> int:
    """The slot of a campaign."""
    return int.from_bytes(blake2b(campaign_id.encode(), digest_size=8).digest(), "big") % SLOTS


def table_for(members: Iterable[int]) -> array[int]:
    """The owner of each slot among the ``members``' numbers, `NOBODY` when there are none."""
    numbers = sorted(set(members))
    table = array("H", [NOBODY]) * SLOTS
    best = [-1] * SLOTS
    for number in numbers:
        for slot, weight in enumerate(_weights(number)):
            if weight > best[slot]:
                best[slot] = weight
                table[slot] = number
    return table


@lru_cache(maxsize=1024)
def _weights(number: int) -> array[int]:
    weights = array("I")
    for block in range(SLOTS // _WEIGHTS_PER_HASH):
        weights.frombytes(blake2b(b"%d:%d" % (number, block), digest_size=64).digest())
    return weights


def to_bytes(table: array[int]) -> bytes:
    """For a message, in little-endian order."""
    return b"".join(owner.to_bytes(2, "little") for owner in table)


def from_bytes(data: bytes) -> array[int]:
    """Raises ValueError when that is no table."""
    if len(data) != 2 * SLOTS:
        raise ValueError(f"a table of slots has {2 * SLOTS} bytes, not {len(data)}")
    return array("H", [int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2)])
