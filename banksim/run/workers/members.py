"""The workers a master knows, and their part in the present run.

    hello ──► idle ──► preparing ──► live ──► final          standing of a worker in a run
                            │          │ ╲
                            │          │  ╲ silent for 3 s ──► lost ──► live again, if it comes back
                            └─ refused ┴───────────────────► left, as it announced

Numbers are given in the order of the first hello and never again, so every worker has random
streams of its own.

Which worker owns which customers and campaigns, from which simulated moment on.

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

import logging
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

from banksim.measure.results import WorkerShown
from banksim.run.workers import messages
from banksim.schedule.clock import Clock, PiecewiseRate

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

    def to_message(self, run: str) -> messages.Assigned:
        return messages.Assigned(
            run=run,
            number=self.number,
            from_sim_s=self.from_sim_s,
            table=to_bytes(self.table),
            lost=dict(self.lost),
        )

    @classmethod
    def from_message(cls, message: messages.Assigned) -> Assignment:
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


logger = logging.getLogger(__name__)

NO_PULSE = messages.Pulse(run="", at_s=0.0)


class Outbox(Protocol):
    """The master's way to its workers."""

    def send(self, client_id: str, message: messages.FromMaster) -> None:
        """Returns at once; what cannot be sent is dropped."""


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
    lost_s: float = 0.0
    losses: int = 0
    #: Wall seconds in which its share had no owner, and the transactions that were not offered then.
    gap_s: float = 0.0
    not_offered: float = 0.0
    pulse: messages.Pulse = NO_PULSE

    @property
    def name(self) -> str:
        return f"worker {self.number} ({self.host}, process {self.pid})"

    @property
    def lease_end_s(self) -> float:
        """Up to this moment it may have started something, whether or not it was heard of since."""
        return max(self.heard_s, self.acked_s + messages.LEASE_S)

    def shown(self, share: float) -> WorkerShown:
        """For the status page."""
        cpu_percent, rss_bytes = self.pulse.cpu_percent, self.pulse.rss_bytes
        return WorkerShown(
            self.number, self.host, self.pid, str(self.standing), share, cpu_percent, rss_bytes
        )

    def new_run(self) -> None:
        """Forget the last run."""
        self.standing, self.reason, self.leaving = Standing.PREPARING, "", False
        self.acked_s, self.joined_s, self.lost_s = 0.0, None, 0.0
        self.losses, self.gap_s, self.not_offered = 0, 0.0, 0.0
        self.pulse = NO_PULSE


class Members:
    """All workers that ever said hello to this master."""

    def __init__(self, bind_host: str = "*", port: int = 5557) -> None:
        """The address at which the master listens to workers."""
        self._bind_host = bind_host
        self._port = port
        self._by_client: dict[str, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._by_client.values()))

    @property
    def how_to_join(self) -> str:
        """The command that starts a worker of this master."""
        anywhere = self._bind_host in ("*", "0.0.0.0", "::")
        host = "ADDRESS" if anywhere else self._bind_host
        return (
            f"locust -f locustfiles/banking.py --worker --master-host {host} --master-port {self._port}"
            + (", where ADDRESS is this machine (127.0.0.1 on the machine itself)" if anywhere else "")
        )

    def find(self, client_id: str) -> Member | None:
        return self._by_client.get(client_id)

    def hear(self, client_id: str, host: str, pid: int) -> Member:
        """A hello: the member, made when it is new.  Raises ValueError past the last number."""
        member = self._by_client.get(client_id)
        if member is None:
            if len(self._by_client) >= MAX_NUMBERS:
                raise ValueError(f"this master has seen {MAX_NUMBERS:,} workers and has no number left")
            member = Member(client_id, len(self._by_client), host, pid, time.monotonic())
            self._by_client[client_id] = member
        member.heard_s = time.monotonic()
        return member

    def present(self) -> list[Member]:
        """Those heard of lately."""
        return [member for member in self if not self.silent(member)]

    def silent(self, member: Member) -> bool:
        return time.monotonic() - member.heard_s > messages.LOST_AFTER_S

    def forgive_silence(self) -> None:
        """The master itself was stalled: do not count this silence against workers."""
        for member in self:
            member.heard_s = max(member.heard_s, time.monotonic() - messages.LOST_AFTER_S / 2)

    def standing(self, *wanted: Standing) -> list[Member]:
        return [member for member in self if member.standing in wanted]


# -- The membership of one run: which workers take part, which are lost, and what each owns --------------
#
# Every change of the live workers begins an assignment: a new table of owners, sent to all.
#
# Bound: MAX_WORKERS take part in one run; the states of more are not added up, so more are refused.


