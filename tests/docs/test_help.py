"""Whatever option the documents name is in the help of the command that takes it."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from banksim.cli import launch
from banksim.cli import main as cli
from banksim.load.options import OPTION_NAMES
from banksim.sandbox.server import build_parser
from tests.docs.pages import PAGES, ROOT
from tests.docs.test_locusts_options import of_locust

#: Options of other programs, by the page that shows their commands.
OTHERS = {
    "containers.md": ("--rm", "--scale", "--build"),
    "kafka.md": ("--bootstrap-server", "--describe", "--group"),
    "troubleshooting.md": ("--bootstrap-server", "--from-beginning", "--list", "--topic"),
    "licences.md": ("--update-docs",),
    "reading-results.md": ("--repeats", "--exit-code-on-error"),
    "performance.md": (
        *("--every", "--gil", "--minutes", "--offered"),
        *("--rounds", "--seconds", "--tps", "--without"),
    ),
    "CHANGELOG.md": ("--run-time", "--json"),
    "command-line.md": of_locust(),  # in a table, each with what it means here
    "tuning.md": ("--hold", "--spawn-rate", "--users", "--workers"),
}


def _shown(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def run_help() -> str:
    command = [sys.executable, "-m", "banksim", "run", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


@pytest.fixture(scope="module")
def helps() -> set[str]:
    """Options of all commands, as their help shows them."""
    commands = next(a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    texts = [parser.format_help() for parser in commands.choices.values()]
    return _shown("\n".join([run_help(), build_parser().format_help(), *texts]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_in_a_document_is_in_a_help(page: Path, helps: set[str]) -> None:
    named = _shown(page.read_text("utf-8")) - set(OTHERS.get(page.name, ()))
    assert sorted(named - helps) == []


def test_the_help_of_a_run_lists_banksims_own_options_as_a_group() -> None:
    group = run_help().partition("the run:\n")[2].partition("\n\n")[0]
    own = {f"--{name.replace('_', '-')}" for name in OPTION_NAMES}
    assert {"--seed", "--sandbox", "--dry-run", "--threshold", "--report-dir", "--flow"} <= _shown(group)
    # --dashboard means more here: it is among the short forms.
    assert own - {"--dashboard"} <= _shown(group)


def test_run_py_has_the_same_help() -> None:
    assert (
        launch._help("run.py").partition("\n\n")[2].splitlines()[:20]
        == (launch._help("banksim run").partition("\n\n")[2].splitlines()[:20])
    )


def test_banksim_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "generate" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [("--bogus",), ("--target-mode", "x")])
def test_an_error_names_the_command_that_was_typed(wrong: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "banksim", "run", "--dry-run", *wrong]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "banksim run: error: " in done.stderr
    assert wrong[-1] in done.stderr
