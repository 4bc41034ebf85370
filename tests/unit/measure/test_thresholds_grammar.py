"""Thresholds as people write them, rightly and wrongly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure.thresholds.judge import COMPARISONS, MAX_THRESHOLDS, parse_threshold, parse_thresholds
from banksim.measure.thresholds.readings import ThresholdProblem
from banksim.model import ExitCode, ScenarioError


@pytest.mark.parametrize(
    ("text", "expression", "bound"),
    [
        ("recall >= 90%", "recall >= 90%", 0.9),
        ("recall[card_testing] >= 0.95", "recall[card_testing] >= 0.95", 0.95),
        ("recall[ small_probes ]>=.5", "recall[card_testing] >= .5", 0.5),  # another word for it
        ("fpr <= 1%", "fpr <= 1%", 0.01),
        ("false_positive_rate <= 1%", "fpr <= 1%", 0.01),
        ("latency[bastion].p95 < 150ms", "latency[bastion].p95 < 150ms", 150.0),
        ("response_time.p99 < 400 ms", "response_time.p99 < 400ms", 400.0),
        ("response_time.mean < 1.5s", "response_time.mean < 1.5s", 1500.0),
        ("lag.p999 < 800us", "lag.p999 < 800us", 0.8),
        ("lag.max < 800µs", "lag.max < 800µs", 0.8),
        ("service_time.p50<1min", "service_time.p50 < 1min", 60_000.0),
        ("errors < 0.1%", "errors < 0.1%", 0.001),
        ("errors[nexum] < 0.1%", "errors[nexum] < 0.1%", 0.001),
        ("achieved_rate >= 99%", "achieved_rate >= 99%", 0.99),
        ("drops == 0", "drops == 0", 0.0),
        ("transactions != 0", "transactions != 0", 0.0),
        ("tps >= 50/s", "tps >= 50/s", 50.0),
        ("mcc > -0.5", "mcc > -0.5", -0.5),
        ("  fp_per_10000 <= 12.5  ", "fp_per_10000 <= 12.5", 12.5),
    ],
)
def test_what_can_be_said(text: str, expression: str, bound: float) -> None:
    threshold = parse_threshold(text)
    assert (threshold.expression, threshold.bound) == (expression, bound)
    assert not threshold.live
    assert parse_threshold(expression) == threshold  # what is shown can be typed again


@pytest.mark.parametrize(
    ("text", "for_s", "abort"),
    [
        ("errors < 5% for 30s", 30.0, False),
        ("errors < 5% for 1.5min", 90.0, False),
        ("errors < 5% abort", None, True),
        ("errors < 5% for 2h abort", 7200.0, True),
        ("errors < 5% abort for 500ms", 0.5, True),
        ("drops == 0 for 5 s", 5.0, False),
        ("transactions <= 100000 abort", None, True),
    ],
)
def test_for_and_abort(text: str, for_s: float | None, abort: bool) -> None:
    threshold = parse_threshold(text)
    assert (threshold.for_s, threshold.abort, threshold.live) == (for_s, abort, True)
    assert parse_threshold(threshold.expression) == threshold


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected the name of a metric"),
        ("recal >= 90%", "did you mean recall?"),
        ("p99 < 3ms", "did you mean response_time.p99?"),
        ("error_rate < 3%", "did you mean errors?"),
        ("net >= 3", "known: recall, campaign_recall"),
        ("recall >= 101%", "101%: more than there can be"),
        ("recall >= 90", "did you mean 90%?"),
        ("recall >= -1%", "-1%: less than there can be"),
        ("recall > 100%", "can never hold"),
        ("errors < 0%", "can never hold"),
        ("drops < 0", "can never hold"),
        ("recall", "expected a comparison"),
        ("recall = 3%", "did you mean ==?"),
        ("recall => 3%", "did you mean >=?"),
        ("recall <=> 3%", "unknown comparison"),
        ("recall >=", "got nothing"),
        ("recall >= nan", "got 'nan'"),
        ("recall >= high", "got 'high'"),
        ("recall >= 90ms", "expected a share"),
        ("response_time < 3ms", "which figure of it? response_time.p50"),
        ("response_time. < 3ms", "unknown figure"),
        ("response_time.p98 < 3ms", "unknown figure response_time.p98; known: response_time.p50"),
        ("response_time.p99 < 3", "a time with its unit"),
        ("latency.p95 < 3ms", "of which system?"),
        ("latency[bast].p95 < 3ms", "did you mean bastion?"),
        ("latency[card_testing].p95 < 3ms", "unknown system"),
        ("fpr[card_testing] < 1%", "takes nothing in brackets"),
        ("recall.p95 > 3%", "is one figure"),
        ("recall[card_tasting] > 3%", "did you mean card_testing?"),
        ("recall[] > 3%", "unknown typology ''"),
        ("recall[card_testing > 3%", "expected a comparison"),
        ("drops == 0.5", "a whole number"),
        ("drops == 0 sometimes", "expected a whole number"),
        ("drops == 0 for", "expected a length with its unit"),
        ("drops == 0 for 30", "expected a length with its unit"),
        ("drops == 0 for 0s", "expected a length above 0"),
        ("drops == 0 for -3s", "less than there can be"),
        ("drops == 0 abort abort", "expected nothing more"),
        ("drops == 0 for 3s for 4s", "expected nothing more"),
        ("recall >= 90% and fpr <= 1%", "expected nothing more"),
        ("recall >= 90%; drops == 0", "expected nothing more"),
        ("transactions >= 100 abort", "can only be judged at the end"),
        ("fraud_transactions > 3 for 5s", "can only be judged at the end"),
        ("x" * 201, "at most 200 characters"),
    ],
)
def test_what_is_refused_and_in_which_words(text: str, told: str) -> None:
    with pytest.raises(ThresholdProblem) as caught:
        parse_threshold(text)
    assert told in str(caught.value)


def test_all_mistakes_are_told_at_once_as_a_usage_error() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_thresholds(["recal >= 90%", "fpr <= 1%", "drops <"])
    assert caught.value.exit_code is ExitCode.USAGE
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "threshold 'recal >= 90%'",
        "threshold 'drops <'",
    ]


def test_the_same_condition_twice_counts_once() -> None:
    assert len(parse_thresholds(["recall >= 90%", "recall>=90%", "recall >= 80%"])) == 2


def test_there_is_a_most() -> None:
    with pytest.raises(ScenarioError, match="at most 200"):
        parse_thresholds(["drops == 0"] * (MAX_THRESHOLDS + 1))


def test_with_plugins_any_typology_may_be_named() -> None:
    assert parse_thresholds(["recall[house_special] >= 90%"], None)[0].label == "house_special"
    with pytest.raises(ScenarioError):
        parse_thresholds(["recall[house_special] >= 90%"], ["card_testing"])


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"recall\[?.{0,6}\]? ?[<>=!]{1,2} ?.{0,12}", fullmatch=True))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        threshold = parse_threshold(text)
    except ThresholdProblem as problem:
        assert str(problem)
    else:
        assert parse_threshold(threshold.expression) == threshold


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(sorted(COMPARISONS)))
def test_percentages_are_exact(tenths: int, comparison: str) -> None:
    text = f"recall {comparison} {tenths / 10:.1f}%"
    if (tenths, comparison) in ((0, "<"), (1000, ">")):
        return
    threshold = parse_threshold(text)
    assert threshold.bound == tenths / 1000  # the float that counting gives, not one beside it
    assert threshold.holds(tenths / 1000) is (comparison in (">=", "<=", "=="))
