"""Locust users as seats of an open model.

A user's wait ends when an arrival is due for it, and its task is the one the arrival asks
for.  Locust by itself picks a random task and then sleeps: a closed model, in which a
slow bank slows its own load down.  So the default task set is replaced by one that takes
arrivals from the run's seats.
"""

from __future__ import annotations

import dis
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import gevent
from locust import LoadTestShape, User
from locust.exception import StopUser
from locust.user.task import (
    LOCUST_STATE_RUNNING,
    LOCUST_STATE_STOPPING,
    LOCUST_STATE_WAITING,
    DefaultTaskSet,
)

from banksim.run.queues import FRAUD_SEAT, Arrival

if TYPE_CHECKING:
    from banksim.load.session import Session

# -- The load shape: keeps enough users seated while simulated time runs, and ends with it ----------
#
# The rate comes from the dispatcher, not from the number of users; users are only how many
# transactions can be in flight at once.  The shape starts with what the expected rate needs
# and adds some when arrivals have to wait, up to the scenario's ``max_users``.


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
    """Ends when the scenario's simulated time is over and everything in flight is answered."""

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
            # Most of the load needs no user where those of every persona do nothing of their own.
            idle = idle_seats(self.runner.environment.user_classes)
            tps = 0.0 if len(idle) >= classes - 1 else session.peak_tps / max(1, session.makers)
            self._users = first_users(tps, classes, max_users)
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


Task = Callable[[Any], None]


class ArrivalTaskSet(DefaultTaskSet):
    """Runs one task per arrival, without any waiting in between."""

    user: SeatUser

    def execute_next_task(self) -> None:
        """Carry out arrivals until this user is stopped or a task raises; Locust looks after both.

        One arrival after the other here, since Locust's own loop costs as much as a score.
        """
        task = self._task_queue.popleft()
        while True:
            self.execute_task(task)
            task = self.get_next_task()

    def execute_task(self, task: Task) -> None:
        if isinstance(task, type):  # a nested task set
            super().execute_task(task)
        else:
            task(self.user)

    def get_next_task(self) -> Task:
        user = self.user
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser
        # While it waits Locust may stop this user at once; nothing is lost, nothing was taken.
        user._state = LOCUST_STATE_WAITING
        user.arrival = user.session.queues.take(user.seat)
        user._state = LOCUST_STATE_RUNNING
        return user.task_for(user.arrival)

    def wait(self) -> None:
        """No wait: the next arrival is the wait."""


class SeatUser(User):
    """A user who carries out what is due for its seat."""

    abstract = True
    #: Locust shows this as the host; where the targets really are is the scenario's business.
    host = "as the scenario says"
    seat: str
    session: Session
    arrival: Arrival
    _tasks_by_name: ClassVar[dict[str, Task]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._tasks_by_name = {}

    def on_start(self) -> None:
        self.session = self.environment.banksim
        self._taskset_instance = ArrivalTaskSet(self)

    def task_for(self, arrival: Arrival) -> Task:
        """The task method that the arrival asks for; the first one when there is none of that name."""
        return self._task_named(arrival.planned.transaction.kind)

    def _task_named(self, wanted: str) -> Task:
        """Looked for once per class and name: there are as many names as kinds and typologies."""
        task = self._tasks_by_name.get(wanted)
        if task is None:
            tasks: list[Task] = self.tasks
            name = str(wanted)
            task = next((task for task in tasks if task.__name__ == name), tasks[0])
            self._tasks_by_name[wanted] = task
        return task

    def carry_out(self) -> None:
        """Send the transaction this user was woken for: post it, score it, count it."""
        self.arrival.carry_out()


def seat_names(user_classes: Iterable[type]) -> set[str]:
    """The seats of those classes that have one; users that are none of ours have none."""
    return {seat for cls in user_classes if (seat := getattr(cls, "seat", None))}


def idle_seats(user_classes: Iterable[type]) -> set[str]:
    """Seats of personas whose users do nothing of their own, so that no transaction needs one of them."""
    classes = list(user_classes)
    return seat_names(classes) - seat_names(cls for cls in classes if not _is_idle(cls))


#: Who overrides one of these wants to be asked.
_OWN = ("carry_out", "task_for", "on_start")


def _is_idle(cls: type) -> bool:
    return (
        issubclass(cls, PersonaUser)
        and all(
            getattr(cls, name) is getattr(SeatUser, name) for name in ("carry_out", "task_for", "on_start")
        )
        and bool(cls.tasks)
        and all(_instructions(task) == _instructions(_only_carry_out) for task in cls.tasks)
    )


def _only_carry_out(self: SeatUser) -> None:
    self.carry_out()


def _instructions(task: Any) -> list[tuple[str, Any]] | None:
    """What a function does, whatever its name and its text; None for anything but a plain function."""
    code = getattr(task, "__code__", None)
    if code is None or getattr(task, "__wrapped__", None) is not None:
        return None
    return [(one.opname, one.argval) for one in dis.get_instructions(code)]


class PersonaUser(SeatUser):
    """A customer of one persona.  ``persona`` names it as in the scenario; "*" plays all others."""

    abstract = True
    persona: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "persona" in cls.__dict__:
            cls.seat = cls.persona


class CampaignUser(SeatUser):
    """A fraudster: carries out the next step of whichever campaign is due."""

    abstract = True
    seat = FRAUD_SEAT

    def task_for(self, arrival: Arrival) -> Task:
        """The task named after the campaign's typology, if there is one, else the first."""
        return self._task_named(arrival.planned.truth.typology)
