"""The workers a master knows, and which of them are there.

    hello ──► idle ──► preparing ──► live ──► final          what a run makes of a worker
                            │          │ ╲
                            │          │  ╲ silent for 3 s ──► lost ──► live again, if it comes back
                            └─ refused ┴───────────────────► left (said so)

Numbers are given in the order of the first hello and never again, so that a worker's random
streams are its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from banksim.cluster.messages import LOST_AFTER_S
from banksim.cluster.slots import MAX_MEMBERS


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
