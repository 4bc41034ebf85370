"""JSON as the pages and scripts read it: no NaN, no infinity.

orjson writes NaN and infinity as null, which the pages show as "no data yet".
"""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response

#: A JSON object on its way to a browser or a script.
Json = dict[str, Any]

_OPTIONS = orjson.OPT_NON_STR_KEYS


def to_json(value: Any) -> bytes:
    """One line of JSON; a type orjson does not know (a Decimal, a Path) is written as its text."""
    return orjson.dumps(value, default=str, option=_OPTIONS)


def json_response(value: Any, code: int = 200) -> Response:
    """A JSON answer that must not be cached."""
    response = Response(to_json(value), status=code, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def problem(message: str, code: int) -> Response:
    """An error as scripts read it: {"error": "what happened and what to do"}."""
    return json_response({"error": message}, code)
