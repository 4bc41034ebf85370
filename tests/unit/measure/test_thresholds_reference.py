"""docs/thresholds.md says what the catalogue says, and its examples are right."""

from __future__ import annotations

import re
from pathlib import Path

from banksim.measure.thresholds.judge import COMPARISONS, parse_threshold
from banksim.measure.thresholds.metrics import metric_table
from banksim.measure.thresholds.readings import STATISTICS

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "thresholds.md").read_text(encoding="utf-8")


def test_the_table_is_the_catalogue() -> None:
    assert metric_table() in TEXT


def test_the_grammar_names_every_comparison_and_statistic() -> None:
    grammar = re.search(r"## Grammar\n\n```\n(.*?)```", TEXT, re.DOTALL)
    assert grammar is not None
    for word in (*COMPARISONS, *STATISTICS, "for", "abort"):
        assert f'"{word}"' in grammar[1]


def test_the_examples_can_be_typed() -> None:
    yaml = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert yaml is not None
    found = re.findall(r"^  - (.+)$", yaml[1], re.MULTILINE)
    found += re.findall(r"--threshold '([^']+)'", TEXT)
    found += re.findall(r"^\| `([a-z]+ < [^`]+)` \|", TEXT, re.MULTILINE)
    assert len(found) == 5 + 2 + 4
    for text in found:
        assert parse_threshold(text).expression == text
