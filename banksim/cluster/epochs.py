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
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from banksim.cluster.slots import NOBODY, SLOTS, from_bytes, slot_of_campaign, slot_of_customer, to_bytes

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
    """One member's share under all epochs so far; a `banksim.engine.share.Share`."""

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
