from __future__ import annotations

import pytest

from banksim.run.workers.members import (
    AHEAD_S,
    MAX_WORKERS,
    Assignment,
    Member,
    Members,
    Membership,
    Standing,
)
from banksim.run.workers.messages import LEASE_S, LOST_AFTER_S, Assigned
from banksim.schedule.clock import Clock, PiecewiseRate
from tests.unit.run.workers.post import PostOffice

#: Simulated seconds per wall second, and what all workers together offer per wall second.
SPEED, TPS = 10.0, 30.0


class Office:
    """A membership with a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr("banksim.run.workers.members.time.monotonic", lambda: self.now_s)
        self.members = Members()
        self.post = PostOffice()
        clock = Clock(1e6, SPEED)
        clock.start(1000.0)
        offered = PiecewiseRate.constant(TPS, 1e6)
        self.membership = Membership(self.members, self.post, "run-1", clock, offered)
        self.workers = [self.members.hear(str(n), "host", n) for n in range(workers)]
        for worker in self.workers:
            worker.standing = Standing.PREPARING

    def pass_time(self, seconds: float, *heard: Member) -> None:
        """In steps of a quarter second, as the master looks."""
        for _ in range(round(seconds * 4)):
            self.now_s += 0.25
            for member in heard:
                member.heard_s = self.now_s
            self.membership.watch()

    def last_assignment(self, number: int) -> Assignment:
        found = [message for message in self.post.to(str(number)) if isinstance(message, Assigned)]
        return Assignment.from_message(found[-1])


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    made = Office(monkeypatch, workers=3)
    made.membership.join(*made.workers)
    return made


def test_the_first_assignment_begins_now(office: Office) -> None:
    assignment = office.last_assignment(0)
    assert (assignment.number, assignment.from_sim_s, assignment.lost) == (1, 0.0, {})
    assert {client_id for client_id, _ in office.post.sent} == {"0", "1", "2"}
    assert sum(office.membership.part_of(worker) for worker in office.workers) == pytest.approx(1.0)


def test_a_silent_worker_is_lost_and_its_share_given_away(office: Office) -> None:
    silent, *others = office.workers
    office.pass_time(LOST_AFTER_S + 0.5, *others)
    assert silent.standing is Standing.LOST
    assignment = office.last_assignment(1)
    assert set(assignment.table) == {1, 2}
    assert assignment.lost == {0: 0.0}, "its heirs begin at its last message: none was ever answered"
    assert silent.losses == 1
    assert silent.gap_s == pytest.approx(LOST_AFTER_S + 0.25)
    assert silent.not_offered == pytest.approx(30.0 * silent.gap_s / 3, rel=0.1)


def test_a_worker_that_comes_back_gets_its_share_back_a_little_later(office: Office) -> None:
    silent, *others = office.workers
    office.pass_time(LOST_AFTER_S + 0.5, *others)
    office.membership.return_of(silent)
    assignment = office.last_assignment(0)
    assert set(assignment.table) == {0, 1, 2}
    assert assignment.from_sim_s == pytest.approx((office.now_s + AHEAD_S - 1000.0) * 10.0)
    assert silent.standing is Standing.LIVE


def test_a_lost_worker_is_sent_assignments_too(office: Office) -> None:
    """It may only be frozen, and must know on waking up that nothing is its own any more."""
    office.pass_time(LOST_AFTER_S + 0.5, *office.workers[1:])
    assert office.last_assignment(0).number == 2


def test_a_worker_that_leaves_is_no_loss(office: Office) -> None:
    leaving = office.workers[0]
    office.membership.leave(leaving, Standing.FINAL)
    assert leaving.losses == 0
    assert set(office.last_assignment(1).table) == {1, 2}


def test_a_worker_that_was_never_ready_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, workers=2)
    office.membership.join(office.workers[0])
    office.pass_time(LOST_AFTER_S + 0.5, office.workers[0])
    assert office.workers[1].standing is Standing.LOST
    assert office.membership.assignment == 1
    office.membership.return_of(office.workers[1])
    assert office.workers[1].standing is Standing.PREPARING


def test_a_stalled_master_counts_no_silence(office: Office) -> None:
    office.now_s += 30.0
    assert office.membership.watch() == []
    assert len(office.membership.live) == 3


def test_an_heir_begins_nothing_that_the_lost_worker_may_have_begun(office: Office) -> None:
    """Its pulse was answered half a second after its last message: it may offer until that lease is over."""
    silent, *others = office.workers
    silent.acked_s = office.now_s + 0.5
    office.pass_time(LOST_AFTER_S + 0.5, *others)
    assert office.last_assignment(1).lost == {0: pytest.approx((0.5 + LEASE_S) * SPEED)}


def test_a_run_is_full_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, workers=3)
    assert not office.membership.full
    monkeypatch.setattr("banksim.run.workers.members.MAX_WORKERS", 3)
    assert office.membership.full
    assert MAX_WORKERS == 1_000


def test_the_end_is_sent_to_every_worker_that_is_involved(office: Office) -> None:
    office.workers[1].standing = Standing.FINAL
    office.workers[2].standing = Standing.LOST
    assert office.membership.involved == [office.workers[0], office.workers[2]]
