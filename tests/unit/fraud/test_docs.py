"""docs/typologies.md has a section for everything the registry knows, and says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from banksim.fraud import build_registry
from banksim.fraud.patterns import DECOY_MIX, DEFAULT_MIX
from banksim.scenario import FraudSettings

PAGE = (Path(__file__).parents[3] / "docs" / "typologies.md").read_text("utf-8")
SECTIONS = {
    part.partition("\n")[0].strip(): part.partition("\n")[2]
    for part in re.split(r"^### ", PAGE, flags=re.M)[1:]
}


def test_every_typology_and_decoy_has_a_section_and_no_other_thing_has():
    assert sorted(SECTIONS) == build_registry().names()


@pytest.mark.parametrize("name", build_registry().names())
def test_a_section_has_a_drawing_its_aliases_and_how_it_can_be_seen(name):
    text = SECTIONS[name]
    assert text.count("```") == 2
    assert re.search(r"\*\*(Seen by|Looks like)\*\*", text)
    for alias in build_registry().get(name).aliases:
        assert alias in text


def test_the_mixes_are_as_written():
    mix = PAGE[PAGE.index("usual mix:") : PAGE.index("The others need")].replace("\n", " ")
    named = dict(re.findall(r"(\w+) (\d+) %", mix))
    assert {name: int(share) / 100 for name, share in named.items()}.items() <= DEFAULT_MIX.items()
    assert set(re.findall(r"\w+", mix)) >= set(DEFAULT_MIX)
    for name, share in DECOY_MIX.items():
        assert re.search(rf"\({share:.0%}".replace("%", " %"), SECTIONS[name])


def test_the_default_rate_of_decoys_is_as_written():
    assert f"`fraud.decoy_rate` (default {FraudSettings().decoy_rate:g})" in PAGE


def test_a_usual_mix_is_whole():
    assert sum(DEFAULT_MIX.values()) == pytest.approx(1.0)
