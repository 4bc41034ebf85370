"""What pydantic found, in the words of this house.

pydantic                              here
────────────────────────────────────  ──────────────────────────────────────────
our own type, "expected"              expected a number from 0 to 1, got 3
missing                               missing
extra_forbidden                       unknown key; did you mean peak_tps?
model_type, dict_type                 expected a block of keys, got 5
literal_error                         expected light or dark, got 'blue'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from banksim.scenario.fields import EXPECTED, Block
from banksim.scenario.problems import Path, Problem, shown
from banksim.scenario.schema_walk import suggestion

#: pydantic's marker for "the key, not the value, of this table entry".
KEY_MARKER = "[key]"

PLAIN_WORDS = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "model_type": "a block of keys",
    "model_attributes_type": "a block of keys",
    "dict_type": "a block of keys",
    "tuple_type": "a list",
    "list_type": "a list",
}
UNKNOWN_KEY = ("extra_forbidden", "invalid_key")


def problems_of(error: ValidationError, data: Mapping[Any, Any], root: type[Block]) -> list[Problem]:
    """One problem per mistake in ``data``; ``root`` is the model that was checked."""
    problems = [_problem(detail, data, root) for detail in error.errors(include_url=False)]
    return list(dict.fromkeys(problems))


def _problem(detail: ErrorDetails, data: Mapping[Any, Any], root: type[Block]) -> Problem:
    location = detail["loc"]
    is_key = bool(location) and location[-1] == KEY_MARKER
    path = _path(location[:-1] if is_key else location, data)
    if detail["type"] in UNKNOWN_KEY:
        guess = suggestion(root, path)
        return Problem(path, "unknown key" + (f"; did you mean {guess}?" if guess else ""))
    if detail["type"] == "missing":
        return Problem(path, "missing, and there is no default")
    expected = _expected(detail)
    if expected is None:
        return Problem(path, detail["msg"])
    return Problem(path, f"expected {expected}{' as key' if is_key else ''}, got {shown(detail['input'])}")


def _expected(detail: ErrorDetails) -> str | None:
    """The words after "expected"; None for a kind of error that has none here."""
    if detail["type"] == EXPECTED:
        return detail["msg"]
    if detail["type"] == "literal_error":
        return str(detail["ctx"]["expected"]).replace("'", "")
    return PLAIN_WORDS.get(detail["type"])


def _path(location: tuple[int | str, ...], data: Any) -> Path:
    """pydantic's location as a path: list positions stay numbers, keys become text."""
    steps: list[str | int] = []
    for step in location:
        if isinstance(data, list | tuple) and isinstance(step, int):
            steps.append(step)
            data = data[step] if step < len(data) else None
        else:
            steps.append(str(step))
            data = data.get(step) if isinstance(data, Mapping) else None
    return tuple(steps)
