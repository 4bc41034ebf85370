"""Which worker owns which customers and campaigns, from which simulated moment on.

A new assignment begins when a worker joins, is lost or leaves.

* Customers change hands at once: who acts for a customer is only a question of now.
* A campaign belongs to the worker that owns its slot when it starts.  So it starts exactly once,
  although workers receive an assignment at slightly different moments: an assignment begins a
  little in the future.
* What a lost worker should have started since its lease ended goes to the new owner.

                 assignment 1       assignment 2 (worker B lost, its lease over at t)
    ─────────────────────────┬──────┬───────────────────────────► simulated time
      slot s: B              t      │  slot s: A
      campaigns of s in here ╰──────╯  go to A too

A campaign that has begun stays where it is: only its worker knows its progress.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

from banksim.run.workers.messages import Assigned

# -- Slots: customers and campaigns in 4,096 groups, and the worker that owns each group -------------
#
# Rendezvous hashing (Thaler and Ravishankar, 1998): a slot belongs to the live worker whose
# hash with the slot is the highest.  When a worker comes or goes, only slots that it wins or
# leaves change hands.
#
#     customer ─┐
#     campaign ─┴► slot ─► table: one worker number per slot (2 bytes each, 8 KB in all)
#
# Only the master computes tables; workers receive them.


SLOTS = 4096
_BITS = 12
#: Fibonacci hashing: neighbouring indices fall far apart.
_FACTOR = 0x9E3779B1
_WEIGHTS_PER_HASH = 16

#: The number of no worker.
UNOWNED = 0xFFFF
#: Numbers are given once and never again; a master that has seen more workers is restarted.
MAX_NUMBERS = UNOWNED


def slot_of_customer(index: int) -> int:
    """The slot of the customer at ``index`` of the population."""
    return (index * _FACTOR & 0xFFFFFFFF) >> 32 - _BITS


def slot_of_campaign(campaign_id: str) -> int:
    """The slot of a campaign."""
    return int.from_bytes(blake2b(campaign_id.encode(), digest_size=8).digest(), "big") % SLOTS


def table_for(workers: Iterable[int]) -> array[int]:
    """The owner of each slot among these workers' numbers, `UNOWNED` when there are none."""
    numbers = sorted(set(workers))
    table = array("H", [UNOWNED]) * SLOTS
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
    """For a message, little-endian."""
    return b"".join(owner.to_bytes(2, "little") for owner in table)


def from_bytes(data: bytes) -> array[int]:
    """Raises ValueError when ``data`` is not a table."""
    if len(data) != 2 * SLOTS:
        raise ValueError(f"a table of slots has {2 * SLOTS} bytes, not {len(data)}")
    return array("H", [int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2)])


#: Assignments remembered; owners before the oldest are forgotten.
MAX_ASSIGNMENTS = 256


@dataclass(frozen=True, slots=True)
class Assignment:
    """``lost``: workers that are gone, each with the simulated second up to which it may have acted."""

    number: int
    from_sim_s: float
    table: array[int]
    lost: Mapping[int, float] = field(default_factory=dict)

    def to_message(self, run: str) -> Assigned:
        return Assigned(
            run=run,
            number=self.number,
            from_sim_s=self.from_sim_s,
            table=to_bytes(self.table),
            lost=dict(self.lost),
        )

    @classmethod
    def from_message(cls, message: Assigned) -> Assignment:
        """Raises ValueError when its table is none."""
        return cls(message.number, message.from_sim_s, from_bytes(message.table), message.lost)


class AssignedShare:
    """One worker's share under all assignments so far; a `banksim.schedule.simulation.Share`."""

    is_whole = False

    def __init__(self, shard: int) -> None:
        """``shard`` is the worker's number."""
        self.shard = shard
        self.assignments: list[Assignment] = []
        self._mine = bytearray(SLOTS)
        self.part = 0.0

    def begin(self, assignment: Assignment) -> bool:
        """Adopt an assignment; False when it is known already, or older."""
        if assignment.number <= self.number:
            return False
        self.assignments.append(assignment)
        del self.assignments[:-MAX_ASSIGNMENTS]
        self._mine = bytearray(owner == self.shard for owner in assignment.table)
        self.part = sum(self._mine) / SLOTS
        return True

    @property
    def number(self) -> int:
        """The present assignment, 0 before the first."""
        return self.assignments[-1].number if self.assignments else 0

    def has_customer(self, index: int) -> bool:
        return self._mine[slot_of_customer(index)] == 1

    def has_campaign(self, campaign_id: str, start_s: float) -> bool:
        return self.owner(slot_of_campaign(campaign_id), start_s) == self.shard

    def owner(self, slot: int, moment_s: float) -> int:
        """The slot's owner for what starts at this simulated second; `UNOWNED` before assignment 1."""
        owner = UNOWNED
        for assignment in self.assignments:
            if assignment.from_sim_s <= moment_s or moment_s >= assignment.lost.get(owner, float("inf")):
                owner = assignment.table[slot]
        return owner
