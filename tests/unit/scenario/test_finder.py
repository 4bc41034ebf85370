"""Names and paths: what they find, and what they cannot reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from banksim.model import ScenarioError
from banksim.scenario import find_scenario, list_scenarios, load_scenario, survey_scenarios
from banksim.scenario.loader import SHIPPED_FOLDER
from tests.unit.scenario import examples


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a scenarios folder of its own, and a file beside it."""
    work = tmp_path / "work"
    (work / "scenarios").mkdir(parents=True)
    (work / "scenarios" / "mine.yaml").write_text(examples.MY_TEST)
    (tmp_path / "outside.yaml").write_text(examples.MY_TEST)
    monkeypatch.chdir(work)
    return work


def test_a_name_is_found_from_anywhere(elsewhere: Path) -> None:
    assert find_scenario("normal_day") == SHIPPED_FOLDER / "normal_day.yaml"
    assert find_scenario("normal_day.yaml") == SHIPPED_FOLDER / "normal_day.yaml"
    assert find_scenario("mine") == elsewhere / "scenarios" / "mine.yaml"


def test_a_file_goes_before_a_name(elsewhere: Path) -> None:
    (elsewhere / "demo").write_text(examples.MY_TEST)
    assert find_scenario("demo") == elsewhere / "demo"
    assert find_scenario("demo", allow_paths=False) == SHIPPED_FOLDER / "demo.yaml"


def test_the_own_folder_goes_before_the_shipped_one(elsewhere: Path) -> None:
    (elsewhere / "scenarios" / "demo.yaml").write_text(examples.MY_TEST)
    assert load_scenario("demo", environ={}).name == "My Test Scenario"


@pytest.mark.parametrize(
    "word", ["../outside", "scenarios/../../outside", "..", ".", "", "/etc/passwd\0", "a/b", "x" * 9999]
)
def test_a_name_cannot_leave_its_folder(elsewhere: Path, word: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        find_scenario(word)
    (problem,) = caught.value.problems
    assert "known: " in problem and len(problem) < 500


def test_a_path_may_lie_anywhere_unless_only_names_are_allowed(elsewhere: Path) -> None:
    assert find_scenario("../outside.yaml") == elsewhere.parent / "outside.yaml"
    for word in ("../outside.yaml", str(elsewhere / "scenarios" / "mine.yaml"), "scenarios/mine.yaml"):
        with pytest.raises(ScenarioError):
            load_scenario(word, environ={}, allow_paths=False)


def test_a_missing_scenario_names_the_closest_and_all_known() -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario("fraud_atack")
    assert "'fraud_atack': no scenario of that name; did you mean fraud_attack? known: " in str(caught.value)
    assert "normal_day" in str(caught.value)


def test_a_folder_is_not_a_scenario(elsewhere: Path) -> None:
    (elsewhere / "demo").mkdir()
    assert find_scenario("demo") == SHIPPED_FOLDER / "demo.yaml"


def test_a_broken_file_does_not_hide_the_others(elsewhere: Path) -> None:
    (elsewhere / "scenarios" / "broken.yaml").write_text("name: [")
    (elsewhere / "scenarios" / "notes.txt").write_text("not a scenario")
    good, broken = survey_scenarios()
    assert {"mine", "demo", "normal_day"} <= {name for name, _ in good}
    assert [name for name, _ in good] == sorted(name for name, _ in good)
    assert [one.name for one in broken] == ["broken"]
    assert "scenarios/broken.yaml line 1" in str(broken[0].error)
    assert list_scenarios() == good


def test_an_error_names_the_file_as_seen_from_here(elsewhere: Path) -> None:
    (elsewhere / "scenarios" / "bad.yaml").write_text(examples.MINIMAL + "customers: 0\n")
    with pytest.raises(ScenarioError, match=r"\(scenarios/bad.yaml line 6\)$"):
        load_scenario("bad", environ={})
