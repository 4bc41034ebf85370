from __future__ import annotations

import pytest

from banksim.run.workers.members import Members, Standing
from banksim.run.workers.messages import LEASE_S, LOST_AFTER_S, Pulse, pulse_every_s, state_every_s


class Now:
    """A monotonic clock in the hands of the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s = 1000.0
        monkeypatch.setattr("banksim.run.workers.members.time.monotonic", lambda: self.s)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    return Now(monkeypatch)


def test_numbers_are_given_once() -> None:
    members = Members()
    first, second = members.hear("a", "host", 1), members.hear("b", "host", 2)
    again = members.hear("a", "host", 1)
    assert (first.number, second.number) == (0, 1)
    assert again is first


def test_a_silent_worker_is_not_present(now: Now) -> None:
    members = Members()
    quiet, loud = members.hear("a", "host", 1), members.hear("b", "host", 2)
    now.s += LOST_AFTER_S + 0.1
    members.hear("b", "host", 2)
    assert members.present() == [loud]
    assert members.silent(quiet)


def test_silence_is_not_counted_while_the_master_was_stalled(now: Now) -> None:
    members = Members()
    members.hear("a", "host", 1)
    now.s += 60.0
    members.forgive_silence()
    assert len(members.present()) == 1


def test_a_new_run_forgets_the_last_one() -> None:
    member = Members().hear("a", "host", 1)
    member.standing, member.losses, member.gap_s, member.leaving = Standing.LOST, 2, 6.0, True
    member.pulse = Pulse(run="run-1", at_s=1.0, prepared=True)
    member.new_run()
    assert (member.standing, member.losses, member.gap_s, member.leaving) == (
        Standing.PREPARING,
        0,
        0.0,
        False,
    )
    assert not member.pulse.prepared


def test_a_worker_falls_silent_before_its_share_is_given_away() -> None:
    assert LEASE_S < LOST_AFTER_S


def test_many_workers_share_the_masters_attention() -> None:
    assert pulse_every_s(2) == 0.1
    assert pulse_every_s(200) <= LEASE_S / 2, "still several pulses within a lease"
    assert 200 / pulse_every_s(200) <= 200
    assert 200 / state_every_s(200) <= 80


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("*", "--master-host ADDRESS --master-port 25557, where ADDRESS is this machine"),
        ("10.0.0.7", "--master-host 10.0.0.7 --master-port 25557"),
    ],
)
def test_the_command_for_a_worker_names_host_and_port(host: str, wanted: str) -> None:
    assert wanted in Members(host, 25557).how_to_join
