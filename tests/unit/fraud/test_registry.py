from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from banksim.domain import Label, ScenarioError
from banksim.fraud import build_registry, typology
from banksim.fraud.registry import Registry
from banksim.scenario import KNOWN_PATTERN_TYPES, PATTERN_ALIASES

from .helpers import desk, drive_all, scenario

PLUGIN = """
from banksim.fraud import typology

@typology("gift_cards", mean_size=3, mean_duration_s=600)
def gift_cards(campaign):
    victim = campaign.victim()
    yield campaign.purchase(victim, amount_cents=campaign.small_amount(), at=campaign.next_moment())
"""


def test_every_kind_a_scenario_may_name_exists():
    assert set(build_registry().names(Label.FRAUD)) == set(KNOWN_PATTERN_TYPES)


def test_aliases_lead_to_the_same_typology_as_in_scenario_files():
    registry = build_registry()
    for alias, name in PATTERN_ALIASES.items():
        assert registry.get(alias) is registry.get(name)


def test_an_unknown_name_says_what_is_known():
    with pytest.raises(ScenarioError, match=r"'lottery'.*card_testing"):
        build_registry().get("lottery")


def test_a_function_that_never_yields_is_refused():
    with pytest.raises(TypeError, match="generator"):

        @typology("not_one")
        def not_one(campaign):
            return []


def test_sizes_must_make_sense():
    with pytest.raises(ValueError, match="min_size"):
        typology("x", mean_size=2, min_size=3)


def test_importing_a_marked_function_does_not_register_it_again_elsewhere():
    module = ModuleType("elsewhere")
    module.borrowed = build_registry().get("structuring").run
    assert Registry([module]).names() == []


def test_registries_do_not_share_anything(tmp_path: Path):
    file = tmp_path / "gift.py"
    file.write_text(PLUGIN)
    assert "gift_cards" in build_registry([file]).names()
    assert "gift_cards" not in build_registry().names()


def test_a_plugin_named_in_the_scenario_runs(tmp_path: Path):
    (tmp_path / "gift.py").write_text(PLUGIN)
    fraud = desk(
        plugins=[str(tmp_path / "gift.py")],
        fraud={"patterns": [{"type": "gift_cards", "count": 7}]},
    )
    steps = [step for made in drive_all(fraud).values() for step in made]
    assert len(steps) == 7
    assert {step.truth.typology for step in steps} == {"gift_cards"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("x = 1", "marks no function"),
        (None, "is not a Python"),
    ],
)
def test_a_bad_plugin_is_explained(tmp_path: Path, content: str | None, words: str):
    file = tmp_path / "bad.py"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ScenarioError, match=words):
        build_registry([file])


def test_a_relative_plugin_is_found_beside_the_scenario_file(tmp_path: Path):
    from banksim.fraud.desk import plugin_paths

    made = scenario(plugins=["gift.py"]).with_source(tmp_path / "my.yaml")
    assert plugin_paths(made) == [tmp_path / "gift.py"]
