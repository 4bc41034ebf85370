"""The reason a call failed, out of whatever the other side sent, in one short line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from banksim.systems.transport import Reply

MAX_CHARS = 300


def failure_text(reply: Reply) -> str:
    """ "connection refused", "HTTP 422: body.description: Field required", …; never empty."""
    if reply.status == 0:
        return (reply.error or "no answer")[:MAX_CHARS]
    reason = reply.error or detail_of(reply.data)
    return f"HTTP {reply.status}: {reason}"[:MAX_CHARS] if reason else f"HTTP {reply.status}"


def detail_of(data: Any) -> str:
    """The ``detail`` of an error body: text as it is, a schema failure's list joined, else the text sent."""
    if isinstance(data, str):
        return _plain(data)[:MAX_CHARS]
    if not isinstance(data, Mapping):
        return ""
    for key in ("detail", "message", "error"):
        match data.get(key):
            case str(text):
                return text[:MAX_CHARS]
            case [_, *_] as problems:
                return "; ".join(_problem(problem) for problem in problems[:5])[:MAX_CHARS]
    return ""


def _plain(text: str) -> str:
    """A page's words without its tags, in one line: what is no JSON is often some server's error page."""
    if text.lstrip()[:1] == "<":
        text = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    return " ".join(text.split())


def _problem(problem: Any) -> str:
    """One entry of a schema failure: ``{"loc": ["body", "amount"], "msg": "Field required"}``."""
    if not isinstance(problem, Mapping):
        return str(problem)
    loc = problem.get("loc")
    where = ".".join(str(step) for step in loc) if isinstance(loc, Sequence) else ""
    return f"{where}: {problem.get('msg', problem)}" if where else str(problem.get("msg", problem))
