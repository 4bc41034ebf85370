"""Small scenarios and whole streams for the tests of this room."""

from __future__ import annotations

from typing import Any

from banksim.dataset.stream import Entry, Stream
from banksim.run.plan import Parts, build_parts
from banksim.scenario import Scenario


def scenario(**changes: Any) -> Scenario:
    """Two days of about 3,500 transactions, unless told otherwise."""
    values: dict[str, Any] = {
        "name": "test",
        "duration_hours": 48,
        "speed_multiplier": 1000,
        "customers": 200,
        "accounts_per_customer": 2,
        "transaction_rate": {"peak_tps": 20, "off_peak_tps": 20},
        "fraud": {"rate": 0.05},
    }
    return Scenario.model_validate(values | changes)


def parts(seed: int = 7, **changes: Any) -> Parts:
    made = scenario(**changes)
    return build_parts(made, seed, made.speed_multiplier)


def streamed(seed: int = 7, **changes: Any) -> tuple[Stream, list[Entry]]:
    """A stream that has run to its end, and its rows."""
    stream = Stream(parts(seed, **changes))
    return stream, list(stream)
