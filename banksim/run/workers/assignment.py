"""Epochs: who owns which slots, from which simulated moment on.

An epoch begins when a worker joins, is lost or leaves.

* Customers change hands at once: who acts for a customer is only a question of now.
* A campaign belongs to whoever owns its slot when it starts, so it is started exactly once,
  although workers hear of an epoch at slightly different moments: an epoch begins a little
  in the future.
* What a lost worker should have started since its last sign of life goes to the new owner.

                 epoch 1            epoch 2 (worker B lost, last heard at t)
    ─────────────────────────┬──────┬───────────────────────────► simulated time
      slot s: B              t      │  slot s: A
      campaigns of s in here ╰──────╯  go to A too

A campaign that has begun stays where it is: only its worker knows how far it is.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

# -- Slots: customers and campaigns in 4,096 groups, and which member owns each group ---------------
#
# Rendezvous hashing (Thaler and Ravishankar, 1998): a slot belongs to the live member whose
# hash with the slot is the highest.  So when a member comes or goes, only slots that it wins
# or leaves change hands; everybody else keeps theirs.
#
#     customer ─┐
#     campaign ─┴► slot ─► table: one member number per slot (2 bytes each, 8 KB in all)
#
# Only the master computes tables; workers are sent them.


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


#: Epochs remembered; who owned what before the oldest is forgotten.
MAX_EPOCHS = 256


@dataclass(frozen=True, slots=True)
class Epoch:
    """``lost``: members that are gone, and the simulated second of their last sign of life."""

    number: int
    from_sim_s: float
    table: array[int]
    lost: Mapping[int, float] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "from_sim_s": self.from_sim_s,
            "table": to_bytes(self.table),
            "lost": [[number, sim_s] for number, sim_s in self.lost.items()],
        }

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Epoch:
        lost = {int(number): float(sim_s) for number, sim_s in data["lost"]}
        return cls(int(data["number"]), float(data["from_sim_s"]), from_bytes(data["table"]), lost)


class EpochShare:
    """One member's share under all epochs so far; a `banksim.schedule.simulation.Share`."""

    is_whole = False

    def __init__(self, shard: int) -> None:
        """``shard`` is the member's number."""
        self.shard = shard
        self.epochs: list[Epoch] = []
        self._mine = bytearray(SLOTS)
        self.part = 0.0

    def begin(self, epoch: Epoch) -> bool:
        """Take over an epoch; False when it is known already, or older."""
        if self.epochs and epoch.number <= self.epochs[-1].number:
            return False
        self.epochs.append(epoch)
        del self.epochs[:-MAX_EPOCHS]
        self._mine = bytearray(owner == self.shard for owner in epoch.table)
        self.part = sum(self._mine) / SLOTS
        return True

    @property
    def number(self) -> int:
        """The present epoch, 0 before the first."""
        return self.epochs[-1].number if self.epochs else 0

    def has_customer(self, index: int) -> bool:
        return self._mine[slot_of_customer(index)] == 1

    def has_campaign(self, campaign_id: str, start_s: float) -> bool:
        return self.owner(slot_of_campaign(campaign_id), start_s) == self.shard

    def owner(self, slot: int, moment_s: float) -> int:
        """Whose the slot is for what starts at this simulated second; `NOBODY` before the first epoch."""
        owner = NOBODY
        for epoch in self.epochs:
            if epoch.from_sim_s <= moment_s or moment_s >= epoch.lost.get(owner, float("inf")):
                owner = epoch.table[slot]
        return owner
