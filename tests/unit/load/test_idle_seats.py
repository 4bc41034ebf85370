"""Which users do nothing of their own, so that what is due for them needs none of them."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest
from locust import TaskSet, events, task

from banksim.load.users import CampaignUser, PersonaUser, idle_seats


def shipped_locustfile() -> ModuleType:
    """The module; what it listens to is for a process of Locust, and not for these tests."""
    hooks = [events.init_command_line_parser, events.init]
    before = [list(hook._handlers) for hook in hooks]
    module = importlib.import_module("locustfiles.banking")
    for hook, handlers in zip(hooks, before, strict=True):
        hook._handlers[:] = handlers
    return module


banking = shipped_locustfile()


class Plain(PersonaUser):
    abstract = True

    @task
    def purchase(self) -> None:
        """Whatever this says."""
        self.carry_out()

    @task
    def transfer(self) -> None:
        self.carry_out()


class Student(Plain):
    persona = "student"

    def on_start(self) -> None:
        self.cards = 1


class Replaces(Plain):
    persona = "student"

    def transfer(self) -> None:  # takes the place of the task, as Python has it
        self.carry_out()
        self.carry_out()


class Waits(Plain):
    persona = "student"

    @task
    def withdrawal(self) -> None:
        self.environment.runner.stats.reset_all()
        self.carry_out()


class CarriesOutInItsWay(Plain):
    persona = "student"

    def carry_out(self) -> None:
        super().carry_out()


class Chooses(Plain):
    persona = "student"

    def task_for(self, arrival: Any) -> Any:
        return self.tasks[0]


class Nested(PersonaUser):
    persona = "student"

    @task
    class Inner(TaskSet):
        @task
        def go(self) -> None:
            self.user.carry_out()


class WithoutTasks(PersonaUser):
    persona = "student"


class Thief(CampaignUser):
    @task
    def next_step(self) -> None:
        self.carry_out()


def test_plain_users_are_not_needed() -> None:
    assert idle_seats([Student]) == {"student"}


def test_all_personas_of_the_shipped_users_but_not_the_fraudsters() -> None:
    found = [cls for cls in vars(banking).values() if isinstance(cls, type) and hasattr(cls, "seat")]
    seats = idle_seats(cls for cls in found if not cls.__dict__.get("abstract"))
    assert {"student", "family", "*"} <= seats and "fraud" not in seats


@pytest.mark.parametrize("cls", [Replaces, Waits, CarriesOutInItsWay, Chooses, Nested, WithoutTasks, Thief])
def test_who_does_anything_else_is_asked(cls: type) -> None:
    assert idle_seats([cls]) == set()


def test_one_class_of_two_that_does_is_enough() -> None:
    assert idle_seats([Student, Waits]) == set()
