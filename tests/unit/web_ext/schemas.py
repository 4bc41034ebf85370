"""The messages' schemas, ready to validate; they may refer to each other by file name."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

FOLDER = Path(__file__).resolve().parents[3] / "web_ext" / "schemas"
_CONTENTS = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
_REGISTRY = Registry().with_resources(
    (name, Resource.from_contents(content)) for name, content in _CONTENTS.items()
)

SCHEMAS = {
    name.removesuffix(".json"): Draft202012Validator(content, registry=_REGISTRY)
    for name, content in _CONTENTS.items()
}
