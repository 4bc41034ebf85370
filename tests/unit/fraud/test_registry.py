from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from banksim.fraud import Registry, build_registry, check_fraud, typology
from banksim.model import Label, ScenarioError
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
        (None, "no such file"),
        ("import sys\nsys.exit(3)", r"SystemExit: 3 \(line 2\)"),
        ("x = 1\ndef broken(:\n", r"bad.py cannot be loaded: SyntaxError"),
        ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
        ("from banksim.fraud import typology\n@typology('x', mean_size=0)\ndef x(c): yield", "min_size"),
        ("from banksim.fraud import typology\n@typology('x')\ndef x(c): return []", "never yields"),
    ],
)
def test_a_bad_plugin_is_explained(tmp_path: Path, content: str | None, words: str):
    file = tmp_path / "bad.py"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ScenarioError, match=words):
        build_registry([file])


def test_a_relative_plugin_is_found_beside_the_scenario_file(tmp_path: Path):
    from banksim.fraud.program import plugin_paths

    made = scenario(plugins=["gift.py"]).with_source(tmp_path / "my.yaml")
    assert plugin_paths(made) == [tmp_path / "gift.py"]


def test_a_bad_plugin_is_one_line_that_names_the_file(tmp_path: Path):
    file = tmp_path / "bad.py"
    file.write_text("x = 1\nraise ValueError('two\\nlines')\n")
    with pytest.raises(ScenarioError) as caught:
        check_fraud(scenario(plugins=[str(file)]))
    assert str(caught.value) == f"plugins: {file} cannot be loaded: ValueError: two lines (line 2)"


def test_a_folder_and_a_text_file_are_no_plugins(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(ScenarioError, match="is not a Python file"):
            build_registry([path])


def test_a_plugin_may_have_dataclasses_with_lazy_annotations(tmp_path: Path):
    file = tmp_path / "gift.py"
    lazy = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    file.write_text(lazy + "@dataclass\nclass Card:\n    name: str\n" + PLUGIN)
    assert "gift_cards" in build_registry([file]).names()


def test_two_plugins_of_one_file_name_do_not_mix(tmp_path: Path):
    paths = []
    for nth in range(2):
        folder = tmp_path / str(nth)
        folder.mkdir()
        paths.append(folder / "mine.py")
        paths[-1].write_text(PLUGIN.replace("gift_cards", f"kind_{nth}"))
    assert {"kind_0", "kind_1"} <= set(build_registry(paths).names())


def test_a_pattern_no_plugin_knows_is_refused(tmp_path: Path):
    (tmp_path / "gift.py").write_text(PLUGIN)
    made = scenario(plugins=[str(tmp_path / "gift.py")], fraud={"patterns": [{"type": "gift_card"}]})
    with pytest.raises(ScenarioError, match="unknown kind of fraud 'gift_card'"):
        check_fraud(made)


def test_a_plugin_may_bring_a_decoy_that_takes_the_place_of_the_usual_ones(tmp_path: Path):
    decoy = PLUGIN.replace("import typology", "import typology\nfrom banksim.model import Label")
    decoy = decoy.replace("mean_size=3", "label=Label.DECOY, mean_size=3")
    (tmp_path / "gift.py").write_text(decoy)
    fraud = desk(
        plugins=[str(tmp_path / "gift.py")],
        fraud={"rate": 0.0, "decoy_rate": 0.02, "patterns": [{"type": "gift_cards"}]},
    )
    assert {spec.typology for spec in fraud.planned} == {"gift_cards"}
    assert all(spec.decoy for spec in fraud.planned)
    assert fraud.share.total() == 0
    assert fraud.decoy_share.at(0) == 0.02
