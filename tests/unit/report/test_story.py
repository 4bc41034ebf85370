from banksim.measure import Measures
from banksim.report import build_results, story
from banksim.report.html import render_html
from banksim.report.story import limits
from tests.unit.measure.make import ALERT, PASSED, START, UNASKED, end, fraud, planned
from tests.unit.report.make import RUN_INFO, busy_results, empty_results


def results_of(*pairs: tuple) -> dict:
    measures = Measures()
    for plan, answer in pairs:
        measures.offered(START)
        measures.started(START)
        end(measures, plan, answer)
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
    measures.offered(START, 100)
    for _ in range(90):
        measures.started(START)
        end(measures, planned(), PASSED)
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


WORKER = {"number": 0, "host": "here", "pid": 7, "ended": "final", "left": False, "joined_wall_s": 0.0}
WHOLE = WORKER | {"losses": 0, "gap_s": 0.0, "not_offered": 0.0, "in_flight": 0}
LOST = WHOLE | {"number": 1, "ended": "lost", "losses": 1, "gap_s": 3.1, "not_offered": 58.3, "in_flight": 4}


def test_lost_workers_are_no_kept_up_load() -> None:
    results = busy_results()
    results["run"] = results["run"] | {"workers": [WHOLE, LOST]}
    results["rate"] = results["rate"] | {"achieved_share": 1.0}
    load = story.verdict(results)[0]
    assert load.word == "workers lost"
    assert "1 of 2 workers fell silent; 58 more" in load.text


def test_what_a_lost_worker_means_is_a_limit() -> None:
    results = busy_results()
    results["run"] = results["run"] | {"workers": [WHOLE, LOST]}
    found = [text for text in limits(results, Measures()) if "orker" in text]
    assert found[0].startswith("Worker 1 was lost, with 4 transactions under way")
    assert "Silent workers: 1 (3.1" in found[1]
    assert "about 58 transactions" in found[1]


def test_workers_have_a_table_of_their_own() -> None:
    results = busy_results()
    assert "Times silent" not in render_html(results)
    results["run"] = results["run"] | {"workers": [WHOLE, LOST]}
    page = render_html(results)
    assert "Times silent" in page
    assert "<strong>lost</strong>" in page