#: Wall seconds between announcing an assignment and its start: every worker has it by then.
AHEAD_S = 1.0
MAX_WORKERS = 1_000
FULL = f"a run takes {MAX_WORKERS:,} workers at most"


class Membership:
    """Keeps the workers' standing in one run and makes assignments."""

    def __init__(
        self, members: Members, outbox: Outbox, run_id: str, clock: Clock, offered: PiecewiseRate
    ) -> None:
        """``offered``: transactions per wall second of all workers together, by simulated second."""
        self._members = members
        self._outbox = outbox
        self._run_id = run_id
        self._clock = clock
        self._offered = offered
        #: The number of the present assignment, 0 before the first.
        self.assignment = 0
        #: Every worker that was ever given a share, by number.
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

    @property
    def involved(self) -> list[Member]:
        """Workers that must know what becomes of the run; a lost one may only be frozen."""
        return self._members.standing(Standing.LIVE, Standing.PREPARING, Standing.LOST)

    @property
    def time_is_over(self) -> bool:
        """Whether simulated time has come to its end."""
        return self._clock.finished(time.monotonic())

    @property
    def full(self) -> bool:
        return len(self.took_part.keys() | {member.number for member in self.preparing}) >= MAX_WORKERS

    def join(self, *joining: Member) -> None:
        """Workers that are prepared get a share."""
        now_s = time.monotonic()
        for member in joining:
            member.standing = Standing.LIVE
            member.joined_s = member.joined_s or now_s
            self.took_part[member.number] = member
        self._begin({}, from_s=now_s + AHEAD_S if self.assignment else now_s)

    def leave(self, member: Member, standing: Standing, reason: str = "") -> None:
        """A worker takes no further part; it has already finished everything it started."""
        was_live = member.standing is Standing.LIVE
        member.standing, member.reason = standing, reason
        if was_live:
            now_s = time.monotonic()
            self._begin({member.number: self._clock.sim_at(now_s)}, from_s=now_s)

    def watch(self) -> list[Member]:
        """Find workers that have fallen silent, and give away their share; returns them.

        A master that was stalled itself counts no silence.
        """
        now_s, before_s = time.monotonic(), self._watched_s
        self._watched_s = now_s
        if now_s - before_s > AHEAD_S:
            self._members.forgive_silence()
            return []
        silent = [m for m in (*self.live, *self.preparing) if self._members.silent(m)]
        owned = {m.number: self._clock.sim_at(m.lease_end_s) for m in silent if m.standing is Standing.LIVE}
        for member in silent:
            self.lose(member)
        if owned:
            self._begin(owned, from_s=now_s)
        return silent

    def lose(self, member: Member) -> None:
        """Count a worker as lost: silent, or unable to finish."""
        now_s = time.monotonic()
        if member.standing is Standing.LIVE:
            gap_s = now_s - member.heard_s
            member.losses += 1
            member.gap_s += gap_s
            member.not_offered += self.part_of(member) * self._offered_between(member.heard_s, now_s)
            logger.warning(
                "No message from %s for %.1f s: other workers take its customers", member.name, gap_s
            )
        member.standing, member.lost_s = Standing.LOST, now_s

    def return_of(self, member: Member) -> None:
        """A lost worker is back, with all it had counted."""
        logger.warning("%s is back after %.1f s", member.name, time.monotonic() - member.lost_s)
        if member.number in self.took_part:
            self.join(member)
        else:
            member.standing = Standing.PREPARING

    def part_of(self, member: Member) -> float:
        """The member's part of all slots, 0..1."""
        return self._parts.get(member.number, 0.0)

    def tell(self, member: Member, message: messages.FromMaster) -> None:
        self._outbox.send(member.client_id, message)

    def tell_all(self, message: messages.FromMaster) -> None:
        """To every worker that is involved."""
        for member in self.involved:
            self.tell(member, message)

    def _offered_between(self, from_s: float, until_s: float) -> float:
        """Transactions that all workers together should offer between two wall moments."""
        clock = self._clock
        if not clock.started:
            return 0.0
        return self._offered.integral(clock.sim_at(from_s), clock.sim_at(until_s)) / clock.rate_speed

    def _begin(self, lost: dict[int, float], from_s: float) -> None:
        live = self.live
        table = table_for(member.number for member in live)
        self.assignment += 1
        assignment = Assignment(self.assignment, self._clock.sim_at(from_s), table, lost)
        self._parts = {member.number: table.count(member.number) / SLOTS for member in live}
        message = assignment.to_message(self._run_id)
        for member in self._members.standing(Standing.LIVE, Standing.LOST):
            self.tell(member, message)
