"""What workers say to the master during a run, and what is kept of it.

    pulse ──► the member's last sign of life, the feed, an answer      opened ──► passed on
    state ──► merging                                                  final  ──► merging, extras

Nothing here waits: it runs in the loop that reads everybody's messages.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import orjson
from gevent.event import Event

from banksim.cluster.members import Member, Members, Standing
from banksim.cluster.merged_feed import MergedFeed
from banksim.cluster.merging import Merging
from banksim.cluster.messages import Message, pulse_every_s, state_every_s
from banksim.cluster.openings import Openings
from banksim.cluster.roll import Roll
from banksim.engine.life import End
from banksim.measure import MeasureSettings
from banksim.scenario import Scenario

logger = logging.getLogger(__name__)

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
        self.merging.take(member.number, message)
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
