"""The search brackets a known limit, whatever the limit and the way it climbs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banksim.run.capacity import CapacitySearch


def search(**changes: float | None) -> CapacitySearch:
    plain: dict[str, float | None] = {
        "start_tps": 10,
        "factor": 1.5,
        "step": None,
        "precision": 0.05,
        "max_tps": 10_000,
    }
    return CapacitySearch(**(plain | changes))  # type: ignore[arg-type]


def tried(found: CapacitySearch, limit_tps: float) -> list[float]:
    rates = []
    while found.tps is not None:
        rates.append(found.tps)
        assert len(rates) < 200
        found.judge(found.tps <= limit_tps)
    return rates


@given(limit_tps=st.floats(0.5, 9_000), step=st.one_of(st.none(), st.floats(50, 500)))
def test_it_brackets_the_limit_within_the_precision(limit_tps: float, step: float | None) -> None:
    found = search(step=step)
    tried(found, limit_tps)
    assert found.held_tps is not None and found.failed_tps is not None
    assert found.held_tps <= limit_tps < found.failed_tps
    assert found.failed_tps / found.held_tps <= 1.05 + 1e-9


def test_it_climbs_then_bisects() -> None:
    rates = tried(search(), 30)
    assert rates[:4] == [10, 15, 22.5, 33.75]
    assert all(22.5 < rate < 33.75 for rate in rates[4:])


def test_it_stops_at_the_highest_rate_allowed() -> None:
    found = search(max_tps=40)
    assert tried(found, 1e9)[-1] == 40
    assert (found.held_tps, found.bounded) == (40, False)


def test_it_gives_up_where_nothing_holds() -> None:
    found = search()
    tried(found, 0)
    assert (found.held_tps, found.bounded) == (None, True)


def test_a_finished_search_takes_no_more_judgements() -> None:
    found = search(max_tps=10)
    found.judge(True)
    with pytest.raises(ValueError, match="over"):
        found.judge(True)
