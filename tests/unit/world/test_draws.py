from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banksim.world.random import DRAWS_PER_ROW, Draws, Shares, uuid_text, uuid_texts

ROWS = np.arange(50_000, dtype=np.int64)


@given(st.integers(0, 2**40), st.integers(0, DRAWS_PER_ROW - 1))
def test_one_word_is_the_word_of_many(row: int, k: int) -> None:
    draws = Draws(7, "test")
    assert draws.word(row, k) == int(draws.words(np.array([row, row + 1]), k)[0])


def test_a_word_depends_on_seed_names_row_and_number() -> None:
    words = {
        draws.word(row, k)
        for draws in (Draws(7, "a"), Draws(8, "a"), Draws(7, "b"), Draws(7, "a", 1))
        for row in range(5)
        for k in range(3)
    }
    assert len(words) == 4 * 5 * 3


def test_units_are_uniform_and_independent_of_their_neighbours() -> None:
    draws = Draws(7, "test")
    units = np.stack([draws.units(ROWS, k) for k in range(3)])
    assert units.min() >= 0 and units.max() < 1
    assert np.allclose(units.mean(1), 0.5, atol=0.006) and np.allclose(units.var(1), 1 / 12, atol=0.002)
    beside = np.corrcoef([units[0][:-1], units[0][1:], units[1][1:], units[2][1:]])
    assert np.abs(beside - np.eye(4)).max() < 0.02


def test_normals_are_normal() -> None:
    normals = Draws(7, "test").normals(ROWS)
    assert normals.mean() == pytest.approx(0, abs=0.02) and normals.std() == pytest.approx(1, abs=0.01)
    assert np.mean(np.abs(normals) < 1.96) == pytest.approx(0.95, abs=0.005)


def test_below_stays_below() -> None:
    counts = np.array([1, 2, 7])
    found = Draws(7, "test").below(np.arange(3), 0, counts)
    assert ((found >= 0) & (found < counts)).all()


def test_shares_are_drawn_by_weight() -> None:
    shares = Shares([[1.0], [1, 0, 3], [0, 0], [0.2, 0.2, 0.0]])
    units = Draws(7, "test").units(ROWS)
    seen = [Counter(shares.pick(np.full_like(ROWS, choice), units).tolist()) for choice in range(4)]
    assert seen[0] == {0: len(ROWS)} and seen[2] == {0: len(ROWS)}
    assert seen[1][0] / len(ROWS) == pytest.approx(0.25, abs=0.01) and set(seen[1]) == {0, 2}
    assert set(seen[3]) == {0, 1}
    assert shares.pick(np.array([3]), np.array([1 - 2.0**-53])).tolist() == [1]


def test_ids_have_the_form_of_version_4() -> None:
    draws = Draws(7, "test")
    high, low = draws.words(ROWS, 0), draws.words(ROWS, 1)
    texts = [bytes(text).decode() for text in uuid_texts(high, low)]
    assert texts[:50] == [uuid_text(draws.word(row, 0), draws.word(row, 1)) for row in range(50)]
    assert len(set(texts)) == len(texts)
    form = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(map(form.fullmatch, texts))
