"""The soak benchmark in short: a generator whose memory does not climb with its transactions.

The bound is wider than the benchmark's, since within a minute caches still fill: it catches what
keeps a kilobyte of every transaction, not what keeps a hundred bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from soak import Sample, judge, slope_per_s, soak

pytestmark = pytest.mark.timing

MINUTES, TPS = 0.75, 800
MOST_BYTES_PER_TRANSACTION = 1_000


def test_a_line_is_laid_through_the_second_half() -> None:
    rising = [Sample(float(s), 100.0 + 2.0 * s) for s in range(10)]
    assert slope_per_s(rising) == pytest.approx(2.0)
    settled = [Sample(float(s), 10.0 * s if s < 50 else 500.0) for s in range(100)]
    assert judge(settled, 50_000, 100.0).climb_mb == pytest.approx(0.0)
    assert judge(settled, 50_000, 100.0).flat


def test_a_leak_of_half_a_kilobyte_per_transaction_is_not_flat() -> None:
    samples = [Sample(float(s), 100.0 + s * 500 * 512 / 1e6) for s in range(100)]
    verdict = judge(samples, 50_000, 100.0)
    assert verdict.climb_mb == pytest.approx(512.0)
    assert not verdict.flat


def test_memory_does_not_climb_with_the_transactions(tmp_path: Path) -> None:
    samples, results = soak(MINUTES, TPS, 200, tmp_path)
    counts = results["transactions"]
    assert isinstance(counts, dict)
    assert counts["completed"] > 5_000
    last_third = samples[2 * len(samples) // 3 :]
    climbed_bytes = (last_third[-1].rss_mb - last_third[0].rss_mb) * 1e6
    assert climbed_bytes / (counts["completed"] / 3) < MOST_BYTES_PER_TRANSACTION
