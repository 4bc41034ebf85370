from __future__ import annotations

from banksim.run.workers.members import Members, Standing
from banksim.run.workers.messages import LEASE_S, LOST_AFTER_S, pulse_every_s, state_every_s


class Now:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def test_numbers_are_given_once() -> None:
    members = Members()
    first, second = members.hear("a", "host", 1), members.hear("b", "host", 2)
    again = members.hear("a", "host", 1)
    assert (first.number, second.number) == (0, 1)
    assert again is first


def test_whoever_says_nothing_is_not_there() -> None:
    now = Now()
    members = Members(now)
    quiet, loud = members.hear("a", "host", 1), members.hear("b", "host", 2)
    now.s += LOST_AFTER_S + 0.1
    members.hear("b", "host", 2)
    assert members.present() == [loud]
    assert members.silent(quiet)


def test_nobody_is_blamed_for_a_master_that_was_away() -> None:
    now = Now()
    members = Members(now)
    members.hear("a", "host", 1)
    now.s += 60.0
    members.forgive_silence()
    assert len(members.present()) == 1


def test_a_new_run_forgets_the_last_one() -> None:
    member = Members().hear("a", "host", 1)
    member.standing, member.losses, member.gap_s, member.leaving = Standing.LOST, 2, 6.0, True
    member.pulse = {"phase": "final"}
    member.new_run()
    assert (member.standing, member.losses, member.gap_s, member.leaving) == (
        Standing.PREPARING,
        0,
        0.0,
        False,
    )
    assert member.pulse == {}


def test_a_worker_falls_silent_before_its_share_is_given_away() -> None:
    assert LEASE_S < LOST_AFTER_S


def test_many_workers_share_the_masters_attention() -> None:
    assert pulse_every_s(2) == 0.1
    assert pulse_every_s(200) <= LEASE_S / 2, "still several pulses within a lease"
    assert 200 / pulse_every_s(200) <= 200
    assert 200 / state_every_s(200) <= 80
