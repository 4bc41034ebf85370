"""The JSON Schema in scenarios/ is the models', and an editor that uses it judges as banksim does."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from banksim.model import ScenarioError
from banksim.scenario import parse_scenario
from banksim.scenario.loader import SHIPPED_FOLDER
from banksim.scenario.reference import DIALECT, EXAMPLES, blocks, scenario_json_schema, schema_text

from .examples import BASIC, MINIMAL

FILE = SHIPPED_FOLDER / "schema.json"
SCHEMA = scenario_json_schema()
CHECKER = jsonschema.Draft202012Validator(SCHEMA)
FIRST_LINE = "# yaml-language-server: $schema=schema.json\n"


def as_an_editor_reads(text: str) -> Any:
    """YAML as the language server sees it: keys and moments are text."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def test_the_file_is_current(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-docs"):
        FILE.write_text(schema_text())
    assert FILE.read_text() == schema_text(), "run `banksim schema > scenarios/schema.json`"
    assert json.loads(FILE.read_text())["$schema"] == DIALECT
    CHECKER.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(SHIPPED_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_scenario_names_it_and_passes(path: Any) -> None:
    assert path.read_text().startswith(FIRST_LINE)
    CHECKER.validate(as_an_editor_reads(path.read_text()))


def test_the_original_format_passes() -> None:
    CHECKER.validate(as_an_editor_reads(BASIC))


def properties() -> list[tuple[str, dict[str, Any]]]:
    named = {"Scenario": SCHEMA, **SCHEMA["$defs"]}
    return [(f"{block}.{key}", place) for block in named for key, place in named[block]["properties"].items()]


@pytest.mark.parametrize(
    ("key", "place"), properties(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_key_explains_itself_and_shows_a_value(key: str, place: dict[str, Any]) -> None:
    assert place.get("description") or "$ref" in place
    shows = place.get("examples") or place.get("default") is not None or "$ref" in str(place)
    assert shows, f"{key} has neither a default nor an example"


@pytest.mark.parametrize("key", EXAMPLES)
def test_examples_are_good(key: str) -> None:
    block, _, name = key.partition(".")
    place = dict(properties())[key]
    model = {model.__name__: model for _, model in blocks()}[block]
    others: dict[str, Any] = {"Pattern": {"type": "structuring"}, "Phase": dict.fromkeys(())}.get(block, {})
    needed = {
        one: EXAMPLES[f"{block}.{one}"][0]
        for one, info in model.model_fields.items()
        if info.is_required() and f"{block}.{one}" in EXAMPLES
    }
    if block == "Scenario":
        needed["transaction_rate"] = {"peak_tps": 2, "off_peak_tps": 1}
    for value in EXAMPLES[key]:
        CHECKER.evolve(schema={**place, "$defs": SCHEMA["$defs"]}).validate(value)
        if block != "Scenario":
            model.model_validate({**needed, **others, name: value})
        else:
            model.model_validate({**needed, name: value}, context={"checked_by_loader": True})


MISTAKES = {
    "a key that does not exist": "peak: 3",
    "a wrong type": "customers: many",
    "a fraction of a customer": "customers: 1.5",
    "too many accounts": "accounts_per_customer: 6",
    "an address without scheme": "connections: {nexum_url: localhost}",
    "brokers without port": "connections: {kafka_bootstrap_servers: localhost}",
    "an hour that no day has": "fraud: {attack_window: [2, 25]}",
    "a weight above one": "fraud: {patterns: [{type: card_testing, weight: 2}]}",
    "a pattern without type": "fraud: {patterns: [{weight: 1}]}",
    "a negative delay": "onboarding: {first_transaction_delay_hours: -1}",
    "too many hops": "fraud: {patterns: [{type: layering, hops: [3, 101]}]}",
    "a moment in words": "start_at: monday",
    "an unknown flow": "flow: sideways",
    "an empty name": 'name: ""',
    "a negative balance": "initial_balance: -1",
}
TABLE_MISTAKES = {
    "hour 24": "hourly_multipliers: {24: 1}",
    "a day in French": "weekday_multipliers: {lundi: 1}",
    "month 13": "seasonal_multipliers: {13: 1}",
}


def refused(text: str) -> None:
    assert list(CHECKER.iter_errors(as_an_editor_reads(text)))
    with pytest.raises(ScenarioError):
        parse_scenario(text)


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_it_refuses_what_banksim_refuses(mistake: str) -> None:
    key = mistake.partition(":")[0]
    kept = "".join(line for line in MINIMAL.splitlines(True) if not line.startswith(f"{key}:"))
    refused(kept + mistake)


@pytest.mark.parametrize("mistake", TABLE_MISTAKES.values(), ids=list(TABLE_MISTAKES))
def test_it_refuses_table_keys_that_banksim_refuses(mistake: str) -> None:
    refused(f"{MINIMAL}  {mistake}\n")
