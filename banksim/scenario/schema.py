"""The scenario format as JSON Schema, for editors and for the generated reference."""

from __future__ import annotations

from typing import Any

from banksim.scenario.models import Scenario
from banksim.scenario.pattern_types import KNOWN_PATTERN_TYPES, PATTERN_ALIASES

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def scenario_json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario file.  Kinds of fraud are examples there: plugins add some."""
    schema = Scenario.model_json_schema()
    pattern_type = schema["$defs"]["Pattern"]["properties"]["type"]
    pattern_type["examples"] = [*KNOWN_PATTERN_TYPES, *PATTERN_ALIASES]
    return {"$schema": DIALECT, **schema, "title": "banksim scenario"}
