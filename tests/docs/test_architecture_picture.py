"""The picture of the rooms is drawn from today's imports, and every room has words."""

from __future__ import annotations

import re

import pytest

from docs.draw_architecture import PICTURE, WORDS, draw, essential, imports, rows
from tests.docs.pages import DOCS, ROOT


def test_the_picture_is_current() -> None:
    assert PICTURE.read_text("utf-8") == draw(), "run `make picture`"


def test_every_room_has_words_and_a_row_in_the_table() -> None:
    rooms = imports()
    assert [room for room in rooms if room not in WORDS] == []
    said = (DOCS / "architecture.md").read_text("utf-8")
    assert [room for room in rooms if f"{room}`" not in said] == []


def test_lines_that_follow_from_others_are_left_out() -> None:
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert essential(graph) == {"a": {"b"}, "b": {"c"}, "c": set()}
    assert rows(graph) == {"a": 2, "b": 1, "c": 0}


def test_a_cycle_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="a -> b -> a"):
        rows({"a": {"b"}, "b": {"a"}})


def test_the_files_that_the_page_names_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)`", (DOCS / "architecture.md").read_text("utf-8"))
    assert len(named) > 12
    assert [name for name in named if not any((ROOT / top / name).exists() for top in ("banksim", "."))] == []
