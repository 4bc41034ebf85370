"""The scenario format as JSON Schema, for editors and for the generated reference.

`scenarios/schema.json` is this, written down; each scenario there names it in its first
line, so that an editor with the YAML language server completes keys, explains them and
marks mistakes while one types.

What a schema cannot say (a phase inside the run, a `follows` that names a pattern) only
`banksim validate` finds.
"""

from __future__ import annotations

import json
from typing import Any

from banksim.scenario.models import Scenario
from banksim.scenario.pattern_types import KNOWN_PATTERN_TYPES, PATTERN_ALIASES
from banksim.scenario.schema_examples import EXAMPLES

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Keys of tables, which pydantic checks and its schema does not mention.
TABLE_KEYS = {
    "hourly_multipliers": "^([0-9]|1[0-9]|2[0-3])$",
    "weekday_multipliers": "^(monday|tuesday|wednesday|thursday|friday|saturday|sunday)$",
    "seasonal_multipliers": "^([1-9]|1[0-2])$",
}


def scenario_json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario file.  Kinds of fraud are examples there: plugins add some."""
    schema = {"$schema": DIALECT, **Scenario.model_json_schema(), "title": "banksim scenario"}
    for name, block in {**schema["$defs"], "Scenario": schema}.items():
        for key, place in block["properties"].items():
            place.pop("title", None)
            place.update({"examples": found} if (found := EXAMPLES.get(f"{name}.{key}")) else {})
            place.update({"propertyNames": {"pattern": TABLE_KEYS[key]}} if key in TABLE_KEYS else {})
    schema["$defs"]["Pattern"]["properties"]["type"]["examples"] = [*KNOWN_PATTERN_TYPES, *PATTERN_ALIASES]
    return schema


def schema_text() -> str:
    """The schema as `banksim schema` prints it and `scenarios/schema.json` holds it."""
    return json.dumps(scenario_json_schema(), indent=2, ensure_ascii=False) + "\n"
