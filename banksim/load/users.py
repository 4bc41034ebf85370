"""Locust users as seats of an open model.

A user's wait ends when an arrival is due for it, and its task is the one the arrival asks
for.  Locust by itself picks a random task and then sleeps: a closed model, in which a
slow bank slows its own load down.  So the default task set is replaced by one that takes
arrivals from the run's seats.
"""

from __future__ import annotations

import dis
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Protocol

import gevent
from locust import LoadTestShape, User
from locust.env import Environment
from locust.exception import InterruptTaskSet, StopUser
from locust.user.task import (
    LOCUST_STATE_RUNNING,
    LOCUST_STATE_STOPPING,
    LOCUST_STATE_WAITING,
    DefaultTaskSet,
)

from banksim.measure.counts import OtherUsers
from banksim.model import UsageError
from banksim.run.dispatcher import ANY_PERSONA, FRAUD_SEAT, Arrival, UserQueues

logger = logging.getLogger(__name__)

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
    #: Locust reads this before it warns of options that a shape ignores; `banksim.load.options` says what
    #: they mean here, and takes the boxes off the start form again.
    use_common_options = True

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
        classes = sum(map(has_seat, self.runner.environment.user_classes))
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


# -- How many users of each class: of ours enough of every one, of others what was asked for ---------
#
# Locust's own dispatcher divides a total by weights, which leaves a worker without users of some class, a
# late one without any, and never gives back those of a lost one.  Here users only carry out arrivals,
# so all that matters is that each process has enough of each kind, whatever the weights.
#
# It never reports that it is done: then a master would begin a ramp of its own inside its message
# loop whenever a worker comes or goes, and no message would be read meanwhile.  The load shape
# notices instead, within a second.


class SeatDispatcher:
    """Takes the place of Locust's `UsersDispatcher`; lives for one test."""

    dispatch_in_progress = True

    def __init__(
        self, worker_nodes: Sequence[Any], user_classes: Sequence[type[Any]], others: int | None = None
    ) -> None:
        """``others``: users of classes that are not banksim's, in all; one of each class unless given."""
        self._workers = {node.id: node for node in worker_nodes}
        self._classes = [cls.__name__ for cls in user_classes if has_seat(cls)]
        self._beside = users_beside(user_classes, others)
        self._each = 0
        self._ready = False

    def new_dispatch(
        self, target_user_count: int, spawn_rate: float, user_classes: Sequence[type[Any]] | None = None
    ) -> None:
        """``target_user_count`` is ours of all workers together; a worker never gets fewer than before."""
        del spawn_rate, user_classes  # a worker's own users are there at once, and of all classes
        wanted = math.ceil(target_user_count / max(1, len(self._workers)))
        self._each = max(self._each, wanted)
        self._ready = True

    def add_worker(self, worker_node: Any) -> None:
        """Called by Locust; the next dispatch counts it in."""
        self._workers[worker_node.id] = worker_node

    def remove_worker(self, worker_node: Any) -> None:
        """Called by Locust, which fails on an empty dispatch: the last worker stays, it may come back."""
        if len(self._workers) > 1:
            self._workers.pop(worker_node.id, None)

    def __iter__(self) -> SeatDispatcher:
        return self

    def __next__(self) -> dict[str, dict[str, int]]:
        """{worker id: {user class: users}}, once per dispatch."""
        if not self._ready:
            raise StopIteration
        self._ready = False
        return {worker_id: self._shares(nth) for nth, worker_id in enumerate(self._workers)}

    def _shares(self, worker: int) -> dict[str, int]:
        ours = _divided(self._each, self._classes)
        makers = range(len(self._workers))
        beside = {name: _divided(n, makers)[worker] for name, n in self._beside.items()}
        return {**ours, **beside}


def _divided(total: int, among: Sequence[Any]) -> dict[Any, int]:
    share, rest = divmod(total, max(1, len(among)))
    return {one: share + (nth < rest) for nth, one in enumerate(among)}


def has_seat(cls: type) -> bool:
    """Whether users of a class take arrivals; users that are none of ours do not."""
    return issubclass(cls, SeatUser)


def users_beside(user_classes: Iterable[type[Any]], wanted: int | None) -> dict[str, int]:
    """How many users of each class that is not banksim's; ``wanted`` in all, by their weights."""
    others = [cls for cls in user_classes if not has_seat(cls)]
    counts = {cls.__name__: cls.fixed_count or int(wanted is None) for cls in others}
    by_weight = [cls for cls in others if not cls.fixed_count]
    weights = sum(cls.weight for cls in by_weight)
    for _ in range((wanted or 0) - sum(counts.values()) if weights else 0):
        behind = min(by_weight, key=lambda cls: (counts[cls.__name__] + 1) / cls.weight)
        counts[behind.__name__] += 1
    return counts


