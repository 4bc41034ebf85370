"""Mistakes in a scenario, and the error line for each.

fraud.patterns[1].weight: expected a number from 0 to 1, got 3 (scenarios/x.yaml line 21)
└─ where it is ─────────┘ └─ text ──────────────────────────┘ └─ added by the loader ───┘
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from banksim.scenario.fields import EXPECTED, Block

#: Keys and list positions from the top of the file down.
Path = tuple[str | int, ...]

LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """``text`` describes the mistake at ``path``; ``line`` overrides the line of that path."""

    path: Path
    text: str
    line: int | None = None
    too_long: bool = False

    @property
    def where(self) -> str:
        return path_text(self.path)


def path_text(path: Path) -> str:
    """``("fraud", "patterns", 1, "weight")`` as ``fraud.patterns[1].weight``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def shown(value: object) -> str:
    """A value about as the user wrote it, shortened to `LONGEST_SHOWN` characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a block of keys"
    if isinstance(value, date):
        return str(value)
    text = repr(list(value)) if isinstance(value, list | tuple) else repr(value)
    text = text.replace("\n", " ")
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


# -- From a path in a scenario file to the block of the schema, and the keys that are legal there ---
#
# Used for the hints on unknown keys, and to read an empty block as its defaults.


def block_in(annotation: object) -> type[Block] | None:
    """The block that ``annotation`` holds, itself or as items of a list; None for plain values."""
    if inspect.isclass(annotation) and issubclass(annotation, Block):
        return annotation
    for part in get_args(annotation):
        found = block_in(part)
        if found is not None:
            return found
    return None


def block_at(root: type[Block], path: Path) -> type[Block] | None:
    """The block that ``path`` leads to from ``root``; None when it leads elsewhere."""
    block: type[Block] | None = root
    for step in path:
        if isinstance(step, int):
            continue
        if block is None or step not in block.model_fields:
            return None
        block = block_in(block.model_fields[step].annotation)
    return block


def all_keys(block: type[Block], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key below ``block`` with its place: ("peak_tps", "transaction_rate.peak_tps")."""
    for key, info in block.model_fields.items():
        place = f"{prefix}{key}"
        yield key, place
        inner = block_in(info.annotation)
        if inner is not None:
            yield from all_keys(inner, f"{place}[]." if _is_list(info.annotation) else f"{place}.")


def suggestion(root: type[Block], path: Path) -> str | None:
    """The key probably meant by the unknown one at ``path``: of another block, or misspelt."""
    *around, key = path
    block = block_at(root, tuple(around))
    here = list(block.model_fields) if block else []
    elsewhere = next((place for name, place in all_keys(root) if name == key), None)
    near = difflib.get_close_matches(str(key), here, n=1)
    return elsewhere or (near[0] if near else None)


def without_empty_blocks(values: Mapping[object, object], block: type[Block]) -> dict[object, object]:
    """``values`` with every empty block as {} and every empty list or table left out.

    An empty `fraud:` means a block of defaults; an empty plain key stays, and is a mistake
    unless the key may be empty.
    """
    result: dict[object, object] = {}
    for key, item in values.items():
        info = block.model_fields.get(key) if isinstance(key, str) else None
        annotation = info.annotation if info else None
        inner = block_in(annotation)
        if item is None and _is_list(annotation):
            continue
        if inner is None:
            result[key] = item
        elif isinstance(item, list | tuple):
            result[key] = [_filled(one, inner) for one in item]
        else:
            result[key] = {} if item is None else _filled(item, inner)
    return result


def _filled(item: object, block: type[Block]) -> object:
    return without_empty_blocks(item, block) if isinstance(item, Mapping) else item


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) in (tuple, list, dict)


# -- pydantic's errors as error lines ----------------------------------------------------------------
#
# pydantic                              here
# ────────────────────────────────────  ──────────────────────────────────────────
# our own type, "expected"              expected a number from 0 to 1, got 3
# missing                               missing
# extra_forbidden                       unknown key; did you mean peak_tps?
# model_type, dict_type                 expected a block of keys, got 5
# literal_error                         expected light or dark, got 'blue'


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


def problems_of(error: ValidationError, data: Mapping[object, object], root: type[Block]) -> list[Problem]:
    """One problem per mistake in ``data``; ``root`` is the model that was checked."""
    problems = [_problem(detail, data, root) for detail in error.errors(include_url=False)]
    return list(dict.fromkeys(problems))


def _problem(detail: ErrorDetails, data: Mapping[object, object], root: type[Block]) -> Problem:
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
    """The text after "expected"; None for a kind of error without one."""
    if detail["type"] == EXPECTED:
        return detail["msg"]
    if detail["type"] == "literal_error":
        return str(detail["ctx"]["expected"]).replace("'", "")
    return PLAIN_WORDS.get(detail["type"])


def _path(location: tuple[int | str, ...], data: object) -> Path:
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
