"""The format of mapping files: what may stand in one, checked as a whole.

Mistakes that only compiling finds (a field that does not exist) are `mapping`'s.

Answers read by tables: which rule of a mapping fits, and what score and decision an answer holds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from banksim.model import Decision, ScoreReply
from banksim.scenario.fields import Block, Expected, Number
from banksim.targets.bastion import DECISION_WORDS
from banksim.targets.calls import Reply, failure_text

_METHODS = ("get", "post", "put", "patch", "delete")


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _status(value: Any) -> Any:
    text = str(value)
    if len(text) != 3 or text[0] not in "12345" or not (text[1:] == "xx" or text[1:].isdigit()):
        raise ValueError("no status")
    return text


Statuses = Annotated[
    tuple[Annotated[str, BeforeValidator(_status)], ...],
    BeforeValidator(_several),
    Expected("an HTTP status such as 201 or 2xx, or a list of them"),
]
Plain = str | bool | int | float | None
Values = Annotated[tuple[Plain, ...], BeforeValidator(_several), Expected("a value or a list of values")]
Seconds = Annotated[float, Number(above=0, high=3600)]


class CallBlock(Block):
    """One request: exactly one of `get`, `post`, `put`, `patch`, `delete` with the path."""

    get: str | None = None
    post: str | None = None
    put: str | None = None
    patch: str | None = None
    delete: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None
    expect: Statuses = Field(default=("2xx",), description="Statuses that are a success.")

    @model_validator(mode="after")
    def _one_method(self) -> Self:
        given = [name for name in _METHODS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected exactly one of {', '.join(_METHODS)}, got {' and '.join(given) or 'none'}"
            )
        if not self.path.startswith("/"):
            raise ValueError(f"expected a path that begins with /, got {self.path!r}")
        return self

    @property
    def method(self) -> str:
        return next(name for name in _METHODS if getattr(self, name) is not None)

    @property
    def path(self) -> str:
        return str(getattr(self, self.method))


class StepBlock(CallBlock):
    """A request of opening a customer; ``take`` names what later requests need of its answer."""

    take: dict[str, str] = Field(default_factory=dict)


class RuleBlock(Block):
    """What an answer means when everything named here holds; the first rule that does is taken."""

    status: Statuses | None = None
    at: str | None = Field(default=None, description="Path to the value, such as data.items[0].state.")
    equals: Values | None = None
    contains: Values | None = None
    means: Literal["posted", "refused", "failed", "unknown", "accepted", "waiting"]
    reason: Literal["funds", "limit", "compliance", "fraud", "card", "other"] | None = Field(
        default=None, description="Why it was refused."
    )


class CompletionBlock(Block):
    """How what was accepted is completed later."""

    by: Literal["callback", "poll", "topic"]
    id: str | None = Field(default=None, description="Correlation id out of the request's fields.")
    id_at: str | None = Field(default=None, description="Path of the correlation id in the acceptance.")
    deadline_seconds: Seconds = 30.0
    get: str | None = Field(default=None, description="What is polled, with {completion_id}.")
    every_ms: Annotated[float, Number(1, 60_000)] = 100.0
    path: str | None = Field(default=None, description="Path of the callback, with {completion_id} in it.")
    message_id_at: str | None = Field(default=None, description="Path of the id in a callback or message.")
    answers: tuple[RuleBlock, ...] = ()
    answer: ScoreBlock | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.id is None) == (self.id_at is None):
            raise ValueError("expected one of id and id_at")
        if self.by == "poll" and not self.get:
            raise ValueError("by: poll needs get, the path that is polled")
        if self.by == "topic" and not self.message_id_at:
            raise ValueError("by: topic needs message_id_at")
        if self.by == "callback" and not self.message_id_at and "{completion_id}" not in (self.path or ""):
            raise ValueError("by: callback needs {completion_id} in path, or message_id_at")
        return self


class ScoreBlock(Block):
    """Where score and decision are in the answer."""

    score: str | None = Field(default=None, description="Path of the score.")
    score_max: Annotated[float, Number(above=0)] = Field(
        default=1.0, description="The highest score; it is divided by this."
    )
    decision: str | None = Field(default=None, description="Path of the decision.")
    words: dict[str | bool | int, Literal["approve", "review", "block"]] = Field(default_factory=dict)
    review_from: Annotated[float, Number(0, 1)] | None = None
    block_from: Annotated[float, Number(0, 1)] | None = None
    reasons: str | None = None
    expect: Statuses = ("200", "201")
    accepted: Statuses | None = Field(default=None, description="Statuses that promise a verdict later.")

    @model_validator(mode="after")
    def _decides(self) -> Self:
        if self.accepted is None and self.decision is None and self.block_from is None:
            raise ValueError("expected decision (a path), or block_from (a score from which it blocks)")
        if self.accepted is None and self.score is None and self.decision is None:
            raise ValueError("expected score or decision")
        return self


class BalanceBlock(CallBlock):
    at: str = Field(description="Path of the balance.")
    unit: Literal["cents", "units"] = "units"
    currency_at: str | None = None
    gone: Statuses | None = Field(default=None, description="Statuses that say there is no such account.")


class MoveBlock(Block):
    deposit: CallBlock | None = None
    withdraw: CallBlock | None = None
    transfer: CallBlock | None = None
    any: CallBlock | None = Field(default=None, description="For movements that have none of their own.")

    @model_validator(mode="after")
    def _all(self) -> Self:
        missing = [n for n in ("deposit", "withdraw", "transfer") if getattr(self, n) is None]
        if missing and self.any is None:
            raise ValueError(f"expected {' and '.join(missing)} too, or any")
        return self


class System(Block):
    name: str
    health: CallBlock | None = None
    headers: dict[str, str] = Field(
        default_factory=dict, description="Sent with every request; ${NAME} is read from the environment."
    )
    completion: CompletionBlock | None = None


class BankMapping(System):
    """A core bank."""

    kind: Literal["bank"]
    setup: tuple[StepBlock, ...] = Field(default=(), description="Once a run, before the first customer.")
    open_customer: tuple[StepBlock, ...] = Field(default=(), description="Takes customer_id.")
    open_account: tuple[StepBlock, ...] = Field(default=(), description="Takes account_id.")
    account_id: str = Field(default="{account_id}", description="The account's id where nothing is taken.")
    opening_balance: Literal["deposit", "with_account", "none"] = "deposit"
    outside: str = Field(default="world", description="{from_id} or {to_id} where money comes in or leaves.")
    move: MoveBlock
    answers: tuple[RuleBlock, ...]
    detail_at: str | None = Field(default=None, description="Path of the text that explains a refusal.")
    balance: BalanceBlock | None = None


class DetectorMapping(System):
    """A fraud detector."""

    kind: Literal["detector"]
    score: Annotated[tuple[CallBlock, ...], BeforeValidator(_several)]
    answer: ScoreBlock


CompletionBlock.model_rebuild()


def mapping_schema() -> str:
    """JSON Schema of mapping files, for editors."""
    both = [BankMapping.model_json_schema(), DetectorMapping.model_json_schema()]
    return json.dumps({"title": "banksim mapping", "anyOf": both}, indent=2) + "\n"


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