Task = Callable[[Any], None]


class HasQueues(Protocol):
    """The session of this process."""

    @property
    def queues(self) -> UserQueues:
        """Where users of the present run take arrivals from."""


class ArrivalTaskSet(DefaultTaskSet):
    """Runs one task per arrival, without any waiting in between."""

    user: SeatUser

    def execute_next_task(self) -> None:
        """Carry out arrivals until this user is stopped or a task raises; Locust looks after both.

        One arrival after the other here, since Locust's own loop costs as much as a score.
        """
        task = self._task_queue.popleft()
        while True:
            try:
                self.execute_task(task)
            finally:
                self.user.let_go()
            task = self.get_next_task()

    def execute_task(self, task: Task) -> None:
        if isinstance(task, type):  # a nested task set
            super().execute_task(task)
            return
        with suppress(InterruptTaskSet):  # there is nothing around it to go back to
            task(self.user)

    def get_next_task(self) -> Task:
        """Wait for an arrival.  Locust repeats at once what raises here, so that ends the user."""
        user = self.user
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser
        # While it waits Locust may stop this user at once; nothing is lost, nothing was taken.
        user._state = LOCUST_STATE_WAITING
        try:
            user.arrival = user.session.queues.take(user.seat)
            task = user.task_for(user.arrival)
        except Exception as error:
            user.let_go()
            user.say_once(f"takes no arrivals: {type(error).__name__}: {error}")
            raise StopUser from None
        user._state = LOCUST_STATE_RUNNING
        return task

    def wait(self) -> None:
        """No wait: the next arrival is the wait."""


class SeatUser(User):
    """A user who carries out what is due for its seat.

    A subclass may have an ``__init__`` and an ``on_start`` of its own, and tasks that replace those of the
    same name.  A task that does not call `carry_out` leaves its arrival a counted drop.
    """

    abstract = True
    #: Locust shows this as the host; where the targets really are is the scenario's business.
    host = "as the scenario says"
    seat: str
    session: HasQueues
    arrival: Arrival | None = None
    _tasks_by_name: ClassVar[dict[str, Task]] = {}
    _said: ClassVar[set[str]] = set()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._tasks_by_name, cls._said = {}, set()

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.session = environment.banksim
        self._arrivals = ArrivalTaskSet(self)

    @property
    def _taskset_instance(self) -> ArrivalTaskSet:
        """In place of the one that Locust sets when the user starts, which picks tasks at random."""
        return self._arrivals

    @_taskset_instance.setter
    def _taskset_instance(self, _: object) -> None: ...

    def task_for(self, arrival: Arrival) -> Task:
        """The task method that the arrival asks for; the first one when there is none of that name."""
        return self._task_named(arrival.planned.transaction.kind)

    def _task_named(self, wanted: str) -> Task:
        """Looked for once per class and name: there are as many names as kinds and typologies.

        The class's own attribute is taken, so that a method that replaces a task is called, with or
        without ``@task``; Locust's list holds what it replaces too.
        """
        task = self._tasks_by_name.get(wanted)
        if task is None:
            tasks: list[Task] = self.tasks
            name = str(wanted)
            found = next((task for task in reversed(tasks) if task.__name__ == name), tasks[0])
            task = getattr(type(self), found.__name__, found)
            self._tasks_by_name[wanted] = task
        return task

    def carry_out(self) -> None:
        """Send the transaction this user was woken for: post it, score it, count it."""
        arrival, self.arrival = self.arrival, None
        if arrival is None:  # a nested task set that goes on, or a second call
            self.say_once("calls carry_out() again for one arrival, which is left out")
            raise InterruptTaskSet
        arrival.carry_out()

    def let_go(self) -> None:
        """What was taken and not carried out is a drop."""
        arrival, self.arrival = self.arrival, None
        if arrival is not None:
            arrival.performer.decline(arrival, f"{type(self).__name__} did not carry it out")

    def say_once(self, what: str) -> None:
        """One line of log for all users of a class."""
        if what not in self._said and len(self._said) < MAX_SAID:
            self._said.add(what)
            logger.error("%s %s", type(self).__name__, what)


#: Different lines of log about one class.
MAX_SAID = 20


def idle_seats(user_classes: Iterable[type]) -> set[str]:
    """Seats of personas whose users do nothing of their own, so that no transaction needs one of them."""
    classes = list(user_classes)
    return seat_names(classes) - seat_names(cls for cls in classes if not _is_idle(cls))


#: Who overrides one of these wants to be asked.
_OWN = ("carry_out", "task_for")


