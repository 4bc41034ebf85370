"""One mistake in a scenario, and the line a user reads about it.

fraud.patterns[1].weight: expected a number from 0 to 1, got 3 (scenarios/x.yaml line 21)
└─ where it is ─────────┘ └─ text ──────────────────────────┘ └─ added by the loader ───┘
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Keys and list positions from the top of the file down.
Path = tuple[str | int, ...]

LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """``text`` says what is wrong at ``path``; ``line`` overrides the line of that path."""

    path: Path
    text: str
    line: int | None = None

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


def shown(value: Any) -> str:
    """A value as the user wrote it, more or less, and never long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a block of keys"
    text = repr(list(value)) if isinstance(value, list | tuple) else repr(value)
    text = text.replace("\n", " ")
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
