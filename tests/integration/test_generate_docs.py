"""What the documents say of data sets is what the command does."""

from __future__ import annotations

import argparse

from banksim.dataset.command import add_options
from banksim.dataset.files import ACCOUNTS, CUSTOMERS, TRANSACTIONS
from tests.integration.commands import ROOT
from tests.integration.test_generate import generate


def test_the_self_check_passes_and_its_table_is_documented() -> None:
    """Measured values may change with the typologies; figures, targets and results may not."""
    done = generate("--scenario", "calibrated", "--check", "--seeds", "2")
    assert done.returncode == 0, done.stdout
    said = (ROOT / "docs" / "realism.md").read_text().partition("\n## ")[0]
    documented, printed = (
        [_row(line) for line in text.splitlines() if line[:2] == "| "] for text in (said, done.stdout)
    )
    assert len(printed) > 60
    assert documented == printed


def _row(line: str) -> tuple[str, str, str]:
    """Figure, target and result of a row."""
    figure, target, _, result = (part.strip() for part in line.strip("|").split("|")[:4])
    return figure, target, result


def test_every_option_and_column_is_documented() -> None:
    said = (ROOT / "docs" / "data-sets.md").read_text()
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    options = [action.option_strings[0] for action in parser._actions]
    assert [name for name in options if f"`{name}" not in said] == []
    for column in (*TRANSACTIONS, *CUSTOMERS, *ACCOUNTS):
        assert f"| `{column.name}` | {column.type} | {column.unit} | {column.meaning} |" in said
