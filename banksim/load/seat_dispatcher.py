"""Users for workers: everyone gets the same, enough for every persona and the fraud actors.

Locust's own dispatcher shares a total out, which leaves a worker without users of some class, a
late one without any, and never gives back those of a lost one.  Here users are only seats
for arrivals, so all that matters is that each worker has enough of each kind.

It never says that it is done: then Locust would begin a ramp of its own inside its
message loop whenever a worker comes or goes, and nobody would be heard meanwhile.  The load
shape notices instead, within a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


class SeatDispatcher:
    """Takes the place of Locust's `UsersDispatcher` on a master; lives for one test."""

    dispatch_in_progress = True

    def __init__(self, worker_nodes: Sequence[Any], user_classes: Sequence[type[Any]]) -> None:
        self._workers = {node.id: node for node in worker_nodes}
        self._classes = [cls.__name__ for cls in user_classes]
        self._each = 0
        self._ready = False

    def new_dispatch(
        self, target_user_count: int, spawn_rate: float, user_classes: Sequence[type[Any]] | None = None
    ) -> None:
        """``target_user_count`` is for all workers together; a worker never gets fewer than before."""
        del spawn_rate, user_classes  # a worker's own users are there at once, and of all classes
        wanted = math.ceil(target_user_count / max(1, len(self._workers)))
        self._each = max(self._each, wanted)
        self._ready = True

    def add_worker(self, worker_node: Any) -> None:
        """Called by Locust; the next dispatch counts it in."""
        self._workers[worker_node.id] = worker_node

    def remove_worker(self, worker_node: Any) -> None:
        """Called by Locust."""
        self._workers.pop(worker_node.id, None)

    def __iter__(self) -> SeatDispatcher:
        return self

    def __next__(self) -> dict[str, dict[str, int]]:
        """{worker id: {user class: users}}, once per dispatch."""
        if not self._ready:
            raise StopIteration
        self._ready = False
        return {worker_id: self._shares() for worker_id in self._workers}

    def _shares(self) -> dict[str, int]:
        share, rest = divmod(self._each, len(self._classes))
        return {name: share + (nth < rest) for nth, name in enumerate(self._classes)}
