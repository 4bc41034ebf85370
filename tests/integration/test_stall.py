"""A bank that stands still once, for two seconds: the response time tells, the service time hides it.

Few requests are on the wire during the stall, so hardly any service time sees it.  Everything due
in those seconds waits all the same, and from the intended start that shows (what wrk2 calls
coordinated omission, put right).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.lock import BoundedSemaphore

from banksim.measure.results import encode
from banksim.sandbox import BankApi
from tests.integration.driver import Driver, settings_for

pytestmark = pytest.mark.timing

STALL_S = 2.0
STEADY = """\
name: Steady
duration_hours: 10
speed_multiplier: 3600
customers: 40
transaction_rate: {peak_tps: 70, off_peak_tps: 70}
fraud: {rate: 0, patterns: []}
"""


@pytest.fixture
def stalling_bank(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every bank of this process serves one call at a time and stands still at the 200th transaction."""
    served = [0]
    one_at_a_time = BoundedSemaphore()
    handle = BankApi.handle

    def stalling(self: BankApi, method: str, path: str, *rest: Any) -> tuple[int, Any]:
        with one_at_a_time:
            if "/transactions/" in path:
                served[0] += 1
                if served[0] == 200:
                    gevent.sleep(STALL_S)
            return handle(self, method, path, *rest)

    monkeypatch.setattr(BankApi, "handle", stalling)
    return served


def test_a_stall_shows_in_the_response_time_only(tmp_path: Path, stalling_bank: list[int]) -> None:
    run = Driver(settings_for(tmp_path, STEADY), users=2).conduct()
    assert run.results is not None
    found, counts = encode(run.results)["latency_ms"], encode(run.results)["transactions"]
    assert stalling_bank[0] > 400
    assert counts["dropped"] == 0 and counts["sent"] == counts["completed"]
    # About 140 of 700 transactions fell due in the stall: p99 is near its whole length.
    assert 1_500 < found["response"]["p99"] < 2_500
    # Two users were waiting on the wire, fewer than one in a hundred.
    assert found["service"]["p99"] < 500
    assert found["service"]["max"] == pytest.approx(STALL_S * 1_000, rel=0.1)
    assert found["lag"]["p99"] > 1_500
    assert any("the generator was late" in sentence for sentence in run.results.limits)
