"""Judging: what a threshold's figure is, when it fails, and what that is called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from banksim.measure import Measures, MeasureSettings, compare
from banksim.measure.figures import BalanceRow
from banksim.measure.results import encode
from banksim.measure.summary import build_results
from banksim.measure.thresholds.judge import Judge, Verdict, parse_thresholds, thresholds_of
from banksim.measure.thresholds.metrics import CATALOGUE, Bracket
from banksim.measure.thresholds.readings import STATISTICS, Figures
from banksim.model import At, BankStatus
from banksim.scenario import parse_scenario
from tests.unit.measure.make import ALERT, MISSING, PASSED, START, UNASKED, end, fraud, outcome, planned
from tests.unit.report.make import ASKED, RUN, busy_run

WALL_S = 20.0


def run_of(*pairs: tuple, offered: int | None = None) -> Measures:
    measures = Measures(MeasureSettings())
    measures.offered(START, len(pairs) if offered is None else offered)
    for plan, answer in pairs:
        measures.started(START)
        end(measures, plan, answer, At(1.0, plan.sim_s))
    return measures


def judged(measures: Measures, *texts: str) -> list[Verdict]:
    return Judge(parse_thresholds(texts, None)).verdicts(Figures(measures, WALL_S))


def value(measures: Measures, text: str) -> float | None:
    return judged(measures, text)[0].value


#: Frauds of ten campaigns, one each: none tells of another.
NINE_OF_TEN = run_of(
    *[(fraud(campaign=f"c{n}"), ALERT) for n in range(9)],
    (fraud(campaign="c9"), PASSED),
    *[(planned(), PASSED)] * 99,
    (planned(), ALERT),
)


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("recall >= 90%", True),
        ("recall > 90%", False),
        ("recall <= 90%", True),
        ("recall < 90%", False),
        ("recall == 90%", True),
        ("recall != 90%", False),
        ("recall >= 90.1%", False),
    ],
)
def test_the_bound_itself(text: str, passed: bool) -> None:
    assert judged(NINE_OF_TEN, text)[0].passed is passed


def test_figures_are_those_of_the_results() -> None:
    measures = busy_run()
    measures.balance_checks.readings = 10
    for _ in range(2):
        measures.balance_checks.violation(BalanceRow("a", 1, 1, 2, 1, "unexplained"))
    measures.books.open("a", 5)
    measures.books.open("b", 5)
    measures.reconciliation = compare(measures.books, {"a": 4})
    results = encode(build_results(replace(RUN, wall_s=WALL_S), measures, ASKED))
    found, latency, rate = results["detection"], results["latency_ms"], results["rate"]
    typologies = results["fraud"]["by_typology"]
    tally = measures.tally
    expected = {
        "recall >= 0": found["recall"],
        "recall[app_scam] >= 0": typologies["app_scam"]["recall"],
        "campaign_recall >= 0": found["campaign_recall"],
        "precision >= 0": found["precision"],
        "precision_adjusted >= 0": found["precision_adjusted"],
        "fpr >= 0": found["false_positive_rate"],
        "fp_per_10000 >= 0": found["false_positives_per_10000"],
        "alert_rate >= 0": found["alert_rate"],
        "coverage >= 0": found["coverage"],
        "value_detection_rate >= 0": found["value_detection_rate"],
        "f1 >= 0": found["f1"],
        "mcc >= 0": found["mcc"],
        "average_precision >= 0": found["average_precision"],
        "roc_auc >= 0": found["roc_auc"],
        "fraud_transactions >= 0": results["fraud"]["transactions"],
        "fraud_transactions[app_scam] >= 0": typologies["app_scam"]["transactions"],
        "errors >= 0": results["transactions"]["error_share"],
        "errors[nexum] >= 0": sum(r.failed for r in measures.calls.rows() if r.target == "nexum")
        / latency["nexum"]["count"],
        "refusals >= 0": tally.refused / tally.started,
        "failed >= 0": tally.failed,
        "unknown >= 0": tally.unknown,
        "balance_violations >= 0": 2,
        "balance_differences >= 0": 1,
        "balances_unread >= 0": len(measures.books.opening) - 1,
        "drops >= 0": tally.dropped,
        "achieved_rate >= 0": rate["achieved_share"],
        "transactions >= 0": tally.started,
        "tps >= 0": rate["achieved_tps"],
        "offered_tps >= 0": rate["offered_tps"],
        "peak_tps >= 0": rate["peak_tps"],
    }
    for series, name in (
        ("response", "response_time"),
        ("service", "service_time"),
        ("lag", "lag"),
        ("nexum", "latency[nexum]"),
        ("bastion", "latency[bastion]"),
    ):
        expected |= {
            f"{name}.{statistic} >= 0ms": latency[series][statistic]
            for statistic in STATISTICS
            if statistic != "p90"
        }
    assert {text: value(measures, text) for text in expected} == expected
    assert all(figure is not None for figure in expected.values())
    named = {text.split("[")[0].split(".")[0].split(" ")[0] for text in expected}
    elsewhere = {"completion", "within", "growth", "resent"}  # test_growth.py
    assert named | elsewhere == {metric.name for metric in CATALOGUE}  # none left out


def test_what_was_never_measured_is_a_failure_in_words() -> None:
    empty = Measures(MeasureSettings())
    counts = {"transactions", "fraud_transactions"}
    for metric in CATALOGUE:
        label = {Bracket.SYSTEM: "[nexum]", Bracket.LENGTH: "[10s]"}.get(metric.bracket, "")
        dot, unit = ".p99" if metric.statistics else "", "ms" if metric.unit.name == "time" else ""
        (verdict,) = Judge(parse_thresholds([f"{metric.name}{label}{dot} >= 0{unit}"])).verdicts(
            Figures(empty, 0.0)
        )
        assert verdict.passed is (metric.name in counts), metric.name
        if metric.name not in counts:
            assert verdict.value is None
            assert verdict.measured == "n/a"
            assert verdict.reason.startswith("no data: ")
            assert "{" not in verdict.reason


def test_no_data_names_what_is_missing() -> None:
    measures = run_of((fraud(), UNASKED), (planned(), PASSED))
    assert judged(measures, "recall >= 0")[0].reason == "no data: the detector judged no fraud"
    verdict = judged(measures, "recall[mule_network] >= 0")[0]
    assert verdict.reason == "no data: the detector judged no mule_network"
    assert judged(measures, "errors[bastion] <= 0")[0].reason == "no data: no call to bastion was made"


def test_missing_answers_lower_recall() -> None:
    assert value(run_of((fraud(), ALERT), (fraud(), MISSING)), "recall >= 0") == 0.5


def test_errors_are_failed_and_unknown_together() -> None:
    failed, unknown = outcome(status=BankStatus.FAILED), outcome(status=BankStatus.UNKNOWN)
    refused = outcome(status=BankStatus.REFUSED)
    measures = run_of(*[(planned(), answer) for answer in (failed, unknown, refused, PASSED)])
    assert value(measures, "errors <= 50%") == 0.5
    assert value(measures, "refusals <= 50%") == 0.25


def test_few_transactions_show_their_interval_and_many_do_not() -> None:
    verdict = judged(NINE_OF_TEN, "recall >= 95%")[0]
    assert verdict.measured == "90% (95% interval 52.3% to 98.7%, n = 10)"
    assert verdict.reason == f"measured {verdict.measured}, expected at least 95%"
    assert judged(NINE_OF_TEN, "fpr <= 2%")[0].measured == "1%"
    assert judged(NINE_OF_TEN, "f1 >= 0.1")[0].measured == "0.9 (n = 10)"


def test_rounding_never_moves_a_figure_to_the_other_side() -> None:
    measures = run_of(*[(fraud(), ALERT)] * 8996, *[(fraud(), PASSED)] * 1004)
    assert judged(measures, "recall >= 90%")[0].measured == "89.96%"
    nearly = run_of(*[(fraud(), ALERT)] * 9999, (fraud(), PASSED))
    assert judged(nearly, "recall >= 90%")[0].measured == "99.99%"


def test_times_are_shown_in_milliseconds_and_long_ones_in_seconds() -> None:
    measures = run_of((planned(), outcome(lag_ms=0.0, service_ms=12_345.0)), (planned(), outcome(lag_ms=0.2)))
    assert judged(measures, "service_time.max < 1s")[0].measured == "12.3s"
    assert judged(measures, "lag.max < 1s")[0].measured == "0.2ms"


class Clock:
    """Drives a judge a second at a time; ``good`` decides whether `errors < 50%` holds."""

    def __init__(self, text: str) -> None:
        self.judge = Judge(parse_thresholds([text]))
        self.second = 0

    def see(self, *good: bool) -> Verdict | None:
        ended = None
        for holds in good:
            self.second += 1
            answer = PASSED if holds else outcome(status=BankStatus.FAILED)
            self.last = Figures(run_of((planned(), answer)), float(self.second))
            ended = self.judge.watch(self.last, 1.0) or ended
        return ended

    def end(self) -> Verdict:
        return self.judge.verdicts(self.last)[0]


def test_for_counts_a_breach_only_when_it_lasts() -> None:
    clock = Clock("errors < 50% for 3s")
    assert clock.see(True, False, False, False, True) is None
    assert clock.end().passed
    assert clock.see(False, False, False, False) is None  # seen at 0, 1, 2, 3 s
    verdict = clock.end()
    assert not verdict.passed
    assert "for 3 s, 9 s into the run" in verdict.reason
    assert clock.see(True) is None
    assert not clock.end().passed  # it stays failed


def test_a_breach_at_the_end_that_was_short_passes_and_is_told() -> None:
    clock = Clock("errors < 50% for 3s")
    clock.see(True, False)
    assert clock.end().passed
    assert "breached at the end, but for less than 3 s" in clock.end().reason


def test_a_run_shorter_than_for_that_was_never_good_fails() -> None:
    clock = Clock("errors < 50% for 30s")
    clock.see(False, False)
    verdict = clock.end()
    assert not verdict.passed
    assert verdict.reason.endswith("it did not hold once")


def test_abort_ends_the_run_at_the_first_breach() -> None:
    clock = Clock("errors < 50% abort")
    assert clock.see(True) is None
    ended = clock.see(False)
    assert ended is not None
    assert ended.reason.endswith("that ended the run")
    clock.see(True)
    assert clock.end() == ended


def test_abort_with_for_waits() -> None:
    clock = Clock("errors < 50% for 2s abort")
    assert clock.see(False, False, True, False, False) is None
    assert clock.see(False) is not None


def test_abort_waits_for_data_and_is_judged_at_the_end_too() -> None:
    judge = Judge(parse_thresholds(["recall >= 90% abort"]))
    nothing = Figures(run_of((planned(), PASSED)), 1.0)
    assert judge.watch(nothing, 1.0) is None
    assert not judge.verdicts(nothing)[0].passed


def test_only_for_and_abort_need_watching() -> None:
    assert not Judge(parse_thresholds(["recall >= 90%", "drops == 0"])).live
    assert Judge(parse_thresholds(["recall >= 90%", "drops == 0 for 1s"])).live
    assert not Judge([]).live


def test_a_row_holds_what_the_report_shows() -> None:
    (verdict,) = judged(NINE_OF_TEN, "fpr <= 0.5%")
    assert encode(verdict.as_row()) == {
        "expression": "fpr <= 0.5%",
        "metric": "fpr",
        "value": 0.01,
        "measured": "1%",
        "bound": "at most 0.5%",
        "passed": False,
        "reason": "measured 1%, expected at most 0.5%",
    }


def test_thresholds_of_a_scenario_may_name_a_plugin_s_typology_only_with_plugins() -> None:
    text = (
        "name: x\nduration_hours: 1\ntransaction_rate: {peak_tps: 1, off_peak_tps: 1}\n"
        "thresholds: ['recall[house_special] >= 50%']\n"
    )
    assert thresholds_of(parse_scenario(text + "plugins: [mine.py]\n"))[0].label == "house_special"
    with pytest.raises(Exception, match=r"unknown typology 'house_special'.*\(x.yaml\)"):
        thresholds_of(parse_scenario(text), "x.yaml")
