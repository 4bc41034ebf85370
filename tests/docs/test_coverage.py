"""What a user can give or get is documented: options, variables, exit codes, log lines, files, messages."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from banksim.cli import launch
from banksim.cli import main as cli
from banksim.model import ExitCode
from banksim.world import load_personas
from tests.docs.pages import DOCS, PAGES, ROOT, blocks

COMMAND_LINE = (DOCS / "command-line.md").read_text("utf-8")
EVERYTHING = "\n".join(page.read_text("utf-8") for page in PAGES)
SOURCES = [path for folder in ("banksim", "web_ext") for path in sorted((ROOT / folder).rglob("*.py"))]
CODE = "\n".join(path.read_text("utf-8") for path in SOURCES)

#: Variables of the platform, not of ours, and how they are known.
PLATFORM = {"PATH", "HOME", "TERM", "PYTHONPATH", "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING"}
PLATFORM |= {"CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_AUTHORIZATION"}


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [name for action in parser._actions for name in action.option_strings if name.startswith("--")]


def test_every_flag_of_run_py_is_documented() -> None:
    said = COMMAND_LINE.partition("## The original simulator's flags")[2].partition("\n## ")[0]
    assert [name for name in _options(launch._parser()) if f"`{name}" not in said] == []


def _commands() -> dict[str, argparse.ArgumentParser]:
    action = next(a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


@pytest.mark.parametrize("name", _commands())
def test_every_command_and_its_options_are_documented(name: str) -> None:
    assert f"`banksim {name}" in COMMAND_LINE
    missing = [option for option in _options(_commands()[name]) if f"`{option}" not in EVERYTHING]
    assert missing == []


def test_every_environment_variable_is_documented() -> None:
    read = set(re.findall(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"", CODE))
    read |= set(re.findall(r"\"((?:BANKSIM|NEXUM|BASTION|KAFKA)_[A-Z_]+)\"", CODE))
    assert [name for name in sorted(read - PLATFORM) if f"`{name}" not in EVERYTHING] == []


@pytest.mark.parametrize("page", ["README.md", "docs/command-line.md"])
def test_every_exit_code_is_documented(page: str) -> None:
    table = re.findall(r"^\| (\d+) \|", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert sorted(map(int, table)) == sorted(int(code) for code in ExitCode)


def test_log_lines_in_the_document_are_those_of_the_code() -> None:
    said = COMMAND_LINE.partition("## Log lines to look for")[2].partition("\n## ")[0]
    lines = re.findall(r"`([^`]+)`", re.sub(r"\| [^|]*\|$", "|", said, flags=re.MULTILINE))
    begins = {re.split(r"[:\d%…]", line)[0].strip() for line in lines}
    assert len(begins) >= 9
    assert [line for line in begins if line not in CODE] == []


def test_every_log_line_an_operator_greps_for_is_documented() -> None:
    wanted = (
        "Transaction processed",
        "Fraud detected",
        "TPS ",
        "customer profiles",
        "Transaction generation started",
    )
    assert [line for line in wanted if line not in CODE or line not in COMMAND_LINE] == []


def test_every_file_of_a_run_is_documented() -> None:
    written = set(re.findall(r"\"([a-z]+\.(?:html|json|xml|csv))\"", CODE))
    said = (DOCS / "reading-results.md").read_text("utf-8") + (DOCS / "targets.md").read_text("utf-8")
    assert [name for name in sorted(written) if f"`{name}`" not in said] == []


@pytest.mark.parametrize("path", sorted((ROOT / "web_ext" / "schemas").glob("*.json")), ids=lambda p: p.stem)
def test_every_message_is_documented_and_every_field_explained(path: Path) -> None:
    said = (DOCS / "api.md").read_text("utf-8")
    assert f"`{path.stem}`" in said or f"{path.name}`" in said
    schema = json.loads(path.read_text("utf-8"))
    assert schema["description"]
    if path.stem in ("results", "snapshot"):  # values; reading-results.md explains them, class by class
        return
    assert list(_unexplained(schema)) == []


def _unexplained(schema: dict[str, Any]) -> Iterator[str]:
    if schema.get("title") in (
        "results",
        "snapshot",
    ):  # made from the classes of banksim/measure/results.py, which explain their fields
        yield from (name for name, below in schema["$defs"].items() if not below.get("description"))
        return
    for name, field in schema.get("properties", {}).items():
        # The fields of a message that comes in several forms are explained there.
        if "oneOf" not in schema and "const" not in field and not field.get("description"):
            yield name
        yield from (f"{name}.{below}" for below in _unexplained(field))


def test_the_personas_are_as_the_table_says() -> None:
    said = (DOCS / "realism.md").read_text("utf-8")
    for who in load_personas({}).values():
        busiest = max(range(24), key=lambda hour: who.hourly[hour])
        figures = f"{who.share:.0%} | {who.tempo:g} | {who.ages[0]}–{who.ages[1]} | {who.income_units:,.0f}"
        assert f"| `{who.name}` | {figures} | {who.kyc_tier} | {busiest}:00 |" in said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_json_shown_in_documents_is_json(page: Path) -> None:
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_shown_in_documents_compiles(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, page.name, "exec")
