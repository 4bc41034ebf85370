"""A sample of the runs of `recompute_runs`: other scenarios, seeds and score roundings."""

from __future__ import annotations

import pytest

from tests.integration.recompute_runs import cases, recomputed


@pytest.mark.parametrize(("what", "seed", "decimals", "gaps"), cases(7))
def test_another_program_comes_to_the_same_figures(
    what: str, seed: int, decimals: int | None, gaps: bool
) -> None:
    equal, told = recomputed(what, seed, decimals, gaps, seconds=3)
    assert equal, told
    assert "0 differ" in told
