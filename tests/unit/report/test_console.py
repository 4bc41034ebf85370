"""The summary on a terminal: words first, colour only where it was not declined."""

from __future__ import annotations

import io
from typing import Any

import pytest

from banksim.report.console import print_summary, summary, wants_colour
from tests.unit.report.make import busy_results, empty_results

ROWS: list[dict[str, Any]] = [
    {
        "expression": "recall >= 70%",
        "value": 0.745,
        "measured": "74.5%",
        "bound": "at least 70%",
        "passed": True,
        "reason": "",
    },
    {
        "expression": "fpr <= 0.1%",
        "value": 0.007,
        "measured": "0.7%",
        "bound": "at most 0.1%",
        "passed": False,
        "reason": "measured 0.7%, expected at most 0.1%",
    },
    {
        "expression": "latency[bastion].p95 < 1ms",
        "value": None,
        "measured": "n/a",
        "bound": "less than 1ms",
        "passed": False,
        "reason": "no data: no call to bastion was made",
    },
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "colour"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),  # set to nothing means not set (no-color.org)
        (Terminal(), {"NO_COLOR": "0"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_who_gets_colour(stream: io.StringIO, environ: dict[str, str], colour: bool) -> None:
    assert wants_colour(stream, environ) is colour
    print_summary({**busy_results(), "thresholds": ROWS}, stream, environ)
    assert ("\x1b[" in stream.getvalue()) is colour


def test_the_table_has_word_expression_figure_and_bound_in_columns() -> None:
    lines = summary({**busy_results(), "thresholds": ROWS}).splitlines()
    rows = [line for line in lines if "passed  " in line or "failed  " in line]
    assert rows == [
        "  ✓ passed  recall >= 70%               74.5%  at least 70%",
        "  ✗ failed  fpr <= 0.1%                 0.7%   at most 0.1%",
        "  ✗ failed  latency[bastion].p95 < 1ms  n/a    less than 1ms",
    ]
    assert "            no data: no call to bastion was made" in lines
    assert not any("expected at most 0.1%" in line for line in lines)  # the row says it already
    assert lines[1] == "Fraud attack: completed in 4\u202fmin 48\u202fs, 1 of 3 thresholds passed"


def test_without_thresholds_there_is_no_table() -> None:
    text = summary(busy_results())
    assert "threshold" not in text
    assert "recall" in text


def test_a_run_in_which_nothing_happened_says_so() -> None:
    text = summary(empty_results())
    assert "interrupted" in text
    assert "n/a" in text
    assert "0 frauds" in text


def test_few_frauds_come_with_their_interval() -> None:
    results = busy_results()
    results["detection"] |= {
        "recall": 0.5,
        "recall_low": 0.237,
        "recall_high": 0.763,
        "confusion": {"tp": 5, "fp": 1, "tn": 9, "fn": 5},
    }
    assert "interval 23.7–76.3" in summary(results)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_terminal_can_show_it(encoding: str) -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding)
    print_summary({**busy_results(), "thresholds": ROWS}, stream, {})
    text = buffer.getvalue().decode(encoding)
    assert "failed  fpr <= 0.1%" in text
    assert ("✗" in text) is (encoding == "utf-8")
