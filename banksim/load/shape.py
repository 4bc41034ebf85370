"""The load shape: keeps enough users seated while simulated time runs, and ends with it.

The rate comes from the dispatcher, not from the number of users; users are only how many
transactions can be under way at once.  The shape starts with what the expected rate needs
and adds some when arrivals have to wait, up to the scenario's ``max_users``.
"""

from __future__ import annotations

import math

import gevent
from locust import LoadTestShape

#: An answer time that the first users are enough for, in seconds (Little's law).
EXPECTED_RESPONSE_S = 0.1
#: Users of each class at least.
MIN_PER_CLASS = 3
#: When an arrival waited longer than this for a busy user, users are added.
SHORT_AFTER_MS = 50.0
GROWTH = 1.5
#: Users spawned per second; Locust warns above 100.
SPAWN_RATE = 100.0


def first_users(peak_tps: float, classes: int, max_users: int) -> int:
    """How many users to start with for a peak rate in transactions per wall second."""
    wanted = max(classes * MIN_PER_CLASS, math.ceil(peak_tps * EXPECTED_RESPONSE_S * 2))
    return max(classes, min(wanted, max_users))


class AcceleratedClockShape(LoadTestShape):
    """Ends when the scenario's simulated time is over and everything under way is answered."""

    abstract = True

    def __init__(self) -> None:
        super().__init__()
        self._life: object = None
        self._makers: object = None
        self._users = 0

    def tick(self) -> tuple[int, float] | None:
        """(users, users spawned per second), or None when the run is over."""
        session = self.runner.environment.banksim
        if self._life is not gevent.getcurrent():
            # Locust gives every test a greenlet of its own: this is the first tick of a new one.
            self._life, self._users = gevent.getcurrent(), 0
            if not session.begin():
                return None
        if session.over:
            return None
        classes = len(self.runner.environment.user_classes)
        max_users = max(classes, session.max_users)
        if self._users == 0:
            self._users = first_users(session.peak_tps / max(1, session.makers), classes, max_users)
        elif session.shortage_ms() > SHORT_AFTER_MS:
            self._users = min(max_users, math.ceil(self._users * GROWTH))
        self._seat_newcomers(session.maker_ids)
        makers = max(1, session.makers)
        return self._users * makers, SPAWN_RATE * makers

    def _seat_newcomers(self, maker_ids: object) -> None:
        """A worker that takes another's place needs users too, although their number stays the same."""
        if maker_ids != self._makers:
            self._makers = maker_ids
            self.runner.shape_last_tick = None
