"""Locust users as seats of an open model.

A user's wait ends when an arrival is due for it, and its task is the one the arrival asks
for.  Locust by itself picks a random task and then sleeps: a closed model, in which a
slow bank slows its own load down.  So the default task set is replaced by one that takes
arrivals from the run's seats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from locust import User
from locust.exception import StopUser
from locust.user.task import (
    LOCUST_STATE_RUNNING,
    LOCUST_STATE_STOPPING,
    LOCUST_STATE_WAITING,
    DefaultTaskSet,
)

from banksim.engine.arrival import FRAUD_SEAT, Arrival

if TYPE_CHECKING:
    from banksim.load.session import Session

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
        user.arrival = user.session.stage.seats.take(user.seat)
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
        self.session.stage.perform(self.arrival)


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
