"""What workers say to the master during a run, and what is kept of it.

    pulse ──► the member's last sign of life, the feed, an answer      opened ──► passed on
    state ──► merging                                                  final  ──► merging, extras

Nothing here waits: it runs in the loop that reads everybody's messages.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from banksim.measure import Measures, MeasureSettings, Roster
from banksim.measure.kafka import StreamFigures
from banksim.run.process import in_thread
from banksim.run.run import End
from banksim.run.workers.members import Member, Members, Roll, Standing
from banksim.run.workers.messages import Message, pulse_every_s, state_every_s
from banksim.scenario import Scenario

logger = logging.getLogger(__name__)

# -- Customers that workers have opened at the bank, passed on to all the others --------------------
#
# The bank lists nobody, so whoever opened a customer is the only one to know the ids; a payment
# to that customer may start at any worker, and the customer may change hands.  The master keeps
# every row for workers that join late: about 300 bytes a customer, bounded by the population.


ROWS = 1000

#: [index, customer id, [account id, …]]
Row = list[Any]


class Openings:
    """Who is open, as far as the workers have said."""

    def __init__(self, send: Callable[[Member, Message], None]) -> None:
        self._send = send
        self._rows: dict[int, Row] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def account_ids(self) -> set[str]:
        """The bank's ids of all accounts of these customers."""
        return {account_id for _, _, accounts in self._rows.values() for account_id in accounts}

    def take(self, rows: list[Row], joined: bool, others: Iterable[Member]) -> None:
        """Rows that a worker has told; the others hear of them.

        A worker that was frozen and its heir may both have opened a customer: the first one counts.
        """
        fresh = [row for row in rows if row[0] not in self._rows]
        self._rows.update((row[0], row) for row in fresh)
        for member in others:
            self._send(member, {"kind": "directory", "rows": fresh, "joined": joined})

    def tell_all(self, member: Member) -> None:
        """Everything so far, for a worker that joins."""
        rows = list(self._rows.values())
        for first in range(0, len(rows), ROWS):
            part = rows[first : first + ROWS]
            self._send(member, {"kind": "directory", "rows": part, "joined": True})


# -- The workers' counts, added up: what the master shows and judges --------------------------------
#
# States arrive as bytes several times a second from each worker.  Reading and adding them is CPU
# work (some ms per worker), so it is done in a thread, at most once a second and only when
# something new has come; in between, the last sum stands.
#
# A message leaves its queue only after the sum that holds it is in place.  States are cumulative,
# so a message that is added up twice (the greenlet was killed in between) does no harm.
#
# Bound: MAX_WAITING states and one final per worker.


#: States of one worker that wait for the next sum; with more, the oldest are left out.
MAX_WAITING = 20


class Merging:
    """The sum over all workers that have counted anything in this run."""

    def __init__(self, settings: MeasureSettings) -> None:
        self.measures = Measures(settings)
        self.kafka = StreamFigures()
        #: Until when, in wall seconds of the run, each worker (by number) has been counted.
        self.counted_until_s: dict[int, float] = {}
        self._roster = Roster(settings)
        self._waiting: dict[int, deque[Mapping[str, Any]]] = {}
        self._finals: dict[int, Mapping[str, Any]] = {}
        self._newest: dict[int, int] = {}
        self._kafka_states: dict[int, Any] = {}
        self._one_at_a_time = BoundedSemaphore()

    def take(self, number: int, message: Mapping[str, Any]) -> None:
        """A "state" of the worker with this number; an older one than the last is left out."""
        if number in self._finals or message["seq"] <= self._newest.get(number, 0):
            return
        self._newest[number] = message["seq"]
        waiting = self._waiting.setdefault(number, deque(maxlen=MAX_WAITING))
        if message["from_s"] <= self.counted_until_s.get(number, 0.0):
            waiting.clear()  # the stretches of the others are in this one too
        waiting.append(message)

    def take_final(self, number: int, message: Mapping[str, Any]) -> None:
        """The last word of the worker with this number, with its books; the first one counts."""
        if number not in self._finals:
            self._finals[number] = message
            self._waiting[number] = deque([message])

    def refresh(self) -> bool:
        """Add up what has come; False when nothing has.  Other greenlets run meanwhile."""
        with self._one_at_a_time:
            taken = {number: list(waiting) for number, waiting in self._waiting.items() if waiting}
            if not taken:
                return False
            self.measures = in_thread(lambda: self._sum(taken))
            for number, messages in taken.items():
                self.counted_until_s[number] = messages[-1]["wall_s"]
                waiting = self._waiting[number]
                while waiting and waiting[0]["seq"] <= messages[-1]["seq"]:
                    waiting.popleft()
            kafka = StreamFigures()
            for state in self._kafka_states.values():
                kafka.merge_state(state)
            self.kafka = kafka
            return True

    def _sum(self, waiting: Mapping[int, Sequence[Mapping[str, Any]]]) -> Measures:
        for number, messages in waiting.items():
            for message in messages:
                state = orjson.loads(message["state"])
                self._roster.update(str(number), state["measures"])
                if state["kafka"] is not None:
                    self._kafka_states[number] = state["kafka"]
        return self._roster.total()


