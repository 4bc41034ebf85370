"""Everybody's counts, added up: what the master shows and judges.

States arrive as bytes several times a second from each worker.  Reading and adding them is CPU
work (some ms per worker), so it is done in a thread, at most once a second and only when
something new has come; in between, the last sum stands.

Bound: what arrives between two sums is a handful of states per worker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import orjson

from banksim.engine.threads import in_thread
from banksim.measure import Measures, MeasureSettings, Roster
from banksim.measure.stream import StreamFigures

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
        self._newest: dict[int, int] = {}
        self._kafka_states: dict[int, Any] = {}

    def take(self, number: int, message: Mapping[str, Any]) -> None:
        """A "state" or "final" of the worker with this number; an older one than the last is left out."""
        if message["seq"] <= self._newest.get(number, 0):
            return
        self._newest[number] = message["seq"]
        waiting = self._waiting.setdefault(number, deque(maxlen=MAX_WAITING))
        if message["from_s"] <= self.counted_until_s.get(number, 0.0):
            waiting.clear()  # the stretches of the others are in this one too
        waiting.append(message)

    def refresh(self) -> bool:
        """Add up what has come; False when nothing has.  Other greenlets run meanwhile."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return False
        self.measures = in_thread(lambda: self._sum(waiting))
        for number, messages in waiting.items():
            self.counted_until_s[number] = messages[-1]["wall_s"]
        kafka = StreamFigures()
        for state in self._kafka_states.values():
            kafka.merge_state(state)
        self.kafka = kafka
        return True

    def _sum(self, waiting: Mapping[int, deque[Mapping[str, Any]]]) -> Measures:
        for number, messages in waiting.items():
            for message in messages:
                state = orjson.loads(message["state"])
                self._roster.update(str(number), state["measures"])
                if state["kafka"] is not None:
                    self._kafka_states[number] = state["kafka"]
        return self._roster.total()
