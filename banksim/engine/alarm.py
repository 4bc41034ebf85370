"""Sleep until a moment, or until somebody rings.

The dispatcher sleeps some thousand times a second and is rarely rung.  Waiting for a
`gevent.event.Event` with a timeout makes and throws an exception whenever nobody rang,
which costs several times as much as this.
"""

from __future__ import annotations

from typing import Any

import gevent
from gevent.hub import Waiter


class Alarm:
    """One sleeper at a time.  A ring while nobody sleeps is nothing: look first, then sleep."""

    def __init__(self) -> None:
        self._waiter: Any = None

    def sleep(self, seconds: float | None) -> None:
        """Return after ``seconds`` of wall time (None: never), or once `ring` is called."""
        hub = gevent.get_hub()
        waiter = self._waiter = Waiter(hub)
        if seconds is None:
            waiter.get()
            return
        with hub.loop.timer(seconds) as timer:
            hub.loop.update_now()  # else the time spent since the loop's last turn would count as slept
            timer.start(self._ended, waiter)
            waiter.get()

    def ring(self) -> None:
        """Wake the sleeper at the loop's next turn, if there is one."""
        if self._waiter is not None:
            gevent.get_hub().loop.run_callback(self._ended, self._waiter)

    def _ended(self, waiter: Any) -> None:
        if waiter is self._waiter:  # else it is about a sleep that is over
            self._waiter = None
            waiter.switch(None)
