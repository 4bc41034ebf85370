"""Messages quoted in the documents are the ones the code says, and so is every row of the occasions table."""

from __future__ import annotations

import ast
import re
import shlex
from functools import lru_cache
from pathlib import Path

import pytest

from banksim.cli import launch
from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "troubleshooting.md").read_text("utf-8")
QUOTES = [" ".join(quote.split("\n> ")) for quote in re.findall(r"^> (.+(?:\n> .+)*)$", PAGE, re.MULTILINE)]
OCCASIONS = re.findall(r"^\| [^|]+ \| `(python run\.py [^`]+)` \|$", PAGE, re.MULTILINE)
GAP = "…"


@lru_cache
def texts() -> str:
    """Every text in the code, one a line; values that are put in are gaps."""
    found = []
    for path in [*(ROOT / "banksim").rglob("*.py"), *(ROOT / "web_ext").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Constant(value=str(text)):
                    found.append(re.sub(r"%[sd]|%\.\d?f", GAP, text))
                case ast.JoinedStr(values=parts):
                    found.append(
                        "".join(part.value if isinstance(part, ast.Constant) else GAP for part in parts)
                    )
    return "\n".join(found)


def test_the_page_quotes_enough() -> None:
    assert len(QUOTES) >= 20


@pytest.mark.parametrize("quote", QUOTES, ids=lambda quote: quote[:40])
def test_a_quoted_message_is_in_the_code(quote: str) -> None:
    """Its fixed parts are; a message may be put together from several texts."""
    parts = [part.strip(" .:;") for part in quote.split(GAP) if len(part.strip()) > 2]
    assert any(len(part) > 6 for part in parts)
    assert [part for part in parts if part not in texts()] == []


@pytest.mark.parametrize("command", OCCASIONS)
def test_the_settings_for_an_occasion_are_right(command: str) -> None:
    options, others = launch._parser().parse_known_args(shlex.split(command)[2:])
    assert others == []
    assert launch.locust_arguments(options, others, {})


def test_every_occasion_is_tested() -> None:
    assert len(OCCASIONS) == 4


def test_the_page_has_a_row_for_every_problem_of_the_original_guide() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    wanted = ("port", "answer", "Kafka", "page", "memory", "rate", "occasion", "scratch", "look")
    assert [word for word in wanted if not any(word in heading for heading in headings)] == []


def test_the_examples_of_refused_scenarios_are_what_is_said(tmp_path: Path) -> None:
    from banksim.model import ScenarioError
    from banksim.scenario import parse_scenario

    text = "name: Bad\nduration_hours: 1\nspeed_multipler: 10\n"
    text += "transaction_rate: {peak_tps: -1, off_peak_tps: 1}\n"
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "bad.yaml")
    quoted = re.findall(r"^.+\(bad\.yaml line \d+\)$", PAGE, re.MULTILINE)
    assert len(quoted) == 2
    assert [line for line in quoted if line not in str(caught.value)] == []
