from __future__ import annotations

import random
from statistics import mean

from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.fraud.plan import even_parts, split, whole_number


@settings(max_examples=60)
@given(
    total=st.integers(0, 5000),
    usual=st.floats(1, 60),
    smallest=st.integers(1, 5),
    most=st.integers(1, 400),
    seed=st.integers(0, 99),
)
def test_sizes_add_up_and_keep_their_bounds(total, usual, smallest, most, seed):
    sizes = list(split(total, usual, smallest, most, random.Random(seed)))
    assert sum(sizes) == total
    assert len(sizes) <= most
    if total >= smallest:
        assert all(size >= smallest for size in sizes)


def test_sizes_are_around_the_usual_one_and_differ():
    sizes = list(split(3000, 30, 2, 1000, random.Random(1)))
    assert 27 < mean(sizes) < 33
    assert len(set(sizes)) > 10


def test_a_fractional_budget_holds_on_average():
    rng = random.Random(5)
    for budget, smallest in ((7.3, 1), (0.4, 1), (1.1, 3), (3.5, 3)):
        draws = [whole_number(budget, smallest, rng) for _ in range(20_000)]
        assert abs(mean(draws) - budget) < 0.05
        assert all(draw == 0 or draw >= smallest for draw in draws)


@given(st.integers(0, 1000), st.integers(0, 50))
def test_even_parts_add_up_and_differ_by_one(total, parts):
    result = even_parts(total, parts)
    if parts:
        assert sum(result) == total
        assert not result or max(result) - min(result) <= 1
    else:
        assert result == []
