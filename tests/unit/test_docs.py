"""The documents say what the program does: generated parts match, scenarios load (more in tests/docs)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from banksim.load.options import add_options
from banksim.sandbox.server import build_parser
from banksim.scenario import parse_scenario
from banksim.scenario.reference import BEGIN, reference

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_scenario_reference_is_what_the_models_say(request: pytest.FixtureRequest) -> None:
    page = ROOT / "docs" / "scenarios.md"
    written, _, generated = page.read_text().partition(BEGIN)
    if request.config.getoption("--update-docs"):
        page.write_text(f"{written}{BEGIN}\n\n{reference()}")
        return
    assert generated.strip() == reference().strip(), (
        "run `python -m pytest tests/unit/test_docs.py --update-docs`"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scenarios_shown_in_documents_load(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        if block.startswith("name:") and "duration_hours:" in block:
            parse_scenario(block, page.name)


class _Recorder:
    """Takes options as Locust's parser does, and keeps their names."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add_argument(self, *names: str, **_: object) -> None:
        self.names += [name for name in names if name.startswith("--")]

    def set_defaults(self, **_: object) -> None:
        """Nothing to document."""


def test_every_option_is_documented() -> None:
    recorder = _Recorder()
    add_options(recorder)
    said = (ROOT / "docs" / "command-line.md").read_text()
    assert [name for name in recorder.names if f"`{name}" not in said] == []


def test_every_option_of_the_sandbox_is_documented() -> None:
    said = (ROOT / "docs" / "targets.md").read_text()
    options = [name for action in build_parser()._actions for name in action.option_strings]
    missing = [name for name in options if name.startswith("--") and f"`{name}" not in said]
    assert missing == ["--help"]
