"""Following the master's clock: simulated time, pauses and changes of speed on a worker.

The master's segments are turned into this process's wall time and taken over whole, so a
message that comes late changes nothing: the clock says afterwards what it would have said.
Changes of speed are replayed in their order, because every process plans campaigns anew at
each of them and all must come to the same plan.

Before the load of this worker is prepared, messages are only kept.
"""

from __future__ import annotations

from collections.abc import Callable

from banksim.cluster.messages import Message
from banksim.cluster.offset import Offset
from banksim.cluster.wire import segments_from_wire
from banksim.engine.generator import Generator


class Following:
    """The levers of a worker's generator, in the hands of the master."""

    def __init__(self, generator: Generator, offset: Offset) -> None:
        self._generator = generator
        self._offset = offset
        self._is_ready = False
        self._kept: list[Callable[[], None]] = []
        self._changes_seen = 0
        #: The wall moment of simulated second 0, here.
        self.origin_s = 0.0

    @property
    def started(self) -> bool:
        """Whether simulated time has begun (or begins in a moment)."""
        return self._generator.parts is not None and self._generator.parts.clock.started

    def ready(self) -> None:
        """The generator is prepared: take over what was kept."""
        self._is_ready = True
        for action in self._kept:
            action()
        self._kept.clear()

    def when_ready(self, action: Callable[[], None]) -> None:
        """Now, or as soon as the generator is prepared."""
        if self._is_ready:
            action()
        else:
            self._kept.append(action)

    def adopt(self, message: Message) -> None:
        """A "clock" message."""
        self.when_ready(lambda: self._adopt(message))

    def _adopt(self, message: Message) -> None:
        generator = self._generator
        assert generator.dispatcher is not None
        segments = segments_from_wire(message["segments"], self._offset.offset_s)
        generator.built.clock.follow(message["speed"], message["paused"], segments)
        if segments:
            self.origin_s = segments[0].wall_s
        for sim_s, speed in message["changes"][self._changes_seen :]:
            generator.dispatcher.change_speed(sim_s, speed)
        self._changes_seen = len(message["changes"])
        generator.wake()
