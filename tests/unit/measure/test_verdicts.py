"""The verdict: each word at its limits, the overall word, and the exit code that follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from banksim.measure import Measures
from banksim.measure.counts import NotOpened
from banksim.measure.figures import (
    BalanceTotal,
    Confusion,
    DetectionFigures,
    GeneratorUse,
    Invariant,
    Percentiles,
    Rate,
    Reconciliation,
    ResponseParts,
    Transactions,
)
from banksim.measure.results import (
    CapacityFigures,
    CapacityStep,
    Planned,
    Results,
    RunInfo,
    ScenarioInfo,
    ThresholdRow,
    Word,
    WorkerRow,
)
from banksim.measure.scores import FEW, enough, wilson
from banksim.measure.story import caveats
from banksim.measure.summary import Asked, build_results, live
from banksim.measure.tiles import funnel, tiles
from banksim.measure.trends import GrowthFigures
from banksim.measure.verdicts import Evidence, exit_code, judge
from banksim.model import At, ExitCode
from banksim.scenario.models import Goals
from tests.unit.measure.make import (
    ALERT,
    MISSING,
    PASSED,
    START,
    UNASKED,
    call,
    end,
    fraud,
    outcome,
    planned,
)

RUN = RunInfo("r1", ScenarioInfo("made"), "live", "USD", wall_s=100.0, simulated_s=3_600.0, end="completed")
PLAN = Planned(transactions=10_000, duration_s=3_600.0)


def transactions(offered: int = 10_000, dropped: int = 0, failed: int = 0, unknown: int = 0) -> Transactions:
    sent = offered - dropped
    share = (failed + unknown) / sent if sent else None
    completed = sent - failed - unknown
    return Transactions(offered, sent, completed, 0, failed, unknown, dropped, 0, {}, share)


def times(p99_ms: float) -> Percentiles:
    return Percentiles(10_000, p99_ms / 3, p99_ms / 3, p99_ms / 2, p99_ms, p99_ms, p99_ms)


def detection(
    frauds: int = 100, caught: int = 90, scored: int = 10_000, missing: int = 0
) -> DetectionFigures:
    measures = Measures()
    found = live(measures, 0.0, Asked(Goals())).detection
    low, high = wilson(caught, frauds) or (None, None)
    return replace(
        found,
        recall=caught / frauds if frauds and scored else None,
        recall_low=low,
        recall_high=high,
        coverage=scored / (scored + missing) if scored + missing else None,
        scored=scored,
        missing=missing,
        confusion=Confusion(caught, 0, scored + missing - frauds, frauds - caught),
    )


def balances(**changes: Any) -> Reconciliation:
    total = BalanceTotal(0, 0, 0)
    found = Reconciliation("balanced", "", True, 500, 0, 0, 0, 0, {}, total, [], 0)
    return replace(found, **changes)


DIFFERENT = balances(verdict="differences", balanced=False, differing=3, difference_cents=-4_200)
UNREAD = balances(
    verdict="partly checked", balanced=None, unread=2, reason="2 accounts could not be read: timeout"
)


def evidence(
    sent: Transactions | None = None, lag_ms: float = 3.0, bank_ms: float = 57.0, **changes: Any
) -> Evidence:
    """A run in which all is well, but for what is given."""
    counts = sent if sent is not None else transactions()
    share = counts.sent / counts.offered if counts.offered else None
    made = Evidence(
        goals=Goals(),
        planned=PLAN,
        transactions=counts,
        rate=Rate(100.0, 100.0, 120.0, 1.0, share),
        detection=detection(),
        latency_ms={"lag": times(lag_ms), "nexum": times(bank_ms), "response": times(90.0)},
        response_parts={"p99": ResponseParts(lag_ms, bank_ms, None)},
        reconciliation=balances(),
        run=RUN,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def word(subject: str, found: Evidence) -> Word:
    return next(one for one in judge(found).words if one.subject == subject)


def threshold(passed: bool, expression: str = "recall >= 80%") -> ThresholdRow:
    return ThresholdRow(expression, expression.split()[0], 0.7, "70%", "at least 80%", passed, "")


# -- the four words --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "sent", "lag_ms"),
    [
        ("pass", transactions(), 49.9),
        ("pass", transactions(dropped=10), 3),  # 0.1 %
        ("warn", transactions(dropped=11), 3),
        ("warn", transactions(dropped=101), 3),  # less than 99 % sent
        ("warn", transactions(dropped=500), 3),  # 95 % sent
        ("fail", transactions(dropped=501), 3),
        ("warn", transactions(), 50),
        ("warn", transactions(), 499),
        ("fail", transactions(), 500),
        ("none", transactions(offered=0), 0),
    ],
)
def test_load_is_sent_dropped_and_the_start_lag(kind: str, sent: Transactions, lag_ms: float) -> None:
    assert word("Load", evidence(sent, lag_ms)).kind == kind


def test_what_was_sent_and_never_counted_fails_the_load() -> None:
    some_missing = replace(transactions(), in_flight=3)
    found = word("Load", evidence(some_missing))
    assert (found.kind, found.word) == ("fail", "miscounted")
    assert "3 were sent and never counted" in found.sentence
    assert word("Load", evidence(replace(some_missing, in_flight=-1))).kind == "fail"
    assert word("Load", evidence(some_missing, run=None)).kind == "pass"  # they may still end
    waiting = replace(transactions(offered=51), sent=49, completed=49, in_flight=2)
    assert word("Load", evidence(waiting, run=None)).kind == "pass"  # and may still be sent
    lost = WorkerRow(1, "host", 7, "lost", "", 0.0, 1, 2.0, 40.0, 3)
    known = replace(RUN, workers=[lost])
    assert word("Load", evidence(some_missing, run=known)).word == "workers lost"  # it is told so already


@pytest.mark.parametrize(
    ("failed", "joining_failed", "kind"),
    [(0, 0, "pass"), (1, 0, "warn"), (0, 1, "warn"), (10, 0, "warn"), (11, 0, "fail"), (0, 11, "fail")],
)
def test_customers_that_could_not_be_opened_are_the_banks_word(
    failed: int, joining_failed: int, kind: str
) -> None:
    closed = NotOpened(1_000 - joining_failed, failed, "POST /customers: 503") if failed else None
    onboarding = {"joined": 989, "rejected": 0, "failed": joining_failed} if joining_failed else None
    found = evidence(run=replace(RUN, not_opened=closed, onboarding=onboarding))
    judged = word("Bank", found)
    assert judged.kind == kind
    said = " ".join(caveats(found, live(Measures(), 0.0, Asked(Goals())).fraud, Measures()))
    assert ("could not be opened" in judged.sentence) == ("could not be opened" in said) == (kind != "pass")
    if failed:
        assert f"{failed} of 1\u202f000 customers could not be opened (POST" in judged.sentence
    assert (judge(found).overall == "FAILED") == (kind == "fail")


def test_a_search_is_not_judged_by_its_limit_when_the_machine_ran_out_or_counts_do_not_add_up() -> None:
    searched = replace(RUN, capacity=CapacityFigures(100.0, 200.0, True, 5.0, [], []))
    sent = replace(transactions(dropped=5), drop_reasons={"this machine is out of ports": 5})
    assert word("Load", evidence(sent, run=searched)).word == "out of ports"
    assert word("Load", evidence(replace(transactions(), in_flight=3), run=searched)).word == "miscounted"


def test_a_generator_out_of_its_own_resources_fails_the_load() -> None:
    busy = GeneratorUse(100, 60, 80.0, 100.0, 1e8, 1e6)
    assert word("Load", evidence(lag_ms=60, generator=busy)).word == "out of CPU"
    assert word("Load", evidence(lag_ms=3, generator=busy)).kind == "pass"  # it was busy and kept up
    sent = replace(transactions(dropped=5), drop_reasons={"this machine is out of file descriptors": 5})
    found = word("Load", evidence(sent))
    assert (found.kind, found.word) == ("fail", "out of file descriptors")


@pytest.mark.parametrize(
    ("kind", "sent", "bank_ms"),
    [
        ("pass", transactions(failed=10), 1_000),
        ("warn", transactions(failed=11), 57),
        ("warn", transactions(failed=60, unknown=40), 57),  # 1 %
        ("fail", transactions(failed=61, unknown=40), 57),
        ("warn", transactions(), 1_001),
        ("warn", transactions(), 2_000),
        ("fail", transactions(), 2_001),
        ("none", transactions(offered=0), 0),
    ],
)
def test_the_bank_is_its_errors_and_the_time_of_its_own_calls(
    kind: str, sent: Transactions, bank_ms: float
) -> None:
    assert word("Bank", evidence(sent, bank_ms=bank_ms)).kind == kind


def test_the_bank_is_not_blamed_for_the_generator_or_the_detector() -> None:
    frozen = evidence(lag_ms=18_000)
    frozen.latency_ms["response"] = times(18_100)
    assert (word("Load", frozen).kind, word("Bank", frozen).kind) == ("fail", "pass")
    hung = evidence(detection=detection(scored=4_000, missing=6_000))
    hung.latency_ms |= {"bastion": times(2_000), "response": times(2_100)}
    assert (word("Bank", hung).kind, word("Detector", hung).kind) == ("pass", "fail")


def test_without_a_bank_nothing_is_said_of_it() -> None:
    alone = evidence()
    del alone.latency_ms["nexum"]
    assert word("Bank", alone).kind == "none"


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("pass", balances()),
        ("warn", balances(tolerated=4)),
        ("warn", UNREAD),
        ("fail", DIFFERENT),
        ("none", balances(balanced=None, reason="the run had no bank")),
        ("none", None),
    ],
)
def test_money_is_the_balances(kind: str, found: Reconciliation | None) -> None:
    assert word("Money", evidence(reconciliation=found)).kind == kind


def test_money_says_why_it_was_not_compared_and_what_a_difference_is() -> None:
    none = balances(balanced=None, reason="the run had no bank")
    assert word("Money", evidence(reconciliation=none)).sentence == "The run had no bank."
    assert "3 of 500 accounts differ" in word("Money", evidence(reconciliation=DIFFERENT)).sentence


def test_a_balance_that_was_wrong_during_the_run_counts_too() -> None:
    violated = Invariant(9, 90, 0, 0, 2, None, [])
    assert word("Money", evidence(invariant=violated)).kind == "fail"
    assert word("Money", evidence(invariant=violated, run=None, reconciliation=None)).kind == "fail"


def test_a_scenario_may_lower_money_to_a_warning() -> None:
    found = evidence(reconciliation=DIFFERENT, goals=Goals(money="warn"))
    assert word("Money", found).kind == "warn"
    assert judge(found).overall == "PASSED"


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("pass", detection(scored=9_900, missing=100)),
        ("warn", detection(scored=9_899, missing=101)),
        ("warn", detection(scored=9_500, missing=500)),
        ("fail", detection(scored=9_499, missing=501)),
        ("warn", detection(frauds=29, caught=20)),  # fewer frauds than can be judged
        ("pass", detection(frauds=30, caught=20)),
        ("none", detection(frauds=0, caught=0, scored=0)),
    ],
)
def test_the_detector_is_coverage_first(kind: str, found: DetectionFigures) -> None:
    assert word("Detector", evidence(detection=found)).kind == kind


def test_a_failed_threshold_on_detection_fails_the_detector() -> None:
    assert word("Detector", evidence(thresholds=[threshold(False)])).kind == "fail"
    assert word("Detector", evidence(thresholds=[threshold(False, "errors < 1%")])).kind == "pass"
    slow = evidence()
    slow.latency_ms["bastion"] = times(1_001)
    assert word("Detector", slow).word == "slow"


def test_nothing_scored_is_never_a_recall_of_zero() -> None:
    measures = Measures()
    for _ in range(40):
        measures.offered(START)
        measures.started(START)
        end(measures, fraud(), MISSING)
        call(measures, "bastion", "POST /score", 4.0, "no usable answer")
    for results in (
        build_results(RUN, measures, Asked(Goals())),
        build_results(RUN, measures, Asked(Goals()), partial=True),
    ):
        found = results.detection
        assert (found.scored, found.missing, found.coverage) == (0, 40, 0.0)
        assert found.recall is None and found.campaign_recall is None and found.alert_rate is None
        assert results.fraud.by_typology["card_testing"].recall is None
        assert results.detection_by["persona"]["salaried"].recall is None
        detector = results.verdict.words[3]
        assert (detector.kind, detector.word) == ("fail", "nothing scored")
        recall = next(tile for tile in results.tiles if tile.key == "recall")
        assert (recall.value, recall.note) == ("n/a", "nothing was scored")
        assert next(step for step in results.funnel if step.key == "scored").value == "0"
        assert any(line.startswith("Nothing was scored") for line in results.limits)


# -- how much is enough ----------------------------------------------------------------------------


def test_few_events_are_not_judged_unless_they_are_bad_beyond_chance() -> None:
    assert not enough(FEW - 1) and enough(FEW)
    few = evidence(transactions(offered=20))
    assert word("Load", few).word == "too few to judge (20 of 10\u202f000)"
    assert word("Bank", few).kind == "warn"
    assert word("Bank", evidence(transactions(offered=20), run=None)).kind == "none"
    assert word("Bank", evidence(transactions(offered=20, failed=20))).kind == "fail"


def test_tiles_and_words_say_the_same_of_few_frauds() -> None:
    found = evidence(detection=detection(frauds=3, caught=2, scored=37))
    recall = next(tile for tile in tiles(found) if tile.key == "recall")
    assert recall.word == word("Detector", found).word == "too few to judge (3 of 37)"
    assert recall.kind == "none"


def test_a_threshold_is_what_a_tile_is_held_against() -> None:
    by_key = {tile.key: tile for tile in tiles(evidence(thresholds=[threshold(False)]))}
    assert (by_key["recall"].kind, by_key["recall"].goal) == ("fail", "recall >= 80%")
    assert by_key["rate"].goal == "at least 99.0\u202f%"
    part = threshold(False, "recall[card_testing] >= 80%")
    assert next(tile for tile in tiles(evidence(thresholds=[part])) if tile.key == "recall").kind == "none"


def test_response_time_is_shown_with_its_three_parts_and_its_largest() -> None:
    found = evidence(lag_ms=2_000, bank_ms=500)
    tile = next(tile for tile in tiles(found) if tile.key == "response")
    assert tile.word == "mostly own queue"
    assert tile.note == "own queue 2\u202f000\u202fms, bank 500\u202fms, detector n/a"


# -- the whole -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overall", "found"),
    [
        ("PASSED", evidence()),
        ("PASSED", evidence(thresholds=[threshold(True)])),
        ("FAILED", evidence(thresholds=[threshold(True), threshold(False)])),
        ("FAILED", evidence(bank_ms=3_000)),
        ("FAILED", evidence(reconciliation=DIFFERENT)),
        ("FAILED", evidence(run=replace(RUN, end="aborted"))),
        ("FAILED", evidence(run=replace(RUN, end="failed"))),
        ("FAILED", evidence(run=replace(RUN, end="interrupted", simulated_s=288.0), bank_ms=3_000)),
        ("STOPPED at 8.00\u202f%", evidence(run=replace(RUN, end="interrupted", simulated_s=288.0))),
        ("STOPPED at 50.0\u202f%", evidence(run=replace(RUN, end="stopped", simulated_s=1_800.0))),
        ("NOT JUDGED", evidence(transactions(offered=0))),
        ("NOT JUDGED", evidence(transactions(offered=0), run=replace(RUN, end="interrupted"))),
        ("RUNNING", evidence(run=None)),
    ],
)
def test_the_overall_word(overall: str, found: Evidence) -> None:
    assert judge(found).overall == overall


def test_the_overall_sentence_names_the_reasons() -> None:
    run = replace(RUN, end="interrupted", simulated_s=288.0)
    found = evidence(run=run, thresholds=[threshold(True, "drops == 0"), threshold(False)], bank_ms=3_000)
    assert judge(found).sentence == (
        "1 of 2 thresholds failed (recall >= 80%, measured 70%); Bank: too slow; "
        "interrupted at 8.00\u202f% of the simulated time."
    )
    assert judge(evidence(lag_ms=60)).sentence == "No threshold was set; Load: late."


def results_of(end_: str, found: Evidence) -> Results:
    made = build_results(replace(RUN, end=end_), Measures(), Asked(Goals(), planned=PLAN))
    return replace(made, verdict=judge(found), thresholds=found.thresholds)


@pytest.mark.parametrize(
    ("code", "end_", "found"),
    [
        (ExitCode.COMPLETED, "completed", evidence()),
        (ExitCode.COMPLETED, "stopped", evidence()),
        (ExitCode.THRESHOLD_FAILED, "completed", evidence(thresholds=[threshold(False)])),
        (ExitCode.THRESHOLD_FAILED, "stopped", evidence(reconciliation=DIFFERENT)),
        (ExitCode.COMPLETED, "completed", evidence(reconciliation=DIFFERENT, goals=Goals(money="warn"))),
        (ExitCode.THRESHOLD_FAILED, "aborted", evidence()),
        (ExitCode.INTERRUPTED, "interrupted", evidence(thresholds=[threshold(False)])),
        (ExitCode.ERROR, "failed", evidence()),
        (ExitCode.ERROR, "stopped", evidence(transactions(offered=0))),
        (ExitCode.ERROR, "completed", evidence(transactions(offered=0))),
    ],
)
def test_the_exit_code(code: ExitCode, end_: str, found: Evidence) -> None:
    found.run = replace(found.run or RUN, end=end_)
    assert exit_code(end_, results_of(end_, found)) is code


def test_a_run_that_ended_before_its_time_began_is_an_error_and_never_zero() -> None:
    assert exit_code("stopped", None) is ExitCode.ERROR
    assert exit_code(None, None) is ExitCode.ERROR
    assert exit_code("interrupted", None) is ExitCode.INTERRUPTED


# -- a search for capacity, workers, an empty run --------------------------------------------------

STEP = CapacityStep(247.0, 247.0, 247.0, 5, 9, 20, 0, 0, 0.8, 0.7, 0.9, 0.01, 1.0, 50, True, "")
FAILED_STEP = replace(STEP, tps=253.0, held=False, reason="response_time.p99 < 500ms: measured 870ms")


@pytest.mark.parametrize(
    ("kind", "name", "changes"),
    [
        ("pass", "limit 247\u202ftx/s", {}),
        ("warn", "limit 247\u202ftx/s", {"finished": False}),
        ("warn", "no limit met", {"failed_tps": None}),
        ("fail", "nothing held", {"found_tps": None}),
    ],
)
def test_a_search_is_judged_by_its_limit(kind: str, name: str, changes: dict[str, Any]) -> None:
    found = CapacityFigures(247.0, 253.0, True, 20.0, ["response_time.p99 < 500ms"], [STEP, FAILED_STEP])
    run = replace(RUN, capacity=replace(found, **changes))
    overloaded = evidence(transactions(dropped=3_000), bank_ms=9_000, lag_ms=900, run=run)
    load, bank = word("Load", overloaded), word("Bank", overloaded)
    assert (load.kind, load.word) == (kind, name)
    assert bank.kind == "none" and "past the limit" in bank.sentence
    if not changes:
        assert "253\u202ftx/s did not: response_time.p99 < 500ms: measured 870ms" in load.sentence


def test_a_search_at_a_bank_that_grows_is_not_the_last_word() -> None:
    found = CapacityFigures(247.0, 253.0, True, 20.0, [], [STEP, FAILED_STEP])
    grows = GrowthFigures(20.0, 15.0, 25.0, 10.0, 50.0, 4_000, True)
    measures = Measures()
    for capacity, trend, told in (
        (found, grows, 1),
        (found, replace(grows, grows=False), 0),
        (None, grows, 0),
    ):
        run = replace(RUN, capacity=capacity)
        judged = replace(evidence(run=run), growth={"nexum": trend})
        said = caveats(judged, build_results(run, measures, Asked(Goals())).fraud, measures)
        assert sum("when as young as this" in sentence for sentence in said) == told


def test_lost_workers_are_no_kept_up_load() -> None:
    whole = WorkerRow(0, "here", 7, "final", False, 0.0, 0, 0.0, 0.0, 0)
    lost = replace(whole, number=1, ended="lost", losses=1, gap_s=3.1, not_offered=58.3)
    load = word("Load", evidence(run=replace(RUN, workers=[whole, lost])))
    assert (load.kind, load.word) == ("warn", "workers lost")
    assert "58 more" in load.sentence


def test_an_empty_run_speaks_in_words() -> None:
    results = build_results(RUN, Measures(), Asked(Goals()))
    assert [tile.value for tile in results.tiles] == ["n/a"] * 8
    assert results.funnel == []
    assert {one.word for one in results.verdict.words} == {"not judged"}


def test_no_detector_is_said() -> None:
    measures = Measures()
    for plan in (planned(), fraud()):
        measures.offered(START)
        end(measures, plan, UNASKED)
    results = build_results(RUN, measures, Asked(Goals()))
    assert results.tiles[4].note == "no transaction was put to a detector"
    assert results.funnel[-1].value == "n/a"


def test_the_funnel_ends_in_caught_missed_and_false_positives() -> None:
    measures = Measures()
    for plan, answer in ((fraud(), ALERT), (fraud(), PASSED), (planned(), ALERT), (planned(), outcome())):
        measures.offered(At(1.0, 1.0))
        measures.started(At(1.0, 1.0))
        end(measures, plan, answer)
    found = build_results(RUN, measures, Asked(Goals())).funnel
    assert {step.key: step.value for step in found} == {
        "offered": "4",
        "sent": "4",
        "accepted": "4",
        "scored": "4",
        "alerted": "2",
        "caught": "1",
        "missed": "1",
        "false_positives": "1",
    }
    assert funnel(evidence(transactions(offered=0))) == []
