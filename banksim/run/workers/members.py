"""The workers a master knows, and which of them are there.

    hello ──► idle ──► preparing ──► live ──► final          what a run makes of a worker
                            │          │ ╲
                            │          │  ╲ silent for 3 s ──► lost ──► live again, if it comes back
                            └─ refused ┴───────────────────► left (said so)

Numbers are given in the order of the first hello and never again, so that a worker's random
streams are its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from banksim.run.workers.assignment import MAX_MEMBERS, SLOTS, Epoch, table_for
from banksim.run.workers.messages import LOST_AFTER_S, Message

logger = logging.getLogger(__name__)


class Standing(StrEnum):
    """What a worker is to the run."""

    IDLE = "idle"
    PREPARING = "preparing"
    LIVE = "live"
    LOST = "lost"
    REFUSED = "refused"
    FINAL = "final"


@dataclass(slots=True)
class Member:
    """One worker.  Moments are the master's monotonic seconds; ``pulse`` is its last one."""

    client_id: str
    number: int
    host: str
    pid: int
    heard_s: float
    standing: Standing = Standing.IDLE
    reason: str = ""
    leaving: bool = False
    acked_s: float = 0.0
    joined_s: float | None = None
    lost_s: float | None = None
    losses: int = 0
    #: Wall seconds in which its share was nobody's, and the transactions that were not offered then.
    gap_s: float = 0.0
    not_offered: float = 0.0
    pulse: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For people."""
        return f"worker {self.number} ({self.host}, process {self.pid})"

    def new_run(self) -> None:
        """Forget the last run."""
        self.standing, self.reason, self.leaving = Standing.PREPARING, "", False
        self.joined_s = self.lost_s = None
        self.losses, self.gap_s, self.not_offered = 0, 0.0, 0.0
        self.pulse = {}


class Members:
    """All workers that ever said hello to this master."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._by_client: dict[str, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._by_client.values()))

    def find(self, client_id: str) -> Member | None:
        return self._by_client.get(client_id)

    def hear(self, client_id: str, host: str, pid: int) -> Member:
        """A hello: the member, made when it is new.  Raises ValueError past the last number."""
        member = self._by_client.get(client_id)
        if member is None:
            if len(self._by_client) >= MAX_MEMBERS:
                raise ValueError(f"more than {MAX_MEMBERS:,} workers have been here; restart the master")
            member = Member(client_id, len(self._by_client), host, pid, self._now())
            self._by_client[client_id] = member
        member.heard_s = self._now()
        return member

    def present(self) -> list[Member]:
        """Those that have been heard of lately."""
        return [member for member in self if not self.silent(member)]

    def silent(self, member: Member) -> bool:
        return self._now() - member.heard_s > LOST_AFTER_S

    def forgive_silence(self) -> None:
        """The master itself was away: nobody is to blame."""
        for member in self:
            member.heard_s = max(member.heard_s, self._now() - LOST_AFTER_S / 2)

    def standing(self, *wanted: Standing) -> list[Member]:
        return [member for member in self if member.standing in wanted]


# -- The roll of one run: which workers take part, which are lost, and the epochs that follow from it ---
#
# Every change of who is live begins an epoch: a new table of who owns what, sent to all.


#: An epoch begins so many wall seconds after it is announced: long enough for every worker to hear of it.
AHEAD_S = 1.0


class Roll:
    """Keeps the members' standing in this run and makes epochs."""

    def __init__(
        self,
        members: Members,
        send: Callable[[Member, Message], None],
        sim_at: Callable[[float], float],
        offered_between: Callable[[float, float], float],
    ) -> None:
        """``sim_at``: the simulated second of a monotonic wall moment.

        ``offered_between``: transactions that all together offer between two wall moments.
        """
        self._members = members
        self._send = send
        self._sim_at = sim_at
        self._offered_between = offered_between
        self.epoch = 0
        #: Everybody who was ever given a share.
        self.took_part: dict[int, Member] = {}
        self._parts: dict[int, float] = {}
        self._watched_s = time.monotonic()

    @property
    def live(self) -> list[Member]:
        """Workers that have a share, in the order of their numbers."""
        return self._members.standing(Standing.LIVE)

    @property
    def preparing(self) -> list[Member]:
        return self._members.standing(Standing.PREPARING)

    def join(self, *joining: Member) -> None:
        """Workers that are ready get a share."""
        now_s = time.monotonic()
        for member in joining:
            member.standing = Standing.LIVE
            member.joined_s = member.joined_s or now_s
            self.took_part[member.number] = member
        self._begin({}, from_s=now_s + AHEAD_S if self.epoch else now_s)

    def leave(self, member: Member, standing: Standing, reason: str = "") -> None:
        """A worker says that it takes no further part; what it has begun it has ended."""
        was_live = member.standing is Standing.LIVE
        member.standing, member.reason = standing, reason
        if was_live:
            now_s = time.monotonic()
            self._begin({member.number: self._sim_at(now_s)}, from_s=now_s)

    def watch(self) -> list[Member]:
        """Look for workers that have fallen silent, and give away their share; returns them.

        A master that was itself away for a while blames nobody.
        """
        now_s, before_s = time.monotonic(), self._watched_s
        self._watched_s = now_s
        if now_s - before_s > AHEAD_S:
            self._members.forgive_silence()
            return []
        silent = [
            member
            for member in self._members.standing(Standing.LIVE, Standing.PREPARING)
            if self._members.silent(member)
        ]
        had_share = {m.number: self._sim_at(m.heard_s) for m in silent if m.standing is Standing.LIVE}
        for member in silent:
            self._note_loss(member, now_s)
        if had_share:
            self._begin(had_share, from_s=now_s)
        return silent

    def return_of(self, member: Member) -> None:
        """A worker that was lost is heard of again, with all it had counted."""
        logger.warning("%s is back after %.1f s", member.name, time.monotonic() - (member.lost_s or 0.0))
        if member.number in self.took_part:
            self.join(member)
        else:
            member.standing = Standing.PREPARING

    def part_of(self, member: Member) -> float:
        """The member's part of all slots, 0..1."""
        return self._parts.get(member.number, 0.0)

    def _note_loss(self, member: Member, now_s: float) -> None:
        if member.standing is Standing.LIVE:
            gap_s = now_s - member.heard_s
            member.losses += 1
            member.gap_s += gap_s
            member.not_offered += self.part_of(member) * self._offered_between(member.heard_s, now_s)
            logger.warning(
                "%s has not been heard of for %.1f s: its customers go to the others", member.name, gap_s
            )
        member.standing, member.lost_s = Standing.LOST, now_s

    def _begin(self, lost: dict[int, float], from_s: float) -> None:
        live = self.live
        table = table_for(member.number for member in live)
        self.epoch += 1
        epoch = Epoch(self.epoch, self._sim_at(from_s), table, lost)
        self._parts = {member.number: table.count(member.number) / SLOTS for member in live}
        message = {"kind": "epoch", "epoch": epoch.to_wire()}
        for member in self._members.standing(Standing.LIVE, Standing.LOST):
            self._send(member, message)
