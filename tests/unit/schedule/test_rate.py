"""The arithmetic of step functions: value, integral, and the inverse of the integral."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banksim.schedule.clock import Piece, PiecewiseRate


def steps(values: list[float]) -> PiecewiseRate:
    return PiecewiseRate(Piece(i * 10.0, (i + 1) * 10.0, v) for i, v in enumerate(values))


def test_value_is_that_of_the_piece_and_zero_outside() -> None:
    rate = steps([1, 5])
    assert [rate.at(s) for s in (-1, 0, 9.99, 10, 19.99, 20)] == [0, 1, 1, 5, 5, 0]


def test_integral_over_parts_of_pieces() -> None:
    rate = steps([1, 5, 2])
    assert rate.integral(5, 25) == pytest.approx(5 + 50 + 10)
    assert rate.total() == pytest.approx(80)


def test_a_gap_is_refused() -> None:
    with pytest.raises(ValueError, match="starts at 11"):
        PiecewiseRate([Piece(0, 10, 1), Piece(11, 12, 1)])


def test_a_negative_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="negative rate -1"):
        PiecewiseRate([Piece(0, 10, -1)])


def test_product_takes_the_union_of_the_edges() -> None:
    product = steps([2, 4]).times(PiecewiseRate([Piece(0, 5, 1), Piece(5, 20, 3)]))
    assert [(p.start_s, p.end_s, p.value) for p in product] == [(0, 5, 2), (5, 10, 6), (10, 20, 12)]


def test_no_moment_when_the_area_never_passes() -> None:
    assert steps([1, 0]).moment_after(0, 10.5) is None


def test_the_inverse_skips_flat_stretches() -> None:
    # area 10 is reached at 10 s; what follows the flat stretch comes after 20 s
    assert steps([1, 0, 1]).moment_after(0, 12) == pytest.approx(22)


@given(
    values=st.lists(st.floats(0, 1000), min_size=1, max_size=8),
    start_share=st.floats(0, 1),
    area_share=st.floats(0.001, 0.999),
)
def test_inverse_of_the_integral(values: list[float], start_share: float, area_share: float) -> None:
    rate = steps(values)
    start_s = start_share * rate.duration_s
    area = area_share * rate.integral(start_s, rate.duration_s)
    moment_s = rate.moment_after(start_s, area)
    if moment_s is None:  # only rounding at the very end may say so
        assert area == pytest.approx(rate.integral(start_s, rate.duration_s))
        return
    assert start_s <= moment_s <= rate.duration_s
    assert rate.integral(start_s, moment_s) == pytest.approx(area, abs=1e-6 * max(1.0, rate.total()))
