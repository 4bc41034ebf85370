"""Results and calls in columns: what a flush hands on, counted without an object for each.

A `ResultBlock` is a sequence of `Ended` and a `CallBlock` one of `Call`, so any sink can go through
them; a row becomes an object only when a sink asks for it.  All columns have the shape (n,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, TypeVar, overload

import numpy as np

from banksim.measure.scores import Floats, Ints
from banksim.model import (
    BankReply,
    BankStatus,
    Channel,
    Decision,
    Ended,
    Label,
    Outcome,
    Planned,
    ScoreReply,
    refusal_reason,
)
from banksim.targets import Call
from banksim.targets.calls import System

Bools = np.ndarray[Any, np.dtype[np.bool_]]

#: What the codes of the columns stand for.
LABELS, CHANNELS, STATUSES, DECISIONS = tuple(Label), tuple(Channel), tuple(BankStatus), tuple(Decision)
GENUINE = LABELS.index(Label.GENUINE)
POSTED, REFUSED, FAILED = map(STATUSES.index, (BankStatus.POSTED, BankStatus.REFUSED, BankStatus.FAILED))
UNKNOWN, SKIPPED = STATUSES.index(BankStatus.UNKNOWN), STATUSES.index(BankStatus.SKIPPED)
REVIEW, BLOCK = DECISIONS.index(Decision.REVIEW), DECISIONS.index(Decision.BLOCK)
NO_DECISION = DECISIONS.index(Decision.NONE)

Block = TypeVar("Block", "ResultBlock", "CallBlock")


@dataclass(frozen=True, slots=True)
class Notes:
    """What few rows have, by row number: the bank's text, the detector's reasons, why a score is unusable."""

    bank: Mapping[int, str] = field(default_factory=dict)
    reasons: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    score_errors: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ResultBlock(Sequence[Ended]):
    """Transactions that ended.

    ``row`` is a transaction's number, by which ``planned`` makes it and ``notes`` know it.  ``due_s``,
    ``start_s`` and ``end_s`` are wall seconds of one clock.  ``score`` is NaN where no usable one came.
    """

    planned: Callable[[int], Planned]
    personas: Sequence[str]
    row: Ints
    sim_s: Floats
    label: Ints
    persona: Ints
    channel: Ints
    amount_cents: Ints
    due_s: Floats
    start_s: Floats
    end_s: Floats
    status: Ints
    bank_ms: Floats
    decision: Ints
    score: Floats
    score_ms: Floats
    notes: Notes = field(default_factory=Notes)
    #: By index, and 0 cents where nothing goes out; None where customers are not told apart.
    customer: Ints | None = None
    spent_cents: Ints | None = None

    def __len__(self) -> int:
        return len(self.row)

    @overload
    def __getitem__(self, place: int) -> Ended: ...
    @overload
    def __getitem__(self, place: slice) -> ResultBlock: ...
    def __getitem__(self, place: int | slice) -> Ended | ResultBlock:
        if isinstance(place, slice):
            return take(self, np.arange(len(self))[place])
        return Ended(self.planned(int(self.row[place])), self.outcome(place))

    def outcome(self, place: int) -> Outcome:
        """Both answers of one row."""
        row, score = int(self.row[place]), float(self.score[place])
        return Outcome(
            BankReply(STATUSES[self.status[place]], self.notes.bank.get(row, ""), float(self.bank_ms[place])),
            ScoreReply(
                None if score != score else score,
                DECISIONS[self.decision[place]],
                self.notes.reasons.get(row, ()),
                float(self.score_ms[place]),
                self.notes.score_errors.get(row, ""),
            ),
            float(self.lag_ms[place]),
            float(self.service_ms[place]),
        )

    @property
    def lag_ms(self) -> Floats:
        return np.maximum(self.start_s - self.due_s, 0.0) * 1000.0

    @property
    def service_ms(self) -> Floats:
        return (self.end_s - self.start_s) * 1000.0

    @cached_property
    def alert(self) -> Bools:
        alert: Bools = (self.decision == REVIEW) | (self.decision == BLOCK) | self.stopped_by_bank
        return alert

    @property
    def stopped_by_bank(self) -> Bools:
        """Whether the bank refused by fraud rules."""
        stopped: Bools = self.status == REFUSED
        for place in np.flatnonzero(stopped):
            stopped[place] = refusal_reason(self.notes.bank.get(int(self.row[place]), "")) == "fraud"
        return stopped

    @property
    def score_failed(self) -> Bools:
        """Whether the detector was asked and something was wrong with its answer."""
        errors = self.notes.score_errors
        return np.isin(self.row, list(errors)) if errors else np.zeros(len(self), np.bool_)


@dataclass(frozen=True, slots=True)
class CallBlock(Sequence[Call]):
    """Calls to one system that went well.  ``call`` is the place of a call's (method, name) in ``calls``."""

    system: System
    calls: Sequence[tuple[str, str]]
    call: Ints
    latency_ms: Floats
    status: Ints
    request_bytes: Ints
    response_bytes: Ints

    def __len__(self) -> int:
        return len(self.call)

    @overload
    def __getitem__(self, place: int) -> Call: ...
    @overload
    def __getitem__(self, place: slice) -> CallBlock: ...
    def __getitem__(self, place: int | slice) -> Call | CallBlock:
        if isinstance(place, slice):
            return take(self, np.arange(len(self))[place])
        method, name = self.calls[self.call[place]]
        sizes = int(self.request_bytes[place]), int(self.response_bytes[place])
        return Call(
            self.system, method, name, float(self.latency_ms[place]), int(self.status[place]), *sizes, None
        )


def number_of(mask: Bools) -> int:
    """How many are true."""
    return int(np.count_nonzero(mask))


def take(block: Block, places: Ints | Bools) -> Block:
    """Some rows of a block, by places or by a mask."""
    columns = {one.name: getattr(block, one.name) for one in fields(block)}
    taken: dict[str, Any] = {k: part[places] for k, part in columns.items() if isinstance(part, np.ndarray)}
    return replace(block, **taken)
