"""The report of a search for capacity shows the limit, every step, and why a step did not hold."""

from __future__ import annotations

from typing import Any

from banksim.measure.results import CapacityFigures, Results, decode
from banksim.report.charts_load import capacity_chart
from banksim.report.console import summary
from banksim.report.html import render_html
from tests.unit.report.make import busy_results


def step(tps: float, held: bool, reason: str = "") -> dict[str, Any]:
    return {
        "tps": tps,
        "offered_tps": tps,
        "achieved_tps": tps,
        "p50_ms": 5.0,
        "p95_ms": 9.0,
        "p99_ms": tps,
        "errors": 0.0,
        "dropped": 0,
        "recall": 0.8,
        "recall_low": 0.7,
        "recall_high": 0.9,
        "false_positive_rate": 0.01,
        "coverage": 1.0,
        "fraud": 50,
        "held": held,
        "reason": reason,
    }


def results(**changes: Any) -> Results:
    found = {
        "found_tps": 100.0,
        "failed_tps": 150.0,
        "finished": True,
        "hold_s": 20.0,
        "until": ["response_time.p99 < 120ms"],
        "steps": [step(150, False, "p99 <script>"), step(100, True)],
    }
    return busy_results(capacity=decode(CapacityFigures, found | changes))


def test_steps_are_in_order_of_their_rate_with_their_verdict() -> None:
    chart = capacity_chart(results())
    assert chart.spec is not None
    assert [row[-1] for row in chart.rows] == ["held", "p99 <script>"]


def test_recall_is_that_at_the_mix_of_the_run() -> None:
    mixed = {"mixed_recall": 0.6, "mixed_recall_low": 0.5, "mixed_recall_high": 0.7, "offered_tps": 92.0}
    chart = capacity_chart(results(steps=[step(100, True) | mixed, step(150, False)]))
    first, second = (dict(zip(chart.columns, row, strict=True)) for row in chart.rows)
    assert (first["recall"], second["recall"]) == ("60.0\u202f%", "80.0\u202f%")
    assert (first["asked"], first["offered"]) == ("100\u202ftx/s", "92.0\u202ftx/s")


def test_the_terminal_says_what_was_found() -> None:
    text = summary(results())
    assert "Limit: 100\u202ftx/s held, 150\u202ftx/s did not" in text


def test_the_page_says_what_was_found() -> None:
    page = render_html(results())
    assert "limit 100\u202ftx/s" in page and "150\u202ftx/s did not: p99" in page
    assert "no limit met" in render_html(results(failed_tps=None))
    assert "nothing held" in render_html(results(found_tps=None))
    assert "p99 &lt;script&gt;" in render_html(results())


def test_a_search_that_tried_nothing_says_so() -> None:
    assert capacity_chart(results(steps=[])).empty


def test_other_runs_have_no_such_section() -> None:
    assert 'id="capacity"' not in render_html(busy_results())
