"""What is killed in the middle of a wait has taken nothing with it."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import gevent
import pytest
from gevent.event import Event

from banksim.run.sink import CONCURRENCY, Feedback
from banksim.run.stand_ins import FaultConductor, StandIns
from banksim.sandbox.http import ActiveFault
from banksim.scenario.models import DetectorUse
from banksim.scenario.targets import Fault
from banksim.schedule.clock import Clock
from banksim.targets import BastionClient


def running_clock() -> Clock:
    clock = Clock(1e6, 1.0)
    clock.start(time.monotonic() - 100.0)
    return clock


def test_a_label_that_waits_for_a_place_is_sent_or_counted_as_not_sent() -> None:
    """The detector answers no label: all places are taken, and the next one waits for a place."""
    forever = Event()
    detector = SimpleNamespace(feedback=lambda *_: forever.wait(), address="here")
    feedback = Feedback(DetectorUse(feedback=True), cast(BastionClient, detector), running_clock(), 1)
    feedback._waiting = [(float(n), f"tx-{n}", True) for n in range(CONCURRENCY + 3)]
    sending = gevent.spawn(feedback.run)
    gevent.sleep(0.05)
    sending.kill()
    assert feedback.figures().not_sent == 3
    forever.set()


class SlowStandIns:
    """Takes a moment for each change of faults, and loses the one that is cut off."""

    def __init__(self) -> None:
        self.on: dict[str, list[int]] = {}
        self.changes = 0

    def set_faults(self, target: str, faults: list[ActiveFault]) -> None:
        self.changes += 1
        gevent.sleep(0.1)
        self.on[target] = [fault.number for fault in faults]


@pytest.mark.parametrize("changes", [1, 2], ids=["cut off while it begins", "cut off while it ends"])
def test_no_fault_outlives_a_run(changes: int) -> None:
    fault: Any = SimpleNamespace(
        start_s=10.0,
        end_s=100.0 + (0.05 if changes == 2 else 1e5),
        target="bank",
        kind="errors",
        share=1.0,
        latency_ms=None,
        status=503,
        label="a fault",
    )
    stand_ins = SlowStandIns()
    conductor = FaultConductor([cast(Fault, fault)], running_clock(), cast(StandIns, stand_ins))
    conducting = gevent.spawn(conductor.run)
    while stand_ins.changes < changes:
        gevent.sleep(0.01)
    conducting.kill()
    conductor.lift()
    assert stand_ins.on["bank"] == []
