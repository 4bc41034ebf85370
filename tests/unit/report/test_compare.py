import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from banksim.cli.main import main
from banksim.measure.results import Results, encode
from banksim.measure.scores import wilson
from banksim.report.compare import (
    DEFAULT_GATES,
    FIGURES,
    GATES,
    Change,
    Difference,
    Figure,
    Value,
    clustered,
    compare_runs,
    difference,
    judged,
    paired_recall,
    student_t_95,
)
from banksim.report.html import bar_of, comparison_text, render_comparison
from tests.unit.report.make import busy_results

RECALL = next(figure for figure in FIGURES if figure.key == "recall")
P99 = next(figure for figure in FIGURES if figure.key == "response_p99")
P50 = next(figure for figure in FIGURES if figure.key == "bastion_p50")


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
    each = -(-lost // len(fraud.campaign_counts))
    counts = [(name, n, hit - min(hit, each)) for name, n, hit in fraud.campaign_counts]
    return replace(results, detection=detection, fraud=replace(fraud, campaign_counts=counts))


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
        (RECALL, Value(0.90), Value(0.80), Change.SHOWN),  # without an interval nothing is judged
        (P50, Value(0.25, 0.24, 0.26), Value(0.288, 0.28, 0.29), Change.SAME),  # below the floor of 5 ms
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
    assert not found.regressed
    assert replace(found, judged=True).regressed == (change in (Change.WORSE, Change.LOST))


def test_the_same_plan_is_paired_by_campaign(before: Results) -> None:
    found = of(compare_runs(before, worse(before, 130)).headline, "recall")
    assert found.paired and found.regressed
    other_seed = replace(worse(before, 130), run=replace(before.run, seed=43))
    apart = of(compare_runs(before, other_seed).headline, "recall")
    assert not apart.paired
    assert apart.low is not None and apart.high is not None


def test_pairs_are_left_out_when_they_hold_too_little(before: Results) -> None:
    assert paired_recall(before, before) == (0.0, 0.0, 0.0)
    five = before.fraud.campaign_counts[:5]
    few = replace(before, fraud=replace(before.fraud, campaign_counts=five))
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


def value_of(share: float, n: int) -> Value:
    return Value(share, *(wilson(share * n, n) or ()))


def row_of(figure: Figure, a: Value, b: Value) -> Difference:
    return replace(difference(figure, a, b), judged=True)


def test_many_judged_figures_need_more_than_each_alone() -> None:
    """A p-value of about 0.03 is a regression alone, and chance among five (Holm)."""
    coverage = next(figure for figure in FIGURES if figure.key == "coverage")
    worse_alone = row_of(RECALL, value_of(0.80, 500), value_of(0.742, 500))
    assert 0.02 < worse_alone.p_value < 0.04
    assert judged([worse_alone])[0].change is Change.WORSE
    same = row_of(coverage, value_of(0.99, 900), value_of(0.99, 900))
    others = [replace(same, figure=replace(coverage, key=f"c{number}")) for number in range(4)]
    assert judged([worse_alone, *others])[0].change is Change.SAME
    clear = row_of(RECALL, value_of(0.80, 5_000), value_of(0.70, 5_000))
    assert judged([clear, *others])[0].change is Change.WORSE


def test_campaigns_that_are_caught_whole_or_not_widen_the_interval(before: Results) -> None:
    tried, caught = 10, 7
    alike = [(f"c{number}", tried, caught) for number in range(30)]
    whole = [(f"c{number}", tried, tried if number < 21 else 0) for number in range(30)]
    widths = []
    for counts in (alike, whole):
        detection = replace(before.detection, recall=0.7, unasked=0)
        fraud = replace(before.fraud, campaign_counts=counts)
        found = clustered(replace(before, detection=detection, fraud=fraud))
        assert found is not None and found.low is not None and found.high is not None
        widths.append(found.high - found.low)
    low, high = wilson(210, 300) or (0.0, 0.0)
    assert widths[0] == pytest.approx(high - low, rel=0.06)
    assert widths[1] > 2.5 * widths[0]


def test_only_what_was_asked_for_is_judged(before: Results) -> None:
    bad = worse(before, 130)
    assert [row.figure.key for row in compare_runs(before, bad).regressions] == ["recall"]
    assert compare_runs(before, bad, ["coverage", "errors"]).regressions == []
    assert set(DEFAULT_GATES) < set(GATES)


def test_times_are_judged_only_where_the_generator_was_punctual(before: Results) -> None:
    def with_times(lag_ms: float, bank_ms: float) -> Results:
        rows = before.latency_ms
        rows = rows | {"lag": replace(rows["lag"], p99=lag_ms), "nexum": replace(rows["nexum"], p50=bank_ms)}
        ends = {"nexum": {"p50": (bank_ms - 1, bank_ms + 1), "p95": None, "p99": None}}
        return replace(before, latency_ms=rows, latency_intervals_ms=before.latency_intervals_ms | ends)

    quick, slow = with_times(3, 20), with_times(3, 60)
    assert [row.figure.key for row in compare_runs(quick, slow, ["latency"]).regressions] == ["nexum_p50"]
    late = compare_runs(quick, with_times(80, 60), ["latency"])
    assert late.regressions == []
    assert "The generator was late in run B" in " ".join(late.remarks)


def test_money_that_no_longer_agrees_is_a_regression(before: Results) -> None:
    found = before.reconciliation
    assert found is not None
    fine = replace(before, reconciliation=replace(found, differing=0, balanced=True))
    assert [row.figure.key for row in compare_runs(fine, before).regressions] == ["money"]


def test_a_jobs_summary_is_markdown(tmp_path: Path, before: Results) -> None:
    a, b = save(tmp_path / "a", before), save(tmp_path / "b", worse(before, 130))
    assert main(["compare", a, b, "--markdown", str(tmp_path / "c.md"), "--gate", "recall,coverage"]) == 0
    lines = (tmp_path / "c.md").read_text().splitlines()
    assert lines[0] == "**Worse by more than tolerance and chance: Recall.**"
    assert any(line.startswith("| Recall |") and "✗ worse" in line for line in lines)
    assert main(["compare", a, b, "--gate", "recal"]) == 2


def sampled(rng: random.Random, before: Results, recall: float) -> Results:
    """A run of 40 campaigns of 5 to 15 transactions; half of them are caught whole or not at all."""
    counts = []
    for number in range(40):
        tried = rng.randrange(5, 16)
        if number % 2:
            caught = tried if rng.random() < recall else 0
        else:
            caught = sum(rng.random() < recall for _ in range(tried))
        counts.append((f"{rng.random()}", tried, caught))
    frauds, hits = (sum(row[place] for row in counts) for place in (1, 2))
    found = before.detection
    confusion = replace(found.confusion, tp=hits, fn=frauds - hits)
    detection = replace(found, recall=hits / frauds, unasked=0, confusion=confusion)
    return replace(before, detection=detection, fraud=replace(before.fraud, campaign_counts=counts))


def test_two_runs_of_one_detector_seldom_regress_and_a_worse_one_does(before: Results) -> None:
    """At most 5 % of pairs whose seeds differ; 25 points less are found."""
    rng = random.Random(11)
    seeds = replace(before, run=replace(before.run, seed=43))
    alarms = sum(
        bool(compare_runs(sampled(rng, before, 0.7), sampled(rng, seeds, 0.7)).regressions)
        for _ in range(200)
    )
    assert alarms <= 10
    found = sum(
        bool(compare_runs(sampled(rng, before, 0.7), sampled(rng, seeds, 0.45)).regressions)
        for _ in range(50)
    )
    assert found >= 35
