"""Blocks as text: the same bytes with and without pyarrow, and entry by entry."""

from __future__ import annotations

from typing import Any

import pytest

from banksim.dataset.files import TransactionLines
from banksim.dataset.lines import ArrowJoin, BatchLines, Join, join_for, join_plainly
from banksim.dataset.stream import Stream
from tests.unit.dataset.helpers import parts


@pytest.mark.parametrize("join", [join_plainly, ArrowJoin()], ids=["plain", "arrow"])
@pytest.mark.parametrize(
    "changes",
    [
        {"fraud": {"rate": 0.1, "decoy_rate": 0.05}, "customers": 60, "initial_balance": 300},
        {"currency": "JPY", "locale": "ja_JP", "initial_balance": 750_000},
        {"locale": "de_DE", "currency": "EUR", "fraud": {"rate": 0.0}},
    ],
)
def test_a_batch_is_written_as_its_entries(join: Join, changes: dict[str, Any]) -> None:
    made = parts(5, duration_hours=24, **changes)
    block_lines, one = BatchLines(made.activity.rows.legend, join), TransactionLines(made.world.currency)
    rows = 0
    for batch in Stream(made).batches():
        text = b"".join(block_lines.chunks(batch)).decode()
        assert text == "".join(map(one.line, batch.entries()))
        rows += len(batch)
    assert rows > 1000


def test_few_rows_are_joined_without_pyarrow() -> None:
    assert join_for(1000) is join_plainly
    assert isinstance(join_for(1e6), ArrowJoin)
