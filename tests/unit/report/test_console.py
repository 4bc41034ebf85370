"""The summary on a terminal: words first, colour only where it was not declined."""

from __future__ import annotations

import io

import pytest

from banksim.report.console import print_summary, summary, wants_colour
from tests.unit.report.make import busy_results, empty_results, threshold

ROWS = [
    threshold("recall >= 70%", "74.5%", "at least 70%"),
    threshold("fpr <= 0.1%", "0.7%", "at most 0.1%", "measured 0.7%, expected at most 0.1%"),
    threshold("latency[bastion].p95 < 1ms", "n/a", "less than 1ms", "no data: no call to bastion was made"),
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
    print_summary(busy_results(ROWS), stream, environ)
    assert ("\x1b[" in stream.getvalue()) is colour


def test_the_table_has_word_expression_figure_and_bound_in_columns() -> None:
    lines = summary(busy_results(ROWS)).splitlines()
    rows = [line for line in lines if "passed  " in line or "failed  " in line]
    assert rows == [
        "  ✓ passed  recall >= 70%               74.5%  at least 70%",
        "  ✗ failed  fpr <= 0.1%                 0.7%   at most 0.1%",
        "  ✗ failed  latency[bastion].p95 < 1ms  n/a    less than 1ms",
    ]
    assert "            no data: no call to bastion was made" in lines
    assert not any("expected at most 0.1%" in line for line in lines)  # the row says it already
    assert lines[1].startswith("✗ FAILED  Fraud attack: 2 of 3 thresholds failed (fpr <= 0.1%,")
    assert lines[1].endswith("(4\u202fmin 48\u202fs, completed)")


def test_without_thresholds_there_is_no_table() -> None:
    text = summary(busy_results())
    assert "passed" not in text
    assert "frauds caught" in text


def test_the_four_words_stand_below_each_other_and_the_report_comes_last() -> None:
    results = busy_results()
    lines = [line for line in summary(results, page="reports/x/report.html").splitlines() if line]
    words = [line.split()[0] for line in lines[1:5]]
    assert words == ["Load", "Bank", "Money", "Detector"]
    for line, word in zip(lines[1:5], results.verdict.words, strict=True):
        assert word.word in line and word.sentence in line
    assert lines[5].startswith("  response  p99") and "own queue" in lines[5]
    assert lines[-1] == "  report    reports/x/report.html"


def test_a_run_in_which_nothing_happened_says_so() -> None:
    text = summary(empty_results())
    assert "NOT JUDGED" in text and "interrupted" in text
    assert "n/a" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_terminal_can_show_it(encoding: str) -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding)
    print_summary(busy_results(ROWS), stream, {})
    text = buffer.getvalue().decode(encoding)
    assert "failed  fpr <= 0.1%" in text
    assert ("✗" in text) is (encoding == "utf-8")
