"""What a worker tells its master while it works: pulses, states, opened customers, the final.

Counts are cumulative, so the newest state is all that matters.  Only the timeline travels in
parts: a state holds the stretches since a little before the last one, the final all of them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import gevent
import orjson

from banksim.cluster.messages import Message
from banksim.engine.resources import ResourceMeter
from banksim.engine.target_rows import target_rows

if TYPE_CHECKING:
    from banksim.cluster.worker import WorkerRun

#: Stretches of the timeline that are sent again, in case they were not finished, in wall seconds.
OVERLAP_S = 3.0
#: Customers in one message.
ROWS = 1000
#: How often the process's own CPU and memory are read.
METER_S = 1.0


class Reporter:
    """Speaks for one `WorkerRun`."""

    def __init__(self, run: WorkerRun) -> None:
        self._run = run
        self._meter = ResourceMeter()
        self._use = (0.0, 0.0, 0.0)
        self._metered_s = 0.0
        self._opened: list[int] = []
        self._next_item = 0
        self._sequence = 0
        self._stated_s = 0.0
        self._timeline_from_s = 0.0

    def run(self) -> None:
        """Tell until it is killed."""
        while True:
            self.tell_opened()
            self._run.tell("pulse", **self._pulse())
            now_s = time.monotonic()
            if now_s - self._stated_s >= self._run.state_s:
                self._stated_s = now_s
                self._tell_state()
            gevent.sleep(self._run.pulse_s)

    def note_opened(self, index: int) -> None:
        """A customer was opened; told with the next pulse."""
        self._opened.append(index)

    def tell_opened(self) -> None:
        """Tell the customers opened since the last time."""
        connected = self._run.generator.connected
        while self._opened and connected is not None:
            indices, self._opened = self._opened[:ROWS], self._opened[ROWS:]
            found = ((index, connected.targets.directory.row(index)) for index in indices)
            rows = [[index, *row] for index, row in found if row is not None]
            self._run.tell("opened", rows=rows, joined=self._run.phase in ("running", "draining"))

    def final(self, extras: dict[str, Any]) -> Message:
        """The last message of this worker: everything, with the books."""
        self.tell_opened()
        state = self._state(books=True, timeline_from_s=0.0)
        return {"kind": "final", "run": self._run.run_id, **state, "extras": orjson.dumps(extras)}

    def _pulse(self) -> dict[str, Any]:
        run, generator = self._run, self._run.generator
        now_s = time.monotonic()
        if now_s - self._metered_s >= METER_S:
            self._metered_s, self._use = now_s, self._meter.read()
        opening = generator.opening
        feed = generator.feed.since(self._next_item) if generator.feed is not None else None
        if feed is not None:
            self._next_item = feed["next"]
        return {
            "at_s": now_s,
            "phase": run.phase,
            "opened": [opening.done, opening.total] if opening is not None else [0, 0],
            "opened_epoch": run.opened_epoch,
            "known": generator.connected.targets.directory.customer_count if generator.connected else 0,
            "tally": generator.measures.tally.to_state(),
            "waiting": run.seats.waiting,
            "shortage_ms": run.seats.shortage_ms(),
            "cpu_percent": self._use[0],
            "rss_bytes": self._use[1],
            "sim_s": generator.moment()[1],
            "seen": generator.feed.seen if generator.feed is not None else 0,
            "items": feed["items"] if feed is not None else [],
        }

    def _tell_state(self) -> None:
        if self._run.generator.parts is None:
            return
        wall_s = self._run.generator.moment()[0]
        state = self._state(books=False, timeline_from_s=self._timeline_from_s)
        self._timeline_from_s = max(0.0, wall_s - OVERLAP_S)
        self._run.tell("state", **state, targets=target_rows(self._run.generator))

    def _state(self, books: bool, timeline_from_s: float) -> dict[str, Any]:
        generator = self._run.generator
        self._sequence += 1
        measures = generator.measures.to_state(timeline_from_s, books=books)
        kafka = generator.events.figures.to_state() if generator.events is not None else None
        return {
            "seq": self._sequence,
            "wall_s": generator.moment()[0],
            "from_s": timeline_from_s,
            "state": orjson.dumps({"measures": measures, "kafka": kafka}, option=orjson.OPT_NON_STR_KEYS),
        }
