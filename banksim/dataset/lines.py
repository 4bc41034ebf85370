"""Blocks as CSV text: whole columns become pieces of lines, and the pieces are joined.

    2f0c…,2026-01-05T09:30:12.250Z,│purchase,pos,│12│.50,USD,posted,C│00000042,A000000420,│731│.05,│…

A piece is a table of texts with a code per row, fixed-width ASCII, or whole numbers.  With pyarrow the
pieces are joined by it, else by plain Python: both give the bytes that `files.TransactionLines` gives
for one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from banksim.activity.block import CHANNELS, DECLINES, KINDS, Block, Legend
from banksim.dataset.files import (
    FRACTION,
    Money,
    Times,
    TransactionLines,
    account_id,
    cell,
    customer_id,
)
from banksim.dataset.sinks import import_pyarrow
from banksim.dataset.stream import Batch
from banksim.model import BanksimError, Merchant
from banksim.model.money import minor_digits
from banksim.run.plan import Parts
from banksim.world import Customer
from banksim.world.columns import DEGREE
from banksim.world.random import Ints

Ascii = NDArray[np.uint8]
Table = Sequence[str]
#: A table and a code per row, n × width characters, or n whole numbers.
Piece = tuple[Table, NDArray[Any]] | NDArray[Any]

#: Rows for which loading pyarrow pays (measured: 0.25 s against about 1 µs a row).
_WORTH_ARROW = 250_000
_HOUR_MS = 3_600_000
_DIGITS = np.frombuffer(b"".join(b"%04d" % n for n in range(10_000)), np.uint8).reshape(-1, 4)
_MINUTE_SECOND = np.frombuffer(
    b"".join(b"%02d:%02d." % divmod(n, 60) for n in range(3600)), np.uint8
).reshape(-1, 6)
_MILLISECOND = np.frombuffer(b"".join(b"%03dZ" % n for n in range(1000)), np.uint8).reshape(-1, 4)
#: Whole degrees from 0 to 180, then the same with a minus in front.
_DEGREES = tuple(f"{sign}{degrees}" for sign in ("", "-") for degrees in range(181))
_FOUR_DECIMALS = tuple(f".{n:04d}," for n in range(DEGREE))


class BatchLines:
    """Turns batches into lines of `files.TRANSACTIONS`."""

    def __init__(self, legend: Legend, join: Join) -> None:
        self._legend, self._join = legend, join
        self._one = TransactionLines(legend.currency)
        self._acts = tuple(f"{kind},{channel}," for kind in KINDS for channel in CHANNELS)
        fractions = FRACTION if minor_digits(legend.currency) == 2 else ("",)
        self._per_unit = len(fractions)
        self._amounts = tuple(
            f"{cents},{legend.currency},{'refused' if word else 'posted'},{word},C"
            for word in DECLINES
            for cents in fractions
        )
        self._befores = tuple(f"{cents}," for cents in fractions)
        # The last one stands for -1: none.
        self._merchants = (*map(_merchant, legend.merchants), ",,,,")
        self._cities = tuple(f"{cell(city)},{cell(country)}," for city, country in legend.cities)
        self._texts: tuple[str, ...] = ()
        self._truths = tuple(f"{cell(persona)},genuine,0,,,,\n" for persona in legend.personas)

    def chunks(self, batch: Batch) -> list[bytes | memoryview]:
        """The batch as text, in parts."""
        block = batch.block
        cuts = [0, *(at for at, _ in batch.dated), len(block)]
        texts: list[bytes | memoryview] = [b""] * (len(cuts) - 1)
        if len(block):
            texts = self._join(self._pieces(block), cuts)
        chunks = texts[:1]
        for (_, entry), text in zip(batch.dated, texts[1:], strict=True):
            chunks += [self._one.line(entry).encode(), text]
        return chunks

    def _pieces(self, block: Block) -> list[Piece]:
        legend = self._legend
        if len(self._texts) < len(legend.descriptions):
            self._texts = tuple(f"{cell(text)}," for text in legend.descriptions)
        whole, cents = np.divmod(block.amount_cents, self._per_unit)
        had, had_cents = np.divmod(block.balance_before_cents, self._per_unit)
        latitude, north = _degrees(block.latitude)
        longitude, east = _degrees(block.longitude)
        return [
            self._names(block),
            (self._acts, block.kind.astype(np.int64) * len(CHANNELS) + block.channel),
            whole,
            (self._amounts, cents + self._per_unit * block.decline.astype(np.int64)),
            _customers(block),
            had,
            (self._befores, had_cents),
            *_payees(block),
            (self._merchants, np.where(block.merchant < 0, len(self._merchants) - 1, block.merchant)),
            _with_comma(legend.device_ids(block.customer, block.device)),
            (self._cities, block.city),
            (_DEGREES, latitude),
            (_FOUR_DECIMALS, north),
            (_DEGREES, longitude),
            (_FOUR_DECIMALS, east),
            (self._texts, block.description),
            (self._truths, block.persona),
        ]

    def _names(self, block: Block) -> Ascii:
        """Ids and moments: milliseconds are cut, not rounded."""
        count = len(block)
        text = np.full((count, 62), ord(","), np.uint8)
        text[:, :36] = self._legend.transaction_ids(block.row)
        milliseconds = ((self._legend.start_epoch_s + block.sim_s) * 1000).astype(np.int64)
        hours, rest_ms = np.divmod(milliseconds, _HOUR_MS)
        unique, of = np.unique(hours, return_inverse=True)
        prefixes = [f"{datetime.fromtimestamp(int(hour) * 3600, UTC):%Y-%m-%dT%H:}" for hour in unique]
        text[:, 37:51] = np.frombuffer("".join(prefixes).encode(), np.uint8).reshape(-1, 14)[of]
        text[:, 51:57] = _MINUTE_SECOND[rest_ms // 1000]
        text[:, 57:61] = _MILLISECOND[rest_ms % 1000]
        return text


def _merchant(merchant: Merchant) -> str:
    cells = (merchant.merchant_id, merchant.name, merchant.category_code, merchant.category)
    return "".join(f"{cell(text)}," for text in cells)


def _number(customers: Ints, slots: NDArray[np.int8], prefix: bytes) -> Ascii:
    """``prefix``, eight digits, the slot of the account and a comma."""
    text = np.full((len(customers), 11), ord(","), np.uint8)
    text[:, 0] = ord(prefix)
    text[:, 1:5], text[:, 5:9] = _DIGITS[customers // 10_000], _DIGITS[customers % 10_000]
    text[:, 9] = slots + ord("0")
    return text


def _customers(block: Block) -> Ascii:
    """``00000042,A000000420,``: the letter before is part of the piece before."""
    account = _number(block.customer, block.account_slot, b"A")
    return np.concatenate([account[:, 1:9], account[:, 10:], account], axis=1)


def _payees(block: Block) -> list[Piece]:
    """The account that is paid, if any: few rows have one, so they are a table of their own."""
    paid = np.flatnonzero(block.counterparty >= 0)
    text = _number(block.counterparty[paid], block.counterparty_slot[paid], b"A").tobytes().decode()
    codes = np.zeros(len(block), np.int64)
    codes[paid] = np.arange(1, len(paid) + 1)
    return [([",", *(text[at : at + 11] for at in range(0, len(text), 11))], codes)]


def _with_comma(texts: Ascii) -> Ascii:
    return np.concatenate([texts, np.full((len(texts), 1), ord(","), np.uint8)], axis=1)


def _degrees(values: NDArray[np.float64]) -> tuple[Ints, Ints]:
    """Codes in `_DEGREES` and `_FOUR_DECIMALS`."""
    units = np.rint(values * DEGREE).astype(np.int64)
    whole, decimals = np.divmod(np.abs(units), DEGREE)
    return whole + np.where(units < 0, 181, 0), decimals


# -- Joining pieces ---------------------------------------------------------------------------------

#: Joins pieces row by row; returns the text between each two neighbouring cuts.
Join = Callable[[list[Piece], list[int]], list[bytes | memoryview]]


def join_plainly(pieces: list[Piece], cuts: list[int]) -> list[bytes | memoryview]:
    """Without pyarrow."""
    lines = list(map("".join, zip(*map(_strings, pieces), strict=True)))
    return ["".join(lines[start:end]).encode() for start, end in pairwise(cuts)]


def _strings(piece: Piece) -> list[str]:
    if isinstance(piece, tuple):
        table, codes = piece
        return list(map(table.__getitem__, codes.tolist()))
    if piece.ndim == 1:
        return list(map(str, piece.tolist()))
    width, text = piece.shape[1], piece.tobytes().decode()
    return [text[start : start + width] for start in range(0, len(text), width)]


class ArrowJoin:
    """With pyarrow, on one thread."""

    def __init__(self) -> None:
        """Raises BanksimError where pyarrow is not installed."""
        self._arrow = import_pyarrow()[0]
        from pyarrow import compute

        self._compute = compute
        # Tables that come again, by identity: they are kept, so no other takes their ids.
        self._tables: dict[int, tuple[Table, Any]] = {}

    def __call__(self, pieces: list[Piece], cuts: list[int]) -> list[bytes | memoryview]:
        lines = self._compute.binary_join_element_wise(*map(self._column, pieces), "")
        _, offsets, data = lines.buffers()
        starts, text = np.frombuffer(offsets, np.int32), memoryview(data)
        return [text[starts[start] : starts[end]] for start, end in pairwise(cuts)]

    def _column(self, piece: Piece) -> Any:
        arrow = self._arrow
        if isinstance(piece, tuple):
            table, codes = piece
            return self._table(table).take(arrow.array(codes))
        if piece.ndim == 1:
            return self._compute.cast(arrow.array(piece), arrow.string())
        count, width = piece.shape
        offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
        return arrow.StringArray.from_buffers(
            count, arrow.py_buffer(offsets), arrow.py_buffer(np.ascontiguousarray(piece))
        )

    def _table(self, table: Table) -> Any:
        if not isinstance(table, tuple):  # one of this batch alone
            return self._arrow.array(table)
        kept = self._tables.get(id(table))
        if kept is None or kept[0] is not table:
            kept = self._tables[id(table)] = table, self._arrow.array(table)
        return kept[1]


def join_for(rows: float) -> Join:
    """What joins so many rows soonest: loading pyarrow takes as long as `_WORTH_ARROW` rows save."""
    if rows < _WORTH_ARROW:
        return join_plainly
    try:
        return ArrowJoin()
    except BanksimError:
        return join_plainly


#: For texts that come again: names, cities, personas.
_known_cell = lru_cache(maxsize=4096)(cell)
#: Customers made together.
_PAGE = 1000


class PeopleLines:
    """Lines of `columns.CUSTOMERS` and `columns.ACCOUNTS` for everybody in a world."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._money = Money(parts.world.currency)
        self._times = Times()

    def all(self) -> Iterator[tuple[str, str]]:
        """Per customer: the line of the customer, the lines of the accounts."""
        population, onboarding = self._parts.world.population, self._parts.onboarding
        existing = population.size if onboarding is None else onboarding.existing
        for start in range(0, existing, _PAGE):
            for customer in population.customers(start, min(start + _PAGE, existing)):
                yield self._customer(customer, "", True), self._accounts(customer)
        if onboarding is None:
            return
        for index in range(existing, population.size):
            joining = onboarding.joining(index)
            customer = onboarding.customer(index)
            joined_at = self._times.text(self._parts.world.timestamp_s(joining.sim_s))
            accounts = self._accounts(customer) if joining.approved else ""
            yield self._customer(customer, joined_at, joining.approved), accounts

    def _customer(self, customer: Customer, joined_at: str, approved: bool) -> str:
        address, home = customer.address, customer.home
        cells = (
            customer_id(customer.index),
            _known_cell(customer.first_name),
            _known_cell(customer.last_name),
            cell(customer.email),
            cell(customer.phone),
            customer.date_of_birth.isoformat(),
            cell(address.line1),
            _known_cell(address.city),
            _known_cell(address.state),
            cell(address.postal_code),
            _known_cell(address.country),
            f"{home.latitude:.4f}",
            f"{home.longitude:.4f}",
            customer.kyc_tier,
            joined_at,
            "1" if approved else "0",
            _known_cell(customer.persona),
            self._money.text(customer.income_cents),
        )
        return ",".join(cells) + "\n"

    def _accounts(self, customer: Customer) -> str:
        currency, owner = self._parts.world.currency, customer_id(customer.index)
        return "".join(
            f"{account_id(customer.index, slot)},{owner},{spec.product},{currency},"
            f"{self._money.text(spec.opening_balance_cents)}\n"
            for slot, spec in enumerate(customer.accounts)
        )
