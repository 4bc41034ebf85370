from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from banksim.dataset.files import Money, Times, cell
from banksim.model.money import to_wire

FORMULAS = ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize("text", ["=1+1", "+49 89", "-2", "@x", "\tx", '=HYPERLINK("a","b")'])
def test_no_cell_is_a_formula(text: str) -> None:
    (row,) = csv.reader(io.StringIO(cell(text), newline=""))
    assert row == ["'" + text]


@given(
    st.text().filter(
        lambda text: "\x00" not in text and not text.startswith(("=", "+", "-", "@", "\t", "\r"))
    )
)
@example('a "quoted", cell\nof two lines')
def test_a_cell_reads_back_as_it_was(text: str) -> None:
    line = f"{cell(text)},end\n"
    assert list(csv.reader(io.StringIO(line, newline=""))) == [[text, "end"]]


@given(st.integers(-(10**12), 10**12), st.sampled_from(["USD", "JPY"]))
@example(-5, "USD")
@example(0, "USD")
def test_money_is_written_as_on_the_wire(cents: int, currency: str) -> None:
    assert Money(currency).text(cents) == to_wire(cents, currency)


@given(st.lists(st.integers(0, 4_000_000_000_000), max_size=5))
def test_times_read_back_to_the_millisecond(moments_ms: list[int]) -> None:
    times = Times()
    for ms in sorted(moments_ms):
        text = times.text((ms + 0.5) / 1000)
        moment = datetime.fromisoformat(text)
        assert moment.tzinfo == UTC
        assert round(moment.timestamp() * 1000) == ms
