"""Locust's start form under --class-picker: a start that could not make a run is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from locust import LoadTestShape, User
from werkzeug.datastructures import MultiDict

from banksim.load.options import check_form, from_form, run_settings
from banksim.load.users import AcceleratedClockShape, SeatUser
from banksim.model import UsageError


def environment(picker: bool = True) -> Any:
    day = type("Day", (AcceleratedClockShape,), {})
    return SimpleNamespace(
        web_ui=SimpleNamespace(userclass_picker_is_active=picker),
        available_shape_classes={
            "Day": day(),
            "Steps": type("Steps", (LoadTestShape,), {"tick": lambda self: None})(),
        },
        available_user_classes={"Student": type("Student", (SeatUser,), {}), "Web": type("Web", (User,), {})},
    )


@pytest.mark.parametrize(
    "form",
    [
        {"shape_class": "Default", "user_classes": "Student"},
        {"shape_class": "Steps", "user_classes": "Student"},
        {"user_classes": "Student"},
        {"shape_class": "Gone"},
        {"shape_class": "Day", "user_classes": "Web"},
    ],
)
def test_a_start_that_cannot_make_a_run_is_refused(form: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"(pick Day|none of those picked)"):
        check_form(MultiDict(form), environment())


@pytest.mark.parametrize("form", [{"shape_class": "Day", "user_classes": "Student"}, {"shape_class": "Day"}])
def test_others_start(form: dict[str, str]) -> None:
    check_form(MultiDict(form), environment())
    check_form(MultiDict({}), environment(picker=False))


def test_thresholds_of_a_form_join_those_of_the_command_line() -> None:
    given = {"scenario": "demo", "target_mode": "dry-run", "threshold": ["drops == 0"]}
    options = from_form({"threshold": " recall >= 80% \n\nerrors < 1%\n", "transaction_log": "1"}, given)
    assert options["threshold"] == ["drops == 0", "recall >= 80%", "errors < 1%"]
    assert from_form({}, given)["threshold"] == ["drops == 0"]
    settings = run_settings(options, {})
    assert settings.transaction_log
    assert {"drops == 0", "recall >= 80%", "errors < 1%"} <= set(settings.scenario.thresholds)
