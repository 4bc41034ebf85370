from banksim.measure import Measures
from banksim.report import build_results, story
from tests.unit.measure.make import ALERT, PASSED, UNASKED, fraud, planned
from tests.unit.report.make import RUN_INFO, busy_results, empty_results


def results_of(*pairs: tuple) -> dict:
    measures = Measures()
    for plan, answer in pairs:
        measures.offered()
        measures.started()
        measures.record(plan, answer, 0, 0)
    return build_results(RUN_INFO, measures)


def test_an_empty_run_speaks_in_words() -> None:
    results = empty_results()
    assert [tile.value for tile in story.tiles(results)] == ["n/a"] * 8
    assert all(tile.word == "" for tile in story.tiles(results))
    assert story.funnel(results) == []
    assert [sentence.word for sentence in story.verdict(results)] == [
        "nothing offered",
        "not asked",
        "not asked",
    ]


def test_no_fraud_is_not_zero_recall() -> None:
    results = results_of((planned(), PASSED))
    recall = story.tiles(results)[5]
    assert (recall.label, recall.value, recall.note) == ("Recall", "n/a", "no fraud was sent")
    assert "0" not in story.tiles(results)[7].value
    assert story.verdict(results)[2].word == "no fraud sent"


def test_no_detector_is_said() -> None:
    results = results_of((planned(), UNASKED), (fraud(), UNASKED))
    assert story.tiles(results)[4].note == "no detector was asked"
    assert story.funnel(results)[-1].value == "n/a"


def test_figures_without_interval_are_held_back_below_thirty_frauds() -> None:
    few = results_of(*[(fraud(), ALERT)] * 29, (planned(), PASSED))
    enough = results_of(*[(fraud(), ALERT)] * 30, (planned(), PASSED))
    assert story.with_enough(few, "0.9") == "n/a (29 frauds, 30 needed)"
    assert story.with_enough(enough, "0.9") == "0.9"
    assert story.tiles(few)[5].word == "few frauds"


def test_a_generator_that_fell_behind_is_named() -> None:
    measures = Measures()
    measures.offered(100)
    for _ in range(90):
        measures.started()
        measures.record(planned(), PASSED, 0, 0)
    results = build_results(RUN_INFO, measures)
    assert story.verdict(results)[0].word == "fell behind"
    assert any("asked load was not reached" in limit for limit in results["limits"])


def test_the_funnel_ends_in_caught_missed_and_false() -> None:
    results = busy_results()
    steps = {step.label: step.value for step in story.funnel(results)}
    confusion = results["detection"]["confusion"]
    assert steps["Caught"] == str(confusion["tp"])
    assert steps["Missed"] == str(confusion["fn"])
    assert steps["False alerts"] == str(confusion["fp"])
