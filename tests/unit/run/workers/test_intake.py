from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from banksim.measure import Measures, MeasureSettings
from banksim.measure.results import Account, Circuit, FaultMade, Feedback, LogFile, TargetRow
from banksim.model import At
from banksim.run.workers.intake import Intake, combined_accounts, combined_targets
from banksim.run.workers.members import Members, Membership, Standing
from banksim.run.workers.messages import (
    Final,
    Opened,
    Pulse,
    Refused,
    State,
)
from banksim.schedule.clock import Clock, PiecewiseRate
from tests.unit.run.makers import feed_item
from tests.unit.run.workers.post import PostOffice

SETTINGS = MeasureSettings(interval_s=1.0)
RUN = "run-1"


class Desk:
    """An intake with two live workers, in the middle of a run, and a third one that is preparing."""

    def __init__(self) -> None:
        self.post = PostOffice()
        members = Members()
        clock = Clock(1e6, 1.0)
        self.membership = Membership(members, self.post, RUN, clock, PiecewiseRate.constant(1.0, 1e6))
        self.intake = Intake(RUN, SETTINGS, 10, self.membership)
        self.workers = [members.hear(str(n), "host", n) for n in range(3)]
        for worker in self.workers:
            worker.standing = Standing.PREPARING
        self.membership.join(*self.workers[:2])
        self.post.sent.clear()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def pulse(**values: Any) -> Pulse:
    return Pulse(run=RUN, at_s=7.0, **values)


def counts(offered: int = 0) -> bytes:
    measures = Measures(SETTINGS)
    measures.offered(At(0.0, 0.0), offered)
    return orjson.dumps({"measures": measures.to_state(), "kafka": None})


def final(end: str) -> Final:
    return Final(run=RUN, seq=1, wall_s=1.0, counts=counts(3), end=end, account=Account())


@pytest.mark.parametrize(("end", "early"), [("completed", False), ("interrupted", True)])
def test_only_a_worker_that_was_interrupted_leaves_early(desk: Desk, end: str, early: bool) -> None:
    """A worker whose clock is a hair ahead sends its final before the master's time is over."""
    desk.intake.hear(desk.workers[0], final(end))
    assert desk.workers[0].standing is Standing.FINAL
    assert desk.workers[0].leaving is early
    assert desk.membership.assignment == (2 if early else 1)
    assert "bye" in desk.post.kinds("0")


def test_a_final_that_comes_again_is_only_answered(desk: Desk) -> None:
    for _ in range(2):
        desk.intake.hear(desk.workers[0], final("interrupted"))
    assert desk.membership.assignment == 2
    assert desk.post.kinds("0").count("bye") == 2
    desk.intake.counts.refresh()
    assert desk.intake.counts.measures.tally.offered == 3


def test_a_final_after_the_end_changes_no_shares(desk: Desk) -> None:
    desk.intake.ended = True
    desk.intake.hear(desk.workers[0], final("interrupted"))
    assert desk.membership.assignment == 1
    assert not desk.workers[0].leaving


def test_a_pulse_is_answered_now_and_then(desk: Desk) -> None:
    for _ in range(3):
        desk.intake.hear(desk.workers[0], pulse(shortage_ms=12.0))
    assert desk.post.kinds("0") == ["ack"]
    assert desk.intake.shortage_ms() == 12.0
    assert desk.intake.shortage_ms() == 0.0, "since the last call"


def test_a_prepared_worker_joins_a_run_that_goes_on(desk: Desk) -> None:
    late = desk.workers[2]
    desk.intake.hear(late, pulse(prepared=False))
    assert late.standing is Standing.PREPARING
    desk.intake.hear(late, pulse(prepared=True))
    assert late.standing is Standing.LIVE
    assert desk.membership.assignment == 2


def test_a_prepared_worker_does_not_join_a_run_that_ends(desk: Desk) -> None:
    desk.intake.ended = True
    desk.intake.hear(desk.workers[2], pulse(prepared=True))
    assert desk.workers[2].standing is Standing.PREPARING


def test_feed_items_of_all_workers_are_one_feed(desk: Desk) -> None:
    desk.intake.hear(desk.workers[0], pulse(seen=5, items=[feed_item(0, "a")]))
    desk.intake.hear(desk.workers[1], pulse(seen=2, items=[feed_item(0, "b")]))
    assert [item.transaction_id for item in desk.intake.feed.items()] == ["a", "b"]


def test_opened_customers_are_passed_on_to_all_others(desk: Desk) -> None:
    desk.intake.hear(desk.workers[0], Opened(run=RUN, rows=[(4, "c", ["a"])], joined=True))
    assert desk.post.kinds("0") == []
    assert desk.post.kinds("1") == desk.post.kinds("2") == ["directory"]
    assert len(desk.intake.opened) == 1


def test_a_state_brings_counts_and_targets(desk: Desk) -> None:
    row = TargetRow(name="Nexum", url="http://bank", ok=True, latency_ms=2.0)
    state = State(run=RUN, seq=1, wall_s=1.0, from_s=0.0, counts=counts(9), targets=[row])
    desk.intake.hear(desk.workers[1], state)
    desk.intake.counts.refresh()
    assert desk.intake.counts.measures.tally.offered == 9
    assert desk.intake.target_rows == {1: [row]}


def test_a_worker_that_cannot_take_part_gives_its_share_back(desk: Desk) -> None:
    desk.intake.hear(desk.workers[0], Refused(run=RUN, reason="no plugin"))
    assert (desk.workers[0].standing, desk.workers[0].reason) == (Standing.REFUSED, "no plugin")
    assert desk.membership.assignment == 2


def test_a_lost_worker_that_reports_is_back(desk: Desk) -> None:
    desk.workers[0].standing = Standing.LOST
    desk.intake.hear(desk.workers[0], pulse())
    assert desk.workers[0].standing is Standing.LIVE


# -- Together ---------------------------------------------------------------------------------------


def test_a_target_does_as_badly_as_for_the_worst_off_worker() -> None:
    good = TargetRow(name="Nexum", url="", ok=True, latency_ms=2.0)
    bad = TargetRow(name="Nexum", url="", ok=False, detail="refused", latency_ms=9.0)
    kafka = TargetRow(name="Kafka", url="k:9092")
    rows = combined_targets({"nexum": "http://bank"}, {0: [good, kafka], 1: [bad]})
    assert rows == [
        TargetRow(name="Nexum", url="http://bank", ok=False, detail="worker 1: refused", latency_ms=9.0),
        kafka,
    ]


def test_accounts_are_added_up() -> None:
    circuit = Circuit("bank", "closed", None, "", 0, 0.0, 0)
    fault = FaultMade("hang", "bank", "hang", 1.0, 0.0, 9.0, begun=False, affected=2)
    log = LogFile("transactions-1.csv", lines=4, lost=1)
    found = combined_accounts(
        {
            0: Account(circuits=[circuit], onboarding={"joined": 2}, faults=[fault]),
            1: Account(
                onboarding={"joined": 3, "failed": 1},
                transaction_log=log,
                faults=[replace(fault, begun=True)],
                feedback=Feedback(1, 2, 3, 0, 0, 0, 0),
            ),
        }
    )
    assert found == Account(
        circuits=[replace(circuit, system="bank (worker 0)")],
        faults=[replace(fault, begun=True, affected=4)],
        onboarding={"joined": 5, "failed": 1},
        feedback=Feedback(1, 2, 3, 0, 0, 0, 0),
        transaction_log=LogFile(
            file="transactions-N.csv, one for each worker",
            files=["transactions-1.csv"],
            lines=4,
            lost=1,
        ),
    )