def _is_idle(cls: type) -> bool:
    return (
        issubclass(cls, PersonaUser)
        and all(getattr(cls, name) is getattr(SeatUser, name) for name in _OWN)
        and bool(cls.tasks)
        and all(_instructions(getattr(cls, task.__name__, task)) == _PLAIN for task in cls.tasks)
    )


def _only_carry_out(self: SeatUser) -> None:
    self.carry_out()


def _instructions(task: Any) -> list[tuple[str, Any]] | None:
    """What a function does, whatever its name and its text; None for anything but a plain function."""
    code = getattr(task, "__code__", None)
    if code is None or getattr(task, "__wrapped__", None) is not None:
        return None
    return [(one.opname, one.argval) for one in dis.get_instructions(code)]


_PLAIN = _instructions(_only_carry_out)


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


# -- What cannot work is refused before anything starts ---------------------------------------------


def check_cast(environment: Environment) -> None:
    """Raise UsageError when the users and the shape of a locustfile cannot make a run."""
    seated = [cls for cls in environment.user_classes if has_seat(cls)]
    options = environment.parsed_options
    if not seated:
        raise UsageError(
            "None of the user classes is banksim's, so nobody would carry out what is due. Derive one from "
            "PersonaUser or CampaignUser, or leave banksim.load.install() out of the locustfile."
        )
    if not options.worker and not isinstance(environment.shape_class, AcceleratedClockShape):
        raise UsageError(
            f"{seated[0].__name__} takes arrivals of a run, but {_shape_there_is(environment)}. Define or "
            "import a class that derives from AcceleratedClockShape, as BankDay of locustfiles/banking.py."
        )
    for cls in seated:
        if not getattr(cls, "seat", None):
            raise UsageError(f"class {cls.__name__} has no persona: set it to a persona's name, or to '*'")
        if not cls.tasks:
            raise UsageError(f"class {cls.__name__} has no task: give it a method with @task")
        lost = sorted({task.__name__ for task in cls.tasks if not _passes(task, options)})
        if lost:
            raise UsageError(
                f"--tags, --exclude-tags: {cls.__name__} would be left without {', '.join(lost)}, "
                "and what customers do is decided by the scenario. Use personas and their tasks there "
                "(docs/scenarios.md), or tag the tasks of banksim's classes too."
            )


def _shape_there_is(environment: Environment) -> str:
    shape = environment.shape_class
    return "the locustfile has no load shape" if shape is None else f"{type(shape).__name__} is none of ours"


def _passes(task: Any, options: Any) -> bool:
    """Whether Locust would keep a task under --tags and --exclude-tags."""
    if hasattr(task, "tasks"):
        return any(_passes(inner, options) for inner in task.tasks)
    tags: set[str] = getattr(task, "locust_tag_set", set())
    wanted, unwanted = set(options.tags or ()), set(options.exclude_tags or ())
    return not (wanted and not tags & wanted) and not tags & unwanted


def unplayed(user_classes: Iterable[type], personas: Iterable[str]) -> list[str]:
    """Personas, and the fraud actors, that no user class plays."""
    seats = seat_names(user_classes)
    missing = [] if ANY_PERSONA in seats else [name for name in personas if name not in seats]
    return missing + ([] if FRAUD_SEAT in seats else ["fraud actors"])


def seat_names(user_classes: Iterable[type]) -> set[str]:
    """The seats of those classes that have one; users that are none of ours have none."""
    return {seat for cls in user_classes if (seat := getattr(cls, "seat", None))}


# -- What users that are none of ours did, in Locust's own tables -----------------------------------


class CallFailed(Exception):
    """What Locust's failure table shows for a call that went wrong."""


def failures_beside(environment: Environment) -> OtherUsers | None:
    """Users that are not banksim's, and all requests and tasks that failed in users' own code.

    Errors of ours are `CallFailed`; on a master errors arrive as text, which begins with that name.
    """
    runner, code = environment.runner, environment.parsed_options.exit_code_on_error
    classes = sorted(one.__name__ for one in environment.user_classes if not seat_names([one]))
    errors, exceptions = (runner.errors, runner.exceptions) if runner is not None else ({}, {})
    rows = [
        row
        for row in errors.values()
        if CallFailed.__name__ not in (type(row.error).__name__, str(row.error).partition("(")[0])
    ]
    raised = list(exceptions.values())
    if not classes and not raised and not rows:
        return None
    first = [f"{row.method} {row.name}: {type(row.error).__name__}" for row in rows[:1]]
    first += [str(row["msg"]) for row in raised[:1]]
    return OtherUsers(
        classes,
        sum(row.occurrences for row in rows),
        sum(row["count"] for row in raised),
        (first or [""])[0][:200],
        tolerated=not int(code),
    )