# -- One feed out of the samples of all workers, numbered anew in the order in which they arrive ----


class MergedFeed:
    """The last ``max_items`` items of all workers; a `banksim.run.feed.FeedView`."""

    def __init__(self, max_items: int) -> None:
        self._items: deque[dict[str, Any]] = deque(maxlen=max_items)
        self._sequence = 0
        self._seen: dict[int, int] = {}

    def take(self, number: int, seen: int, items: Iterable[Mapping[str, Any]]) -> None:
        """New items of the worker with this number, and how many transactions it has seen in all."""
        self._seen[number] = seen
        for item in items:
            self._items.append({**item, "seq": self._sequence})
            self._sequence += 1

    def since(self, sequence: int) -> dict[str, Any]:
        return {
            "next": self._sequence,
            "shown_of": {"sampled": self._sequence, "seen": sum(self._seen.values())},
            "items": [item for item in self._items if item["seq"] >= sequence],
        }

    def items(self) -> list[dict[str, Any]]:
        return list(self._items)


#: A worker's lease lasts longer than this, so not every pulse needs an answer.
ACK_EVERY_S = 0.4


class Intake:
    """Takes in the messages of one run.  ``changed`` is set by each, for whoever waits for something."""

    def __init__(
        self,
        scenario: Scenario,
        settings: MeasureSettings,
        members: Members,
        roll: Roll,
        tell: Callable[[Member, Message], None],
        joins_now: Callable[[], bool],
        leaves_early: Callable[[], bool],
    ) -> None:
        """``joins_now``: whether a worker that is ready gets a share at once, or waits for the others.

        ``leaves_early``: whether a final now is one before the end.
        """
        self.merging = Merging(settings)
        self.feed = MergedFeed(scenario.dashboard.max_feed_items)
        self.openings = Openings(tell)
        self.changed = Event()
        #: How each target does, as each worker sees it; what each worker said last.  By number.
        self.target_rows: dict[int, list[dict[str, Any]]] = {}
        self.extras: dict[int, dict[str, Any]] = {}
        self._members = members
        self._roll = roll
        self._tell = tell
        self._joins_now = joins_now
        self._leaves_early = leaves_early
        self._shortage_ms = 0.0

    def hear(self, member: Member, message: Message) -> None:
        """A message about this run.  Returns at once."""
        if member.standing is Standing.LOST:
            self._roll.return_of(member)
        match message["kind"]:
            case "pulse":
                self._take_pulse(member, message)
            case "state":
                self.merging.take(member.number, message)
                self.target_rows[member.number] = message["targets"]
            case "opened":
                others = [m for m in self._members if m is not member and m.standing is not Standing.IDLE]
                self.openings.take(message["rows"], message["joined"], others)
            case "ready":
                self._take_ready(member)
            case "refused":
                logger.error("%s cannot take part: %s", member.name, message["reason"])
                self._roll.leave(member, Standing.REFUSED, message["reason"])
            case "final":
                self._take_final(member, message)
        self.changed.set()

    def shortage_ms(self) -> float:
        """The longest an arrival waited for a busy user at any worker, since the last call."""
        worst_ms, self._shortage_ms = self._shortage_ms, 0.0
        return worst_ms

    def wait(self, timeout_s: float) -> None:
        """Until something is heard, or the time is over."""
        self.changed.wait(timeout_s)
        self.changed.clear()

    def _take_pulse(self, member: Member, message: Message) -> None:
        member.pulse = message
        now_s = time.monotonic()
        self._shortage_ms = max(self._shortage_ms, message["shortage_ms"])
        self.feed.take(member.number, message["seen"], message["items"])
        if now_s - member.acked_s >= ACK_EVERY_S:
            member.acked_s = now_s
            count = len(self._roll.live)
            pulse_s, state_s = pulse_every_s(count), state_every_s(count)
            answer = {"at_s": message["at_s"], "master_s": now_s, "pulse_s": pulse_s, "state_s": state_s}
            self._tell(member, {"kind": "ack", **answer})

    def _take_ready(self, member: Member) -> None:
        if member.standing is Standing.PREPARING and self._joins_now():
            self._roll.join(member)
        else:
            member.pulse = {**member.pulse, "phase": "ready"}

    def _take_final(self, member: Member, message: Message) -> None:
        self.merging.take_final(member.number, message)
        self.extras[member.number] = orjson.loads(message["extras"])
        self._tell(member, {"kind": "bye"})
        if member.standing is Standing.FINAL:
            return
        # By a hair a worker's clock may be over before the master's: that is no early end.
        completed = self.extras[member.number]["end"] == End.COMPLETED
        if not completed and self._leaves_early():
            logger.warning("%s leaves the run", member.name)
            member.leaving = True
            self._roll.leave(member, Standing.FINAL)
        else:
            member.standing = Standing.FINAL
