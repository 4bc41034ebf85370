"""The scenario as a value: lengths, hash, round trip, description of every key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from banksim.scenario import Scenario, load_scenario, parse_scenario
from banksim.scenario.errors import all_keys, block_in
from banksim.scenario.fields import Block, Number
from banksim.scenario.reference import scenario_json_schema
from tests.unit.scenario import examples


def test_lengths() -> None:
    scenario = parse_scenario(examples.FIVE_MINUTE_DEMO)
    assert scenario.duration_s == 86_400
    assert scenario.wall_length_s() == 300
    assert scenario.wall_length_s(100) == 864


@pytest.mark.parametrize("text", examples.ALL.values(), ids=examples.ALL.keys())
def test_a_scenario_survives_the_wire(text: str) -> None:
    scenario = parse_scenario(text)
    again = Scenario.model_validate(json.loads(json.dumps(scenario.model_dump(mode="json"))))
    assert again == scenario
    assert again.hash == scenario.hash


def test_equal_content_has_an_equal_hash(tmp_path: Path) -> None:
    first = parse_scenario(examples.MY_TEST)
    reordered = parse_scenario(
        "customers: 50\n" + examples.MY_TEST.replace("customers: 50\n", "").replace("1000.00", "1000")
    )
    path = tmp_path / "copy.yaml"
    path.write_text(examples.MY_TEST)
    assert first.hash == reordered.hash == load_scenario(path, environ={}).hash
    assert first.hash != parse_scenario(examples.MY_TEST, overrides={"customers": 51}).hash
    assert first.hash == parse_scenario(examples.MY_TEST, overrides={"seed": 51}).hash
    assert len(first.hash) == 64 and first.hash.startswith(first.short_hash) and len(first.short_hash) == 12


def test_a_scenario_is_never_changed() -> None:
    scenario = parse_scenario(examples.MY_TEST)
    with pytest.raises(ValidationError):
        scenario.customers = 3


def test_a_scenario_built_in_code_is_checked_too() -> None:
    data = {
        "name": "x",
        "duration_hours": 1,
        "transaction_rate": {"peak_tps": 1, "off_peak_tps": 1},
        "fraud": {"patterns": [{"type": "x"}]},
    }
    with pytest.raises(ValidationError, match=r"fraud.patterns\[0\].type: unknown kind of fraud"):
        Scenario.model_validate(data)


def test_baseline_is_small_unless_said_otherwise() -> None:
    def outside(fraud: str) -> float:
        return parse_scenario(f"{examples.MINIMAL}fraud: {{{fraud}}}\n").fraud.outside_rate

    assert outside("rate: 0.1") == 0.001
    assert outside("rate: 0.0001") == 0.0001
    assert outside("rate: 0.1, baseline_rate: 0.02") == 0.02


def blocks(block: type[Block]) -> set[type[Block]]:
    inner = {found for info in block.model_fields.values() if (found := block_in(info.annotation))}
    return {block}.union(*(blocks(one) for one in inner))


def test_every_key_is_described() -> None:
    for block in blocks(Scenario):
        for key, info in block.model_fields.items():
            text = info.description or ""
            assert text.endswith("."), f"{block.__name__}.{key}"


def test_schema_names_every_key_and_refuses_others() -> None:
    schema = scenario_json_schema()
    named: set[str] = set(schema["properties"])
    for definition in schema["$defs"].values():
        assert definition["additionalProperties"] is False
        named |= set(definition["properties"])
    assert {key for key, _ in all_keys(Scenario)} == named
    assert schema["$defs"]["Pattern"]["properties"]["weight"]["maximum"] == 1
    assert "card_testing" in schema["$defs"]["Pattern"]["properties"]["type"]["examples"]


@pytest.mark.parametrize(
    ("number", "whole", "words"),
    [
        (Number(0, 1), False, "a number from 0 to 1"),
        (Number(1, 10_000_000), True, "a whole number from 1 to 10000000"),
        (Number(above=0), False, "a number above 0"),
        (Number(above=0, high=100), False, "a number above 0 and at most 100"),
        (Number(0.1, 10_000), False, "a number from 0.1 to 10000"),
        (Number(), True, "a whole number"),
    ],
)
def test_limits_in_words(number: Number, whole: bool, words: str) -> None:
    assert number.words(whole) == words


def test_numeric_text_counts_as_a_number() -> None:
    # YAML reads 1e-3 as text, and people mean a number.
    assert parse_scenario(examples.MINIMAL + "fraud: {rate: 1e-3}\n").fraud.rate == 0.001


def test_a_moment_in_utc_is_taken_as_written() -> None:
    scenario = parse_scenario(examples.MINIMAL + "start_at: 2026-03-01T06:30:00Z\n")
    assert scenario.start_at.isoformat() == "2026-03-01T06:30:00"
    day: Any = parse_scenario(examples.MINIMAL + "start_at: 2026-03-01\n").start_at
    assert day.isoformat() == "2026-03-01T00:00:00"
