"""The scenarios of the shipped mappings: each loads, names a mapping that exists, and leaves the rest out."""

from __future__ import annotations

from pathlib import Path

import pytest

from banksim.measure.thresholds.judge import thresholds_of
from banksim.scenario import load_scenario
from banksim.targets.connect import load_adapter

FILES = sorted((Path(__file__).resolve().parents[3] / "scenarios" / "targets").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_of_a_shipped_mapping(path: Path) -> None:
    scenario = load_scenario(path, environ={})
    bank, detector = scenario.targets.bank, scenario.targets.detector
    assert [one.adapter for one in (bank, detector) if one is not None] == [path.stem]
    assert (scenario.connections.nexum_url, scenario.connections.bastion_url) == (
        bank.url if bank else "",
        detector.url if detector else "",
    )
    assert load_adapter("bank" if bank else "detector", path.stem) is not None
    assert thresholds_of(scenario)


def test_an_address_from_outside_wins() -> None:
    path = FILES[0]
    given = load_scenario(path, {"nexum_url": "http://elsewhere:1"}, {"BASTION_URL": "http://there:2"})
    assert given.connections.nexum_url == "http://elsewhere:1"
    assert given.connections.bastion_url == "http://there:2"


def test_all_eight_are_there() -> None:
    assert len(FILES) == 8
