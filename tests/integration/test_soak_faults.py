"""The soak with faults in short: each of the six things breaks once, and everything must still add up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from soak import Sample
from soak_faults import MAX_BYTES_PER_TRANSACTION, Soaked, soak, verdicts

pytestmark = pytest.mark.timing

WALL_S, EVERY_S, TPS = 34.0, 4.5, 40.0
#: Within half a minute caches and connections still fill; a soak of minutes is judged more strictly.
MOST_MB = 60.0


def made(**changes: int) -> Soaked:
    counts = {"offered": 100, "completed": 90, "failed": 2, "unknown": 4, "dropped": 1, "refused": 5}
    results = {
        "transactions": {**counts, **changes},
        "run": {"workers": [{"in_flight": 3, "not_offered": 1.6}, {"in_flight": 0, "not_offered": 0}]},
        "reconciliation": {"differing": 0, "verdict": "balanced", "reason": ""},
    }
    soaked = Soaked(0, results, "")
    soaked.booked.update(f"t{number}" for number in range(85))
    return soaked


def test_what_does_not_add_up_is_found() -> None:
    assert all(verdicts(made()).values())
    assert not all(verdicts(made(offered=101)).values())
    assert not all(verdicts(made(refused=4)).values())  # one less was booked than was accepted
    twice = made()
    twice.booked["t1"] += 1
    assert not all(verdicts(twice).values())
    invented = made()
    invented.booked.update(f"x{number}" for number in range(10))  # 4 unknown, 3 in flight, 2 not reported
    assert not all(verdicts(invented).values())


def test_memory_is_judged_for_each_transaction() -> None:
    soaked = made(offered=1_000)
    soaked.memory["master"] = [Sample(float(second), 100.0 + 0.02 * second) for second in range(1, 101)]
    assert soaked.climb_bytes("master") == pytest.approx(2_000)
    assert MAX_BYTES_PER_TRANSACTION < 2_000


def test_six_faults_lose_nothing(tmp_path: Path) -> None:
    soaked = soak(tmp_path, WALL_S, EVERY_S, TPS)
    assert set(soaked.faults) == {"bank", "detector", "broker", "worker", "disk", "clock"}
    broken = [what for what, holds in verdicts(soaked).items() if not holds]
    assert not broken, [broken, soaked.said]
    for samples in soaked.memory.values():
        assert samples[-1].rss_mb - samples[len(samples) // 2].rss_mb < MOST_MB
