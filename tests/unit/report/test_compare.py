import json
from dataclasses import replace
from pathlib import Path

import pytest

from banksim.cli.main import main
from banksim.measure.results import Results, encode
from banksim.measure.scores import wilson
from banksim.report.compare import (
    FIGURES,
    Change,
    Difference,
    Figure,
    Value,
    compare_runs,
    difference,
    paired_recall,
    student_t_95,
)
from banksim.report.compare_page import bar_of, comparison_text, render_comparison
from tests.unit.report.make import busy_results

RECALL = next(figure for figure in FIGURES if figure.key == "recall")
P99 = next(figure for figure in FIGURES if figure.key == "response_p99")


@pytest.fixture(scope="module")
def before() -> Results:
    return busy_results()


def worse(results: Results, caught: int) -> Results:
    """The same run with fewer frauds caught, spread over its campaigns."""
    found, fraud = results.detection, results.fraud
    lost = found.confusion.tp - caught
    confusion = replace(found.confusion, tp=caught, fn=found.confusion.fn + lost)
    low, high = wilson(caught, confusion.fraud) or (0.0, 0.0)
    detection = replace(
        found, confusion=confusion, recall=caught / confusion.fraud, recall_low=low, recall_high=high
    )
    each = -(-lost // len(fraud.campaigns))
    campaigns = [replace(row, alerted=row.alerted - min(row.alerted, each)) for row in fraud.campaigns]
    return replace(results, detection=detection, fraud=replace(fraud, campaigns=campaigns))


def of(rows: list[Difference], key: str) -> Difference:
    return next(row for row in rows if row.figure.key == key)


def test_a_run_next_to_itself_shows_no_change(before: Results) -> None:
    found = compare_runs(before, before)
    assert found.same_plan
    assert {row.change for row in found.headline} == {Change.SAME}
    assert found.regressions == []
    assert {row.difference for row in found.typologies} == {0}


def test_shares_compare_by_newcombes_interval() -> None:
    # Newcombe (1998), table II, 56/70 against 48/80: 0.2 with 0.0524 to 0.3339.
    a, b = (Value(part / whole, *(wilson(part, whole) or ())) for part, whole in ((48, 80), (56, 70)))
    found = difference(RECALL, a, b)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))
    assert found.change is Change.BETTER


@pytest.mark.parametrize(
    ("figure", "a", "b", "change"),
    [
        (RECALL, Value(0.90, 0.89, 0.91), Value(0.80, 0.79, 0.81), Change.WORSE),
        (RECALL, Value(0.90, 0.70, 0.97), Value(0.80, 0.60, 0.90), Change.SAME),  # could be chance
        (RECALL, Value(0.90, 0.899, 0.901), Value(0.895, 0.894, 0.896), Change.SAME),  # tolerated
        (RECALL, Value(0.80), Value(0.90), Change.BETTER),
        (P99, Value(100, 99, 101), Value(120, 119, 121), Change.WORSE),
        (P99, Value(100, 99, 101), Value(109, 108, 110), Change.SAME),
        (P99, Value(100, 99, 101), Value(80, 79, 81), Change.BETTER),
        (RECALL, Value(0.9), None, Change.LOST),
        (RECALL, None, Value(0.9), Change.NEW),
        (RECALL, None, None, Change.ABSENT),
    ],
)
def test_changes(figure: Figure, a: Value | None, b: Value | None, change: Change) -> None:
    found = difference(figure, a, b)
    assert found.change is change
    assert found.regressed == (change in (Change.WORSE, Change.LOST))


def test_the_same_plan_is_paired_by_campaign(before: Results) -> None:
    found = of(compare_runs(before, worse(before, 130)).headline, "recall")
    assert found.paired and found.regressed
    other_seed = replace(worse(before, 130), run=replace(before.run, seed=43))
    apart = of(compare_runs(before, other_seed).headline, "recall")
    assert not apart.paired
    assert apart.low is not None and apart.high is not None


def test_pairs_are_left_out_when_they_hold_too_little(before: Results) -> None:
    assert paired_recall(before, before) == (0.0, 0.0, 0.0)
    few = replace(before, fraud=replace(before.fraud, campaigns=before.fraud.campaigns[:5]))
    assert paired_recall(before, few) is None
    unasked = replace(before, detection=replace(before.detection, unasked=3))
    assert paired_recall(before, unasked) is None


def test_students_t() -> None:
    assert student_t_95(9) == pytest.approx(2.2622, abs=1e-3)
    assert student_t_95(99) == pytest.approx(1.9842, abs=1e-4)


def test_a_bar_puts_worse_to_the_left() -> None:
    slower = difference(P99, Value(100, 95, 105), Value(150, 140, 160))
    bar = bar_of(slower)
    assert bar is not None and bar.dot < 50 and bar.left is not None
    assert 0 <= bar.left < bar.dot


def test_the_page_and_the_text_name_what_got_worse(before: Results) -> None:
    found = compare_runs(before, worse(before, 130))
    for text in (comparison_text(found), render_comparison(found)):
        assert "Worse by more than tolerance and chance: Recall" in text
    hostile = replace(before, run=replace(before.run, run_id="<script>"))
    assert "<script>" not in render_comparison(compare_runs(before, hostile))


def save(folder: Path, results: Results) -> str:
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(encode(results)))
    return str(folder)


def test_the_command_fails_only_when_asked_to(
    tmp_path: Path, before: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = save(tmp_path / "a", before), save(tmp_path / "b", worse(before, 130))
    assert main(["compare", a, b]) == 0
    assert main(["compare", a, b, "--fail-on-regression", "--html", str(tmp_path / "c.html")]) == 99
    assert main(["compare", a, a, "--fail-on-regression"]) == 0
    assert (tmp_path / "b" / "compare.html").is_file() and (tmp_path / "c.html").is_file()
    assert "Recall" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", '{"run": {}}', '{"schema": 99, "run": {}, "detection": {}}'])
def test_what_is_no_run_is_refused(
    tmp_path: Path, before: Results, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text(text)
    assert main(["compare", str(tmp_path / "x.json"), save(tmp_path / "a", before)]) == 2
    assert "x.json" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "missing"), str(tmp_path / "a")]) == 2
