from __future__ import annotations

from typing import Any

import pytest

from banksim.run.workers.assignment import Epoch
from banksim.run.workers.members import AHEAD_S, Member, Members, Roll, Standing
from banksim.run.workers.messages import LOST_AFTER_S


class Office:
    """A roll with its own time: one wall second is ten simulated ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr("banksim.run.workers.members.time.monotonic", lambda: self.now_s)
        self.members = Members(lambda: self.now_s)
        self.sent: list[tuple[int, dict[str, Any]]] = []
        self.roll = Roll(
            self.members,
            lambda member, message: self.sent.append((member.number, message)),
            lambda wall_s: (wall_s - 1000.0) * 10.0,
            lambda from_s, until_s: (until_s - from_s) * 30.0,
        )
        self.workers = [self.members.hear(str(n), "host", n) for n in range(workers)]
        for worker in self.workers:
            worker.standing = Standing.PREPARING

    def pass_time(self, seconds: float, *heard: Member) -> None:
        """In steps of a quarter second, as the master looks."""
        for _ in range(round(seconds * 4)):
            self.now_s += 0.25
            for member in heard:
                member.heard_s = self.now_s
            self.roll.watch()

    def last_epoch(self, number: int) -> Epoch:
        return Epoch.from_wire([m for n, m in self.sent if n == number][-1]["epoch"])


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    made = Office(monkeypatch, workers=3)
    made.roll.join(*made.workers)
    return made


def test_the_first_epoch_begins_now(office: Office) -> None:
    epoch = office.last_epoch(0)
    assert (epoch.number, epoch.from_sim_s, epoch.lost) == (1, 0.0, {})
    assert {number for number, _ in office.sent} == {0, 1, 2}
    assert sum(office.roll.part_of(worker) for worker in office.workers) == pytest.approx(1.0)


def test_a_silent_worker_is_lost_and_its_share_given_away(office: Office) -> None:
    silent, *others = office.workers
    office.pass_time(LOST_AFTER_S + 0.5, *others)
    assert silent.standing is Standing.LOST
    epoch = office.last_epoch(1)
    assert set(epoch.table) == {1, 2}
    assert epoch.lost == {0: 0.0}, "its heirs begin where it was last heard of"
    assert silent.losses == 1
    assert silent.gap_s == pytest.approx(LOST_AFTER_S + 0.25)
    assert silent.not_offered == pytest.approx(30.0 * silent.gap_s / 3, rel=0.1)


def test_whoever_comes_back_gets_its_share_back_a_little_later(office: Office) -> None:
    silent, *others = office.workers
    office.pass_time(LOST_AFTER_S + 0.5, *others)
    office.roll.return_of(silent)
    epoch = office.last_epoch(0)
    assert set(epoch.table) == {0, 1, 2}
    assert epoch.from_sim_s == pytest.approx((office.now_s + AHEAD_S - 1000.0) * 10.0)
    assert silent.standing is Standing.LIVE


def test_a_lost_worker_hears_of_epochs_too(office: Office) -> None:
    """It may only be frozen, and must know on waking up that nothing is its own any more."""
    office.pass_time(LOST_AFTER_S + 0.5, *office.workers[1:])
    assert office.last_epoch(0).number == 2


def test_a_worker_that_leaves_is_no_loss(office: Office) -> None:
    leaving = office.workers[0]
    office.roll.leave(leaving, Standing.FINAL)
    assert leaving.losses == 0
    assert set(office.last_epoch(1).table) == {1, 2}


def test_a_worker_that_was_never_ready_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, workers=2)
    office.roll.join(office.workers[0])
    office.pass_time(LOST_AFTER_S + 0.5, office.workers[0])
    assert office.workers[1].standing is Standing.LOST
    assert office.roll.epoch == 1
    office.roll.return_of(office.workers[1])
    assert office.workers[1].standing is Standing.PREPARING


def test_a_master_that_was_away_blames_nobody(office: Office) -> None:
    office.now_s += 30.0
    assert office.roll.watch() == []
    assert len(office.roll.live) == 3
