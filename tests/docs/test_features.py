"""docs/features.md is whole, and every file and test it names exists."""

from __future__ import annotations

import re
from functools import lru_cache

import pytest

from tests.docs.pages import DOCS, ROOT

#: How many features each part of the original has.
PARTS = {"A": 11, "B": 16, "C": 22, "D": 16, "E": 20, "F": 15, "G": 9, "H": 13, "I": 10, "J": 15, "K": 10}
PARTS |= {"L": 14, "M": 9, "N": 10, "O": 17, "P": 12, "Q": 13, "R": 5, "S": 8, "T": 11, "U": 18}
ROW = re.compile(
    r"^\| ([A-U]\d+) \| (.+?) \| (yes|partly|no) \| `([^`]+)` \| `([^`]+)::(test_\w+)` \| (.*) \|$"
)
PAGE = (DOCS / "features.md").read_text("utf-8")
ROWS = [row.groups() for row in map(ROW.match, PAGE.splitlines()) if row]


@lru_cache
def source(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def test_every_feature_has_one_row_in_order() -> None:
    wanted = [f"{part}{number}" for part, count in PARTS.items() for number in range(1, count + 1)]
    assert [row[0] for row in ROWS] == wanted


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_a_row_names_exists(row: tuple[str, ...]) -> None:
    _, _, _, where, test_file, test, _ = row
    assert (ROOT / where).exists()
    assert re.search(rf"^def {test}\(", source(test_file), re.MULTILINE), f"{test_file} has no {test}"


def test_what_is_not_fully_met_is_explained_and_named_at_the_top() -> None:
    lacking = {row[0]: row[6].strip() for row in ROWS if row[2] != "yes"}
    assert [name for name, note in lacking.items() if not note] == []
    top = PAGE.partition("\n## ")[0]
    assert set(re.findall(r"\*\*([A-U]\d+)\*\*", top)) == set(lacking)


def test_every_kind_of_trouble_has_its_test() -> None:
    rows = re.findall(r"^\| .+ \| `(.+)::(test_\w+)` \|$", source("tests/README.md"), re.MULTILINE)
    assert len(rows) > 50
    missing = [row for row in rows if not re.search(rf"^def {row[1]}\(", source(row[0]), re.MULTILINE)]
    assert not missing
