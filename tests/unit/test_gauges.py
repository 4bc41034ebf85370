"""The gauges of the code's structure that are marked as held do hold; the counting itself is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gauges import (
    GAUGES,
    Gauge,
    callables_taken,
    circles,
    code_lines,
    leaves,
    not_none_asserts,
    unread,
    untyped_dicts,
)

SAMPLE = '''"""A module.

Two lines of its docstring.
"""

# A comment.
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Box:
    """A docstring."""

    say: Callable[[str], None]

    def open(self, key: Mapping[str, Any] | None) -> dict[str, object]:
        text = """one
        two"""
        assert key is not None
        return {text: key}  # the end


class Lid:
    def __init__(self, tell: Callable[[], None] | None = None) -> None: ...
'''


@pytest.mark.parametrize("gauge", [g for g in GAUGES if g.held], ids=lambda gauge: gauge.name)
def test_a_held_gauge_holds(gauge: Gauge) -> None:
    value = gauge.measure()
    assert gauge.holds(value), f"{gauge.name}: {value:,g}, limit {gauge.limit:,g}"


def test_what_is_counted_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(SAMPLE)
    assert code_lines(path) == 13
    assert len(list(untyped_dicts(path))) == 2
    assert len(list(not_none_asserts(path))) == 1
    assert list(callables_taken(path)) == ["Box.say", "Lid.tell"]


def test_circles_are_found_as_groups() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(circles(graph)) == [["a", "b", "c"], ["d", "e"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_published_names_are_looked_for_in_all_readers() -> None:
    value = {"transactions": {"offered": 1, "nobody_asks": 2}, "rows": [{"recall_high": 0.5}]}
    assert "rows[].recall_high" in set(leaves(value))
    assert unread(leaves(value)) == ["transactions.nobody_asks"]
    assert set(leaves({"channel": {"atm": {"sent": 1}}})) == {"channel", "channel.*.sent"}
