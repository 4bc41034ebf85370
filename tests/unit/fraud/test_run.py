from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.fraud import Registry, typology
from banksim.model import BankReply, BankStatus, Decision, Label, Outcome, ScoreReply
from banksim.scenario import KNOWN_PATTERN_TYPES

from .helpers import APPROVED, BLOCKED, REFUSED, desk, drive

UNKNOWN = Outcome(BankReply(BankStatus.UNKNOWN, "timed out"), ScoreReply(None, Decision.NONE), 5.0, 30_000.0)


def desk_with(function, count=10, **changes):
    """A desk whose only typology is ``function``, as `mine`."""
    module = ModuleType("mine")
    function.__module__ = "mine"
    module.mine = typology("mine")(function)
    return desk(
        registry=Registry([module]),
        plugins=["mine.py"],
        fraud={"patterns": [{"type": "mine", "count": count, "duration_minutes": 30} | changes]},
    )


@settings(max_examples=45, deadline=None)
@given(
    kind=st.sampled_from(KNOWN_PATTERN_TYPES),
    count=st.integers(1, 80),
    minutes=st.none() | st.floats(0.5, 600),
    soph=st.sampled_from([0.0, 0.4, 1.0]),
    answers=st.lists(st.sampled_from([APPROVED, REFUSED, BLOCKED, UNKNOWN]), min_size=1, max_size=7),
    seed=st.integers(0, 5),
)
def test_count_order_and_duration_hold_whatever_is_answered(kind, count, minutes, soph, answers, seed):
    pattern = {"type": kind, "count": count, "duration_minutes": minutes, "sophistication": soph}
    fraud = desk(seed, fraud={"rate": 0.001, "patterns": [pattern]})
    made = 0
    for spec in fraud.planned:
        replies = iter(range(10**6))
        run = fraud.open(spec)
        steps = drive(run, lambda _, replies=replies: answers[next(replies) % len(answers)])
        moments = [step.sim_s for step in steps]
        assert not run.fault
        assert len(steps) == spec.size
        assert moments == sorted(moments)
        assert spec.start_s <= moments[0]
        assert moments[-1] <= spec.deadline_s
        assert all(step.transaction.timestamp_s == fraud._world.timestamp_s(step.sim_s) for step in steps)
        made += len(steps)
    assert made == count


def test_a_typology_that_ends_early_is_started_again_with_somebody_else():
    def once(campaign):
        yield campaign.purchase(campaign.victim(), 500)

    fraud = desk_with(once)
    run = fraud.open(fraud.planned[0])
    steps = drive(run)
    assert len(steps) == 10
    assert run.restarts == 9
    assert len({s.transaction.account.customer_index for s in steps}) == 10


def test_a_typology_that_yields_nothing_ends_the_campaign():
    def never(campaign):
        if campaign.size < 0:
            yield campaign.purchase(campaign.victim(), 500)

    fraud = desk_with(never)
    run = fraud.open(fraud.planned[0])
    assert drive(run) == []
    assert run.finished


def test_an_endless_typology_is_cut_at_the_size_and_closed():
    closed = []

    def endless(campaign):
        try:
            while True:
                yield campaign.purchase(campaign.victim(), 500)
        finally:
            closed.append(True)

    fraud = desk_with(endless, count=7)
    assert len(drive(fraud.open(fraud.planned[0]))) == 7
    assert closed == [True]


def test_a_typology_that_fails_ends_alone(caplog: pytest.LogCaptureFixture):
    def broken(campaign):
        yield campaign.purchase(campaign.victim(), 500)
        raise RuntimeError("no such card")

    fraud = desk_with(broken)
    run = fraud.open(fraud.planned[0])
    assert len(drive(run)) == 1
    assert "no such card" in run.fault
    assert "mine-1" in caplog.text


def test_yielding_something_else_is_a_fault_in_words():
    def wrong(campaign):
        yield 42

    fraud = desk_with(wrong)
    run = fraud.open(fraud.planned[0])
    assert drive(run) == []
    assert "must yield" in run.fault


def test_moments_a_typology_makes_up_are_put_in_order():
    def confused(campaign):
        yield campaign.purchase(campaign.victim(), 500, at=campaign.spec.deadline_s + 1e6)
        yield campaign.purchase(campaign.victim(), 500, at=-5.0)

    fraud = desk_with(confused, count=2)
    [spec] = fraud.planned
    steps = drive(fraud.open(spec))
    assert [step.sim_s for step in steps] == [spec.deadline_s, spec.deadline_s]
    assert steps[1].transaction.timestamp_s == fraud._world.timestamp_s(spec.deadline_s)


def test_a_typology_may_be_a_decoy():
    def trip(campaign):
        yield campaign.purchase(campaign.victim(), 500, role="traveller")

    trip.__module__ = "decoys"
    module = ModuleType("decoys")
    module.trip = typology("trip", label=Label.DECOY)(trip)
    fraud = desk(
        registry=Registry([module]),
        plugins=["decoys.py"],
        fraud={"patterns": [{"type": "trip", "count": 3}]},
    )
    truths = [step.truth for spec in fraud.planned for step in drive(fraud.open(spec))]
    assert {truth.label for truth in truths} == {Label.DECOY}
    assert not any(truth.is_fraud for truth in truths)


def test_advance_after_the_end_gives_nothing():
    def once(campaign):
        yield campaign.purchase(campaign.victim(), 500)

    fraud = desk_with(once, count=1)
    run = fraud.open(fraud.planned[0])
    assert run.first() is not None
    assert run.advance(APPROVED) is None
    assert run.advance(APPROVED) is None
    assert run.made == 1
