"""Scenarios and past runs as pages list them; how the targets did in one stretch."""

from __future__ import annotations

import json
import os

import pytest

from banksim.measure import Measures
from banksim.measure.results import RunInfo, ScenarioInfo, encode
from banksim.measure.summary import Asked, build_results
from banksim.run.monitor import TargetPace
from banksim.scenario import load_scenario
from banksim.scenario.models import Goals
from tests.unit.measure.make import call
from web_ext.listings import MAX_RUNS, PastRuns, ScenarioList
from web_ext.plan_view import Hours, business_hours, schedule


def leave_run(folder, run_id):
    run = folder / run_id
    run.mkdir()
    info = RunInfo(run_id, ScenarioInfo("demo", "Demo"), "dry-run", "USD", 10.0, 100.0, "completed", seed=7)
    results = build_results(info, Measures(), Asked(Goals()))
    (run / "results.json").write_text(json.dumps(encode(results)))
    return run


def test_past_runs_are_newest_first_with_figures_and_files(tmp_path):
    for run_id in ("20260101-000000-aaaa", "20260102-000000-bbbb"):
        leave_run(tmp_path, run_id)
    (tmp_path / "no-results").mkdir()
    rows = PastRuns(tmp_path).rows()
    assert [row.run_id for row in rows] == ["20260102-000000-bbbb", "20260101-000000-aaaa"]
    assert rows[0].title == "Demo"
    assert rows[0].recall is None
    assert rows[0].verdict == "NOT JUDGED"
    assert rows[0].transactions == 0
    assert [file.name for file in rows[0].files] == ["results.json"]


def test_a_run_that_cannot_be_read_says_so_and_is_read_again_when_it_changes(tmp_path):
    run = leave_run(tmp_path, "run-1")
    past = PastRuns(tmp_path)
    whole = (run / "results.json").read_text()
    (run / "results.json").write_text("{")
    os.utime(run / "results.json", (1, 1))
    assert past.rows()[0].problem == "its results cannot be read"
    (run / "results.json").write_text(whole)
    os.utime(run / "results.json", (2, 2))
    assert past.rows()[0].problem == ""


def test_the_list_of_runs_is_bounded_and_bears_a_missing_folder(tmp_path):
    assert PastRuns(tmp_path / "absent").rows() == []
    for number in range(MAX_RUNS + 2):
        (tmp_path / f"run-{number:03}").mkdir()
        (tmp_path / f"run-{number:03}" / "results.json").write_text("{}")
    rows = PastRuns(tmp_path).rows()
    assert len(rows) == MAX_RUNS
    assert rows[0].run_id == f"run-{MAX_RUNS + 1:03}"


@pytest.mark.parametrize("name", ["../secret", "a/b", "/etc/passwd", "link"])
def test_a_file_of_a_run_lies_in_its_folder(tmp_path, name):
    run = leave_run(tmp_path, "run-1")
    (tmp_path / "secret").write_text("x")
    (run / "link").symlink_to(tmp_path / "secret")
    past = PastRuns(tmp_path)
    assert past.path("run-1", "results.json") == run / "results.json"
    assert past.path("run-1", name) is None


def test_scenarios_are_told_in_numbers_and_the_given_file_is_among_them(tmp_path):
    given = tmp_path / "mine.yaml"
    given.write_text(
        'name: "Mine"\nduration_hours: 2\nspeed_multiplier: 60\n'
        "transaction_rate: {peak_tps: 5, off_peak_tps: 5}\n"
    )
    scenarios = ScenarioList()
    cards = {card.name: card for card in scenarios.cards(str(given)).scenarios}
    assert {"demo", "normal_day"} <= set(cards)
    assert cards[str(given)].wall_s == 120
    assert cards[str(given)].transactions == 600
    shown = cards["showcase"]  # what `banksim validate` says, too
    assert 550 <= shown.frauds <= 750 and 0.05 < shown.fraud_rate < 0.15
    assert len(shown.attacks) == 5 and max(shown.curve) == shown.peak_tps
    assert scenarios.cards(str(given)) is scenarios.cards(str(given))  # nothing changed, nothing is read
    assert scenarios.find("demo").name == "5-Minute Demo"
    assert scenarios.find("nowhere") is None


def test_a_plan_before_the_first_run_is_empty():
    assert schedule(None).campaigns == schedule(None).events == []


def test_business_hours_that_touch_are_one_stretch():
    assert business_hours(load_scenario("demo", environ={})) == [Hours(0.0, 43_200.0)]


def test_a_stretch_counts_only_what_is_new():
    measures = Measures()
    pace = TargetPace()
    assert pace.look(measures) == {}
    for _ in range(10):
        call(measures, "nexum", "/x", 10.0)
    assert pace.look(measures)["nexum_p99_ms"] == pytest.approx(10.0, rel=0.01)
    call(measures, "nexum", "/x", 500.0, "timeout")
    found = pace.look(measures)
    assert found["nexum_p50_ms"] == pytest.approx(500.0, rel=0.01)
    assert pace.look(measures) == {
        "nexum_p50_ms": None,
        "nexum_p95_ms": None,
        "nexum_p99_ms": None,
    }
