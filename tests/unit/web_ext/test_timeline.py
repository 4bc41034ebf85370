"""Thinning keeps sums, averages and spikes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web_ext.stream import thin


def point(sim_s, rate=1.0, fraud=0, p99_ms=5.0):
    return {
        "wall_s": sim_s,
        "sim_s": sim_s,
        "offered_tps": rate,
        "achieved_tps": rate,
        "predicted_tps": None,
        "fraud": fraud,
        "alerts": fraud,
        "p99_ms": p99_ms,
    }


def test_few_points_stay_as_they_are():
    points = [point(1), point(2)]
    assert thin(points, 2) == points


def test_two_become_one():
    [merged] = thin([point(1, rate=10, fraud=2, p99_ms=900), point(2, rate=20, fraud=3, p99_ms=4)], 1)
    assert merged["sim_s"] == 2
    assert merged["offered_tps"] == 15
    assert merged["fraud"] == 5
    assert merged["p99_ms"] == 900
    assert merged["predicted_tps"] is None


def test_missing_numbers_are_not_zero():
    first, second = point(1, rate=8), point(2)
    second["offered_tps"] = None
    assert thin([first, second], 1)[0]["offered_tps"] == 8


@settings(max_examples=60)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=300), st.integers(1, 40))
def test_never_too_many_and_nothing_uncounted(frauds, limit):
    points = [point(i, fraud=n, p99_ms=n) for i, n in enumerate(frauds)]
    thinned = thin(points, limit)
    assert len(thinned) <= max(limit, 1)
    assert sum(p["fraud"] for p in thinned) == sum(frauds)
    assert max(p["p99_ms"] for p in thinned) == max(frauds)
    assert thinned[-1]["sim_s"] == pytest.approx(len(frauds) - 1)
