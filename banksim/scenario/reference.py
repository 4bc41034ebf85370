"""The scenario reference in Markdown and the JSON Schema, generated from the models.

One table per block: key, expected value, default, meaning.  `docs/scenarios.md` holds the
result between two marker lines; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from banksim.scenario.errors import block_in
from banksim.scenario.fields import Block, Expected, Number
from banksim.scenario.fraud import KNOWN_PATTERN_TYPES, PATTERN_ALIASES
from banksim.scenario.models import Scenario

# -- Example values for the keys of the scenario format, which editors show with the description ----
#
# By block and key.  A key whose default is a good example is left out.  A test loads each example.


EXAMPLES: dict[str, list[object]] = {
    "Scenario.name": ["Lunch rush"],
    "Scenario.description": ["Two hours around noon with a card-testing attack"],
    "Scenario.duration_hours": [24, 0.5],
    "Scenario.speed_multiplier": [1, 60, 288],
    "Scenario.seed": [42],
    "Scenario.start_at": ["2026-01-05 08:00:00"],
    "Scenario.locale": ["en_US", "de_DE"],
    "Scenario.plugins": [["my_fraud.py"]],
    "Scenario.thresholds": [["recall >= 90%", "response_time.p99 < 500ms", "errors < 1%"]],
    "Scenario.personas": [{"student": {"share": 0.3}}],
    "TransactionRate.per": ["simulated"],
    "TransactionRate.peak_tps": [20],
    "TransactionRate.off_peak_tps": [5],
    "TransactionRate.business_hours": [[8, 18], [22, 4]],
    "TransactionRate.weekend_multiplier": [0.3],
    "TransactionRate.hourly_multipliers": [{"9": 1.5, "12": 1.8, "23": 0.1}],
    "TransactionRate.weekday_multipliers": [{"monday": 1.2, "saturday": 0.4, "sunday": 0.3}],
    "TransactionRate.seasonal_multipliers": [{"11": 1.3, "12": 1.6}],
    "FraudSettings.rate": [0.001, 0.15],
    "FraudSettings.baseline_rate": [0.001],
    "FraudSettings.attack_window": [[2, 4], [22, 3]],
    "FraudSettings.patterns": [
        [{"type": "card_testing", "weight": 0.7}, {"type": "large_amount", "weight": 0.3}]
    ],
    "FraudSettings.phases": [
        [
            {
                "name": "card testing",
                "start_hour": 2,
                "duration_hours": 1,
                "patterns": [{"type": "card_testing", "count": 500}],
            }
        ]
    ],
    "Pattern.name": ["morning_tests"],
    "Pattern.count": [500],
    "Pattern.duration_minutes": [30],
    "Pattern.follows": ["card_testing"],
    "Pattern.delay_minutes": [30],
    "Pattern.requires_successful": ["card_testing"],
    "Pattern.sophistication": [0.9],
    "Pattern.amount_range": [[0.01, 5.0]],
    "Pattern.amounts": [[800.0, 6000.0], [50.0, 100.0, 250.0]],
    "Pattern.target_balance_pct": [0.8],
    "Pattern.transaction_burst": [50],
    "Pattern.time_window_seconds": [60],
    "Pattern.amount_multiplier": [10.0],
    "Pattern.suspicious_threshold": [5000.0],
    "Pattern.location_jump_km": [1000],
    "Pattern.time_window_hours": [1],
    "Pattern.mule_accounts": [12],
    "Pattern.hops": [4, [3, 8]],
    "Pattern.threshold": [10000.0],
    "Pattern.split_amounts": [True, [9000.0, 9500.0]],
    "Phase.name": ["reconnaissance"],
    "Phase.start_hour": [2],
    "Phase.duration_hours": [1],
    "Phase.patterns": [[{"type": "card_testing", "count": 500}]],
    "Connections.nexum_url": ["http://localhost:8090", ""],
    "Connections.bastion_url": ["http://localhost:8080", ""],
    "Connections.kafka_bootstrap_servers": ["localhost:9092,broker2:9092", "embedded"],
    "OAuth.token_url": ["https://login.example.com/token"],
    "OAuth.client_id": ["banksim"],
    "OAuth.client_secret": ["${BANK_CLIENT_SECRET}"],
    "Target.headers": [{"X-Api-Key": "${BANK_API_KEY}"}],
    "Target.basic": ["${BANK_USER}:${BANK_PASSWORD}"],
    "Target.token": ["${file:/run/secrets/bank_token}"],
    "Scenario.detector": [{"batch_size": 50}, {"feedback": True, "feedback_delay_hours": 2}],
    "Scenario.invariant": [{"every_seconds": 2}, {"enabled": False}],
    "Fault.target": ["detector"],
    "Fault.kind": ["hangs"],
    "Fault.start_hour": [2.5],
    "Fault.duration_minutes": [30],
    "Fault.name": ["Detector hangs"],
    "Fault.share": [0.1],
    "Fault.latency_ms": [300, [200, 600]],
    "Fault.status": [503],
    "Load.step": [25],
    "Onboarding.first_transaction_delay_hours": [2, [0.5, 6]],
}


# -- The scenario format as JSON Schema, for editors and for the generated reference ----------------
#
# `scenarios/schema.json` holds it; each scenario there names it in its first line, so that
# an editor with the YAML language server completes keys, explains them and marks mistakes.
#
# Only `banksim validate` finds mistakes that a schema cannot express (a phase outside the
# run, a `follows` that names no pattern).


DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Patterns for the keys of tables, which pydantic checks but leaves out of its schema.
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


BEGIN = "<!-- generated by `banksim schema --markdown`; do not edit below -->"


def reference() -> str:
    """Every block and key, in the order of the models."""
    return "\n".join(line for title, block in blocks() for line in _table(title, block)).strip() + "\n"


def blocks() -> Iterator[tuple[str, type[Block]]]:
    """(heading, block) for the file itself and each block in it, outermost first, each once."""
    seen: set[type[Block]] = set()
    waiting: list[tuple[str, type[Block]]] = [("Top level", Scenario)]
    while waiting:
        title, block = waiting.pop(0)
        if block in seen:
            continue
        seen.add(block)
        yield title, block
        prefix = "" if block is Scenario else f"{title.strip('`')}."
        for key, info in block.model_fields.items():
            inner = block_in(info.annotation)
            if inner is not None:
                waiting.append((f"`{prefix}{key}`", inner))


def _table(title: str, block: type[Block]) -> Iterator[str]:
    yield f"### {title}"
    yield ""
    if block is not Scenario:
        yield f"{(block.__doc__ or '').strip().splitlines()[0]}"
        yield ""
    yield "| key | expected | default | meaning |"
    yield "|---|---|---|---|"
    for key, info in block.model_fields.items():
        cells = (f"`{key}`", _expected(info), _default(info), info.description or "")
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _expected(info: FieldInfo) -> str:
    inner = block_in(info.annotation)
    if inner is not None:
        return "a block"
    for mark in info.metadata:
        if isinstance(mark, Number):
            return mark.words(whole=_is_whole(info.annotation))
        if isinstance(mark, Expected):
            return mark.text
    return _words(info.annotation)


def _is_whole(annotation: object) -> bool:
    return "int" in str(annotation) and "float" not in str(annotation)


def _words(annotation: object) -> str:
    """The text for an annotation, from the `Number` and `Expected` inside it."""
    for part in getattr(annotation, "__metadata__", ()):
        if isinstance(part, Number):
            return part.words(whole=_is_whole(annotation))
        if isinstance(part, Expected):
            return part.text
    arguments = getattr(annotation, "__args__", ())
    if "Literal" in str(getattr(annotation, "__origin__", "")):
        return ", ".join(f"`{value}`" for value in arguments)
    if str(annotation).startswith("dict["):
        key, value = (_words(argument) or "any" for argument in arguments)
        return f"a mapping of {key} to {'a block' if value == 'any' or 'mapping' in value else value}"
    for argument in arguments:
        found = _words(argument)
        if found:
            return f"a list, each {found}" if "tuple" in str(annotation).split("[")[0] else found
    return {"bool": "`true` or `false`", "str": "text", "int": "a whole number", "float": "a number"}.get(
        getattr(annotation, "__name__", ""), ""
    )


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None or value == () or value == {} or value == "":
        return "none"
    if isinstance(value, Block):
        return "its defaults"
    if isinstance(value, tuple):
        return f"`[{', '.join(str(item) for item in value)}]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"
