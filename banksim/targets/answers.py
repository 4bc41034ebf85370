"""Answers read by tables: which rule of a mapping fits, and what score and decision an answer holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from banksim.model import Decision, ScoreReply
from banksim.targets.bastion_wire import DECISION_WORDS
from banksim.targets.calls import Reply, failure_text
from banksim.targets.mapping_format import RuleBlock, ScoreBlock


@lru_cache(maxsize=1000)
def statuses(patterns: tuple[str, ...]) -> frozenset[int]:
    """The statuses that "201" and "2xx" stand for."""
    found: set[int] = set()
    for pattern in patterns:
        found |= (
            set(range(int(pattern[0]) * 100, int(pattern[0]) * 100 + 100))
            if "x" in pattern
            else {int(pattern)}
        )
    return frozenset(found)


def walk(path: str) -> Callable[[Any], Any]:
    """Reads ``a.b[0].c`` out of decoded JSON; None where there is nothing.  ``*`` is the first value."""
    parts = [part for part in path.replace("[", ".[").split(".") if part]
    steps = [int(part[1:-1]) if part[:1] == "[" and part[1:-1].isdigit() else part for part in parts]

    def read(data: Any) -> Any:
        for step in steps:
            try:
                data = next(iter(data.values())) if step == "*" else data[step]
            except (StopIteration, AttributeError, KeyError, IndexError, TypeError):
                return None
        return data

    return read


def word_of(value: Any) -> str:
    if type(value) is str:
        return value.strip().lower()
    return "true" if value is True else "false" if value is False else str(value).strip().lower()


def id_in(value: Any) -> str:
    """An id out of an answer; numbers are as good as text."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and str(value) else ""


class Rules:
    def __init__(self, blocks: Iterable[RuleBlock]) -> None:
        self._rules = [
            (
                statuses(block.status) if block.status else None,
                walk(block.at) if block.at else None,
                frozenset(map(word_of, block.equals)) if block.equals is not None else None,
                tuple(map(word_of, block.contains)) if block.contains is not None else None,
                block,
            )
            for block in blocks
        ]

    def of(self, reply: Reply) -> RuleBlock | None:
        for status, at, equals, contains, block in self._rules:
            if status is not None and reply.status not in status:
                continue
            if at is not None or equals is not None or contains is not None:
                value = at(reply.data) if at is not None else reply.data
                if value is None:
                    continue
                word = word_of(value)
                if equals is not None and word not in equals:
                    continue
                if contains is not None and not any(text in word for text in contains):
                    continue
            return block
        return None


class ScoreReader:
    def __init__(self, block: ScoreBlock) -> None:
        self._block = block
        self._expected = statuses(block.expect)
        self._score = walk(block.score) if block.score else None
        self._decision = walk(block.decision) if block.decision else None
        self._reasons = walk(block.reasons) if block.reasons else None
        self._words = {word_of(word.lower()): decision for word, decision in DECISION_WORDS.items()} | {
            word_of(word): Decision(decision) for word, decision in block.words.items()
        }

    def __call__(self, reply: Reply) -> ScoreReply:
        block, data = self._block, reply.data
        if reply.status not in self._expected or reply.error:
            return ScoreReply(None, Decision.NONE, (), reply.latency_ms, failure_text(reply), reply.limit)
        score, decision, errors = None, Decision.NONE, []
        if self._score is not None:
            value = self._score(data)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                errors.append(f"no number at {block.score!r}")
            elif not 0 <= value <= block.score_max:
                errors.append(f"score {value:.6g} is outside 0..{block.score_max:g}")
            else:
                score = value / block.score_max
        if self._decision is not None:
            value = self._decision(data)
            decision = self._words.get(word_of(value), Decision.NONE) if value is not None else Decision.NONE
            if decision is Decision.NONE:
                errors.append(f"decision {str(value)[:40]!r} at {block.decision!r} is not among the words")
            elif self._score is None:
                score = {Decision.APPROVE: 0.0, Decision.REVIEW: 0.5, Decision.BLOCK: 1.0}[decision]
        elif score is not None:
            blocks = block.block_from is not None and score >= block.block_from
            reviews = block.review_from is not None and score >= block.review_from
            decision = Decision.BLOCK if blocks else Decision.REVIEW if reviews else Decision.APPROVE
        reasons = self._reasons(data) if self._reasons is not None else None
        listed = tuple(str(r)[:120] for r in reasons[:20]) if isinstance(reasons, list) else ()
        return ScoreReply(score, decision, listed, reply.latency_ms, "; ".join(errors))
