"""What a self-check looks at and what it says: rows as columns of numbers, and figures with a range.

A row takes about 170 bytes.  Only the first `MAX_ROWS` are kept; ``left_out`` counts the others.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any
from zlib import crc32

import numpy as np

from banksim.dataset.stream import Entry
from banksim.model import BankStatus, Channel, Decline, FraudStage, Kind, Label
from banksim.world.persona import load_categories
from banksim.world.random import Bools, Floats, Ints

MAX_ROWS = 2_000_000
KINDS = tuple(Kind)
CHANNELS = tuple(Channel)
_KIND_CODE = {kind: code for code, kind in enumerate(KINDS)}
_CHANNEL_CODE = {channel: code for code, channel in enumerate(CHANNELS)}
GENUINE, FRAUD, DECOY = 0, 1, 2
STAGES = tuple(FraudStage)
_STAGE_CODE = {stage: code for code, stage in enumerate(STAGES)}
DECLINES = tuple(Decline)
_DECLINE_CODE: dict[str, int] = {decline: code for code, decline in enumerate(DECLINES)}
_LABEL_CODE = {Label.GENUINE: GENUINE, Label.FRAUD: FRAUD, Label.DECOY: DECOY}
#: Texts are compared over seeds by this many hash values.
NAMES = 4096
#: Columns of real numbers; all others hold whole ones.
_REAL = ("time_s", "latitude", "longitude")
COLUMNS = (
    "time_s", "amount_cents", "balance_cents", "customer", "slot", "payee", "id_number", "name",
    "kind", "channel", "category", "merchant", "city", "latitude", "longitude", "device", "persona",
    "refused", "label", "typology", "campaign", "stage",
)  # fmt: skip


class Codes(dict[str, int]):
    """Numbers texts in the order in which they come."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self)
        return self[text]


class Sample:
    """Columns of equal length by name, as arrays: ``sample["amount_cents"]``; real numbers by `real`.

    ``time_s`` is unix seconds.  ``payee`` is -1 where no customer is paid, ``merchant`` and ``category``
    where there is none, ``refused`` a place in `DECLINES`.  What the numbers of texts stand for is in
    ``codes``, by column.
    """

    def __init__(self) -> None:
        self._raw: dict[str, array[Any]] = {name: array("d" if name in _REAL else "q") for name in COLUMNS}
        self.codes: dict[str, Codes] = {
            name: Codes()
            for name in ("category", "merchant", "city", "device", "persona", "typology", "campaign")
        }
        # The same numbers for every seed.
        self.codes["category"].update((name, code) for code, name in enumerate(load_categories()))
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._raw["time_s"])

    def __getitem__(self, name: str) -> Ints:
        return np.frombuffer(self._raw[name], np.int64)

    def real(self, name: str) -> Floats:
        return np.frombuffer(self._raw[name], np.float64)

    @property
    def time_s(self) -> Floats:
        return self.real("time_s")

    @property
    def is_fraud(self) -> Bools:
        return self.label_of(FRAUD)

    def label_of(self, code: int) -> Bools:
        found: Bools = self["label"] == code
        return found

    def put(self, **values: float) -> None:
        """One row; columns not named are 0."""
        for name, raw in self._raw.items():
            value = values.get(name, 0)
            raw.append(float(value) if name in _REAL else int(value))

    def add(self, entries: list[Entry]) -> None:
        room = MAX_ROWS - len(self)
        self.left_out += max(0, len(entries) - room)
        codes, raw = self.codes, self._raw
        for planned, outcome, before in entries[:room]:
            tx, truth = planned.transaction, planned.truth
            shop = tx.merchant
            row = (
                tx.timestamp_s,
                tx.amount_cents,
                before,
                tx.account.customer_index,
                tx.account.slot,
                -1 if tx.counterparty is None else tx.counterparty.customer_index,
                int(tx.transaction_id[:8], 16),
                crc32(tx.description.encode()) % NAMES,
                _KIND_CODE[tx.kind],
                _CHANNEL_CODE[tx.channel],
                -1 if shop is None else codes["category"][shop.category],
                -1 if shop is None else codes["merchant"][shop.merchant_id],
                codes["city"][f"{tx.place.country} {tx.place.city}"],
                tx.place.latitude,
                tx.place.longitude,
                codes["device"][tx.device_id],
                codes["persona"][truth.persona],
                _DECLINE_CODE[outcome.bank.detail] if outcome.bank.status is BankStatus.REFUSED else 0,
                _LABEL_CODE[truth.label],
                codes["typology"][truth.typology],
                codes["campaign"][truth.campaign_id],
                _STAGE_CODE[truth.stage],
            )
            for name, value in zip(COLUMNS, row, strict=True):
                raw[name].append(value)


# -- Figures -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value and the range it should be in.

    ``target`` is the published value in words, ``form`` how the value is written, ``source`` a mark of
    docs/realism.md.  Shown without a verdict where not ``judged``.
    """

    name: str
    target: str
    value: float
    low: float
    high: float
    source: str
    form: str = "{:.3g}"
    judged: bool = True

    @property
    def passed(self) -> bool | None:
        return self.low <= self.value <= self.high if self.judged else None

    @property
    def measured(self) -> str:
        return self.form.format(self.value)


def near(
    name: str, target: float, value: float, tolerance: float, source: str, form: str = "{:.3g}"
) -> Figure:
    """A figure that may miss its target by the part ``tolerance`` of it."""
    span = tolerance * target
    return Figure(name, form.format(target), value, target - span, target + span, source, form)


def least(name: str, low: float, value: float, source: str, form: str = "{:.3g}") -> Figure:
    return Figure(name, f"at least {form.format(low)}", value, low, inf, source, form)


def most(name: str, high: float, value: float, source: str, form: str = "{:.3g}") -> Figure:
    return Figure(name, f"at most {form.format(high)}", value, -inf, high, source, form)


def between(name: str, low: float, high: float, value: float, source: str, form: str = "{:.3g}") -> Figure:
    return Figure(name, f"{form.format(low)} to {form.format(high)}", value, low, high, source, form)


def table(by_seed: Sequence[Sequence[Figure]]) -> tuple[list[str], int, int]:
    """Rows of Markdown, one per figure, with the range over seeds; how many are judged, and missed.

    A figure passes when it does on every seed that has it.
    """
    of_name: dict[str, list[Figure]] = {}
    for figures in by_seed:
        for figure in figures:
            of_name.setdefault(figure.name, []).append(figure)
    lines = ["| figure | target | measured | result | source |", "|---|---|---|---|---|"]
    judged = missed = 0
    for name, found in of_name.items():
        lowest, highest = (choose(found, key=lambda f: f.value) for choose in (min, max))
        measured = lowest.measured
        if highest.measured != measured:
            measured = f"{measured} … {highest.measured}"
        verdicts = [figure.passed for figure in found]
        word = "not judged" if None in verdicts else "pass" if all(verdicts) else "**miss**"
        judged += word != "not judged"
        missed += word == "**miss**"
        lines.append(f"| {name} | {found[0].target} | {measured} | {word} | {found[0].source} |")
    return lines, judged, missed
