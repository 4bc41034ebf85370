"""Records: frozen to the type checker, plain to the interpreter.

A frozen dataclass sets each field by a call, so one of twelve fields takes four times as long
to make as a plain one, and a transaction is made, answered and counted some thousand times
a second.  Nobody may change one all the same: mypy sees these as frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

Record = TypeVar("Record")


@dataclass_transform(frozen_default=True)
def record(cls: type[Record]) -> type[Record]:
    """A dataclass with slots that is equal and hashed by value.  No field may be set afterwards."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
