"""Where in the schema a path of a scenario file leads: which keys are legal there.

Serves the hints for unknown keys, and lets a block that is left empty mean its defaults.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from banksim.scenario.fields import Block
from banksim.scenario.problems import Path


def block_in(annotation: Any) -> type[Block] | None:
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
    """The key that was probably meant by the unknown one at ``path``: of another block, or misspelt."""
    *around, key = path
    block = block_at(root, tuple(around))
    here = list(block.model_fields) if block else []
    elsewhere = next((place for name, place in all_keys(root) if name == key), None)
    near = difflib.get_close_matches(str(key), here, n=1)
    return elsewhere or (near[0] if near else None)


def without_empty_blocks(value: Any, block: type[Block]) -> Any:
    """``value`` with every empty block as {} and every empty list or table left out.

    `fraud:` with nothing behind it means a block of defaults; a plain key with nothing
    behind it stays, and is a mistake unless the key may be empty.
    """
    if not isinstance(value, Mapping):
        return value
    result: dict[Any, Any] = {}
    for key, item in value.items():
        info = block.model_fields.get(key) if isinstance(key, str) else None
        annotation = info.annotation if info else None
        inner = block_in(annotation)
        if item is None and _is_list(annotation):
            continue
        if inner is None:
            result[key] = item
        elif isinstance(item, list | tuple):
            result[key] = [without_empty_blocks(one, inner) for one in item]
        else:
            result[key] = {} if item is None else without_empty_blocks(item, inner)
    return result


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in (tuple, list, dict)
