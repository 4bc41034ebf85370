"""The table of Locust's options has each of them, and nothing that Locust does not know."""

from __future__ import annotations

import re
from pathlib import Path

from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from banksim.load.options import add_options

ROOT = Path(__file__).resolve().parents[2]
HEADING = "### Every option of Locust"


def named_in_table() -> set[str]:
    """Options in the first column."""
    section = (
        (ROOT / "docs" / "command-line.md").read_text("utf-8").partition(HEADING)[2].partition("\n## ")[0]
    )
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(-[^`]+)`", row)}


def of_locust() -> set[str]:
    """Options that Locust's own parser takes."""
    parser = get_empty_argument_parser(add_help=True)
    setup_parser_arguments(parser)
    return {name for action in parser._actions for name in action.option_strings}


def test_every_option_of_locust_is_in_the_table() -> None:
    assert of_locust() - named_in_table() == set()
    assert len(of_locust()) >= 60


def test_nothing_else_is() -> None:
    assert named_in_table() - of_locust() == set()


def test_every_option_of_ours_is_a_variable_too() -> None:
    parser = get_empty_argument_parser(add_help=False)
    add_options(parser)
    without = [a.option_strings for a in parser._actions if a.option_strings and not a.env_var]
    assert [names for names in without if names[0] not in ("-f", "--config")] == []
