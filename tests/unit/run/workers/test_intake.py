from __future__ import annotations

from typing import Any

import orjson
import pytest

from banksim.measure import Measures, MeasureSettings
from banksim.run.workers.intake import Intake
from banksim.run.workers.members import Member, Members, Roll, Standing
from banksim.scenario import parse_scenario

SETTINGS = MeasureSettings(interval_s=1.0)
SCENARIO = "name: A run\nduration_hours: 1\ntransaction_rate: {peak_tps: 1, off_peak_tps: 1}\n"


class Desk:
    """An intake with two live workers, in the middle of a run."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str]] = []
        members = Members()
        self.workers = [members.hear(str(n), "host", n) for n in range(2)]
        self.roll = Roll(members, self._send, lambda wall_s: 100.0, lambda from_s, until_s: 0.0)
        self.intake = Intake(
            parse_scenario(SCENARIO),
            SETTINGS,
            members,
            self.roll,
            self._send,
            joins_now=lambda: True,
            leaves_early=lambda: True,
        )
        for worker in self.workers:
            worker.standing = Standing.PREPARING
        self.roll.join(*self.workers)

    def _send(self, member: Member, message: dict[str, Any]) -> None:
        self.sent.append((member.number, message["kind"]))


def final(end: str) -> dict[str, Any]:
    state = orjson.dumps({"measures": Measures(SETTINGS).to_state(), "kafka": None})
    extras = orjson.dumps({"end": end})
    return {"kind": "final", "seq": 1, "wall_s": 1.0, "from_s": 0.0, "state": state, "extras": extras}


@pytest.mark.parametrize(("end", "early"), [("completed", False), ("interrupted", True)])
def test_only_who_was_interrupted_leaves_early(end: str, early: bool) -> None:
    """A worker whose clock is a hair ahead sends its final before the master's time is over."""
    desk = Desk()
    desk.intake.hear(desk.workers[0], final(end))
    assert desk.workers[0].standing is Standing.FINAL
    assert desk.workers[0].leaving is early
    assert desk.roll.epoch == (2 if early else 1)
    assert (0, "bye") in desk.sent


def test_a_final_that_comes_again_is_only_answered() -> None:
    desk = Desk()
    for _ in range(2):
        desk.intake.hear(desk.workers[0], final("interrupted"))
    assert desk.roll.epoch == 2
    assert desk.sent.count((0, "bye")) == 2
