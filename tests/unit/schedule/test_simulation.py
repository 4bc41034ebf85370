"""One loop: events come in the order of simulated time, each once, and people act only when they can."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from banksim.model import (
    NOT_SCORED,
    AccountRef,
    BankReply,
    BankStatus,
    Channel,
    Kind,
    Label,
    Outcome,
    Place,
    Planned,
    Transaction,
    Truth,
)
from banksim.schedule.arrivals import Arrivals, make_arrivals
from banksim.schedule.clock import Clock, PiecewiseRate
from banksim.schedule.simulation import NOT_JOINED, Begun, Due, Rows, Simulation

POSTED = Outcome(BankReply(BankStatus.POSTED), NOT_SCORED, 0.0, 0.0)
DURATION_S = 100.0


def planned(name: str, sim_s: float, customer: int = 0, payee: int | None = None) -> Planned:
    transaction = Transaction(
        transaction_id=name,
        kind=Kind.TRANSFER,
        account=AccountRef(customer),
        amount_cents=100,
        currency="USD",
        channel=Channel.WEB,
        timestamp_s=sim_s,
        place=Place("Boston", "US", 42.36, -71.06),
        device_id="d",
        description="",
        counterparty=None if payee is None else AccountRef(payee),
    )
    return Planned(transaction, Truth(Label.GENUINE, "student"), sim_s)


@dataclass
class Activity:
    """Customer 0 acts at each arrival, if they may."""

    arrivals: Arrivals
    noted: list[str] = field(default_factory=list)
    taken_back: int = 0

    def peek(self) -> float | None:
        return self.arrivals.peek()

    def take(
        self,
        until_s: float,
        most: int,
        is_open: Callable[[int], bool] | None = None,
        is_mine: Callable[[int], bool] | None = None,
    ) -> Rows[list[Planned]]:
        block, missing = [], 0
        while (
            (sim_s := self.arrivals.peek()) is not None and sim_s <= until_s and len(block) + missing < most
        ):
            self.arrivals.take()
            if is_open is None or is_open(0):
                block.append(planned(f"genuine {sim_s:g}", sim_s))
            else:
                missing += 1
        return Rows(block, 0, len(block), missing)

    def take_back(self) -> None:
        self.taken_back += 1

    def note(self, transaction: Transaction) -> None:
        self.noted.append(transaction.transaction_id)


@dataclass(frozen=True)
class Spec:
    campaign_id: str
    start_s: float
    rate_driven: bool = True
    follows: str | None = None
    steps: tuple[float, ...] = ()
    customer: int = 0
    payee: int | None = None
    fault: str = ""


class Campaign:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.fault = ""
        self.ended_s = spec.start_s
        self.outcomes: list[Outcome] = []

    def first(self) -> Planned | None:
        done = len(self.outcomes)
        if done == len(self.spec.steps):
            self.fault = self.spec.fault
            return None
        self.ended_s = self.spec.steps[done]
        name = f"{self.spec.campaign_id} {done}"
        return planned(name, self.ended_s, self.spec.customer, self.spec.payee)

    def advance(self, outcome: Outcome) -> Planned | None:
        self.outcomes.append(outcome)
        return self.first()


@dataclass
class Program:
    """``after`` holds followers by the campaign they follow; ``speeds`` the plans that were asked for."""

    planned: list[Spec] = field(default_factory=list)
    after: dict[str, list[Spec]] = field(default_factory=dict)
    replanned: list[Spec] = field(default_factory=list)
    speeds: list[tuple[float, float]] = field(default_factory=list)
    genuine_share: PiecewiseRate = field(default_factory=lambda: PiecewiseRate.constant(0.5, DURATION_S))

    def replan(self, from_s: float, speed: float) -> list[Spec]:
        self.speeds.append((from_s, speed))
        return self.replanned

    def open(self, spec: Spec, onboarded: Callable[[int], bool] | None = None) -> Campaign:
        return Campaign(spec)

    def finished(self, run: Campaign, at_s: float) -> list[Spec]:
        return self.after.get(run.spec.campaign_id, [])


@dataclass(frozen=True)
class Joining:
    sim_s: float
    customer_index: int
    approved: bool = True
    first_deposit: Planned | None = None


class Onboarding:
    existing = 1

    def __init__(self, *joinings: Joining) -> None:
        self._joinings = joinings
        self._next = 0

    def __next__(self) -> Joining:
        if self._next == len(self._joinings):
            raise StopIteration
        self._next += 1
        return self._joinings[self._next - 1]

    def move_to(self, sim_s: float) -> None:
        self._next = sum(joining.sim_s < sim_s for joining in self._joinings)


@dataclass
class Plan:
    desk: Program = field(default_factory=Program)
    tps: float = 0.0
    onboarding: Onboarding | None = None
    clock: Clock = field(default_factory=lambda: Clock(DURATION_S, 1.0))
    offered: PiecewiseRate = field(init=False)
    genuine: PiecewiseRate = field(init=False)
    arrivals: Arrivals = field(init=False)
    activity: Activity = field(init=False)

    def __post_init__(self) -> None:
        self.offered = PiecewiseRate.constant(2 * self.tps, DURATION_S)
        self.genuine = PiecewiseRate.constant(self.tps, DURATION_S)
        self.come("even", self.genuine)

    def come(self, kind: str, genuine: PiecewiseRate) -> None:
        self.arrivals = make_arrivals(kind, genuine, 1.0, random.Random(1))
        self.activity = Activity(self.arrivals)


@dataclass
class Part:
    """A share of a run."""

    part: float = 1.0
    campaigns: frozenset[str] = frozenset()
    shard = 1
    is_whole = False

    def has_customer(self, index: int) -> bool:
        return True

    def has_campaign(self, campaign_id: str, start_s: float) -> bool:
        return campaign_id in self.campaigns


Simulated = Simulation[Spec, Campaign, list[Planned]]


def play(simulation: Simulated) -> list[str]:
    """Everything that happens, each transaction answered at once and each customer opened at once."""
    seen = []
    while simulation.peek() is not None:
        event = simulation.step()
        if isinstance(event, Rows):
            seen += [f"{one.sim_s:g} {one.transaction.transaction_id}" for one in event.block]
            seen += ["nobody"] * event.missing
        elif isinstance(event, Due):
            name = event.planned.transaction.transaction_id
            seen.append(f"{event.sim_s:g} {name}{': ' + event.missing if event.missing else ''}")
            simulation.answered(event.planned, POSTED)
        elif not isinstance(event, Begun):
            seen.append(f"{event.sim_s:g} joins")
            simulation.joined(event)
    return seen


def test_arrivals_and_steps_come_in_the_order_of_their_moments() -> None:
    program = Program([Spec("a", 5.0, steps=(7.0, 45.0)), Spec("b", 40.0, steps=(44.0,))])
    assert play(Simulation(Plan(program, tps=0.05))) == [
        "7 a 0",
        "10 genuine 10",
        "30 genuine 30",
        "44 b 0",
        "45 a 1",
        "50 genuine 50",
        "70 genuine 70",
        "90 genuine 90",
    ]


def test_at_equal_moments_the_arrival_is_first_and_the_rest_keep_their_order() -> None:
    program = Program([Spec(name, 10.0, steps=(10.0,)) for name in "abc"])
    plan = Plan(program, tps=0.01)
    plan.come("even", PiecewiseRate.constant(0.05, 20.0))
    assert play(Simulation(plan)) == ["10 genuine 10", "10 a 0", "10 b 0", "10 c 0"]


def test_a_step_waits_for_the_answer_to_the_one_before_and_keeps_when_that_came() -> None:
    simulation = Simulation(Plan(Program([Spec("a", 1.0, steps=(2.0, 3.0))])))
    begun = simulation.step()
    assert isinstance(begun, Begun) and begun.spec.campaign_id == "a"
    first = simulation.step()
    assert isinstance(first, Due) and first.after_wall_s == 0.0
    assert simulation.peek() is None and not simulation.over
    assert simulation.answered(first.planned, POSTED, at_wall_s=77.0)
    second = simulation.step()
    assert isinstance(second, Due) and second.after_wall_s == 77.0
    assert simulation.answered(second.planned, POSTED) and simulation.over
    assert not simulation.answered(second.planned, POSTED), "an answer counts once"
    assert simulation.active_campaigns == 0


def test_without_an_event_there_is_nothing_to_take() -> None:
    with pytest.raises(IndexError):
        Simulation(Plan()).step()


def test_followers_start_after_their_parent_unless_the_run_is_over_by_then() -> None:
    followers = [Spec("f", 50.0, False, "a", (50.0,)), Spec("late", DURATION_S, False, "a", (DURATION_S,))]
    program = Program([Spec("a", 1.0, steps=(2.0,))], after={"a": followers})
    assert play(Simulation(Plan(program))) == ["2 a 0", "50 f 0"]


def test_a_typology_that_raised_is_kept_with_what_it_raised() -> None:
    simulation = Simulation(Plan(Program([Spec("a", 1.0, steps=(2.0,), fault="ValueError: no")])))
    play(simulation)
    assert simulation.faults == {"a": "ValueError: no"}


def test_who_joins_acts_from_the_first_deposit_on() -> None:
    deposit = planned("deposit", 40.0, customer=1)
    plan = Plan(onboarding=Onboarding(Joining(20.0, 1, first_deposit=deposit), Joining(30.0, 2, False)))
    simulation = Simulation(plan)
    assert simulation.may_act(0) and not simulation.may_act(1)
    seen = []
    while simulation.peek() is not None:
        event = simulation.step()
        seen.append(type(event).__name__)
        if isinstance(event, Joining):
            simulation.joined(event)
            assert not simulation.may_act(event.customer_index)
    assert seen == ["Joining", "Joining", "Due"]
    assert [simulation.may_act(index) for index in range(3)] == [True, True, False]
    assert plan.activity.noted == ["deposit"]


def test_customers_opened_elsewhere_act_at_once_if_the_bank_knows_them() -> None:
    simulation = Simulation(Plan(onboarding=Onboarding()), has_account=lambda index: index != 2)
    simulation.admit([1, 2])
    assert [simulation.may_act(index) for index in range(4)] == [True, True, False, False]


def test_joinings_go_on_from_a_moment_and_leave_everything_else() -> None:
    plan = Plan(
        Program([Spec("a", 60.0, steps=(60.0,))]),
        onboarding=Onboarding(*(Joining(moment_s, 1, approved=False) for moment_s in (10.0, 20.0, 70.0))),
    )
    simulation = Simulation(plan)
    simulation.join_from(15.0)
    assert play(simulation) == ["20 joins", "60 a 0", "70 joins"]


@pytest.mark.parametrize(
    "spec", [Spec("a", 1.0, steps=(2.0,), customer=5), Spec("a", 1.0, steps=(2.0,), payee=5)]
)
def test_a_step_whose_payer_or_payee_is_no_customer_yet_cannot_be_sent(spec: Spec) -> None:
    assert play(Simulation(Plan(Program([spec]), onboarding=Onboarding()))) == [f"2 a 0: {NOT_JOINED}"]


def test_an_arrival_without_a_customer_is_due_all_the_same() -> None:
    seen = play(Simulation(Plan(tps=0.02), has_account=lambda index: False))
    assert seen == ["nobody", "nobody"]


def test_arrivals_up_to_the_next_dated_event_are_taken_at_once() -> None:
    plan = Plan(Program([Spec("a", 44.0, steps=(44.0,))]), tps=0.1)
    simulation = Simulation(plan)
    taken = []
    while simulation.peek() is not None:
        event = simulation.step(62.0, 3)
        if isinstance(event, Rows):
            taken.append([one.sim_s for one in event.block])
        elif isinstance(event, Due):
            taken.append(["a"])
            simulation.answered(event.planned, POSTED)
    assert taken == [[5.0, 15.0, 25.0], [35.0], ["a"], [45.0, 55.0], [65.0], [75.0], [85.0], [95.0]]


def test_whatever_changes_arrivals_takes_back_what_was_planned_for_them() -> None:
    plan = Plan(tps=1.0)
    simulation = Simulation(plan)
    for count, change in enumerate(
        (
            lambda: simulation.change_speed(1.0, 2.0),
            lambda: simulation.change_rate(2.0, 2.0),
            lambda: simulation.change_share(3.0),
            lambda: simulation.skip_until(4.0, 10),
            lambda: simulation.take_arrivals(2),
        ),
        1,
    ):
        change()
        assert plan.activity.taken_back == count


def test_arrivals_can_be_skipped_without_planning_them() -> None:
    simulation = Simulation(Plan(tps=1.0))
    assert simulation.skip_until(20.0, 5) == 5
    assert simulation.skip_until(20.0, 1000) == 15
    assert simulation.skip_until(20.0, 1000) == 0
    assert simulation.peek() == 20.5


def test_a_change_of_speed_replaces_what_has_not_started() -> None:
    counted = Spec("counted", 60.0, False, steps=(60.0,))
    program = Program(
        [Spec("due", 19.0, steps=(19.0,)), Spec("old", 50.0, steps=(50.0,)), counted],
        replanned=[Spec("new", 70.0, steps=(70.0,))],
    )
    simulation = Simulation(Plan(program, tps=0.05))
    assert simulation.change_speed(20.0, 2.0) == (20.0, 2.0)
    simulation.adopt(program.replanned)
    assert play(simulation) == [
        "10 genuine 10",
        "19 due 0",
        "40 genuine 40",
        "60 counted 0",
        "70 new 0",
        "80 genuine 80",
    ]


def test_a_change_of_rate_keeps_the_share_of_fraud() -> None:
    program = Program()
    simulation = Simulation(Plan(program, tps=1.0))  # offered 2 a second
    assert simulation.skip_until(50.0, 1000) == 50
    assert simulation.change_rate(50.0, 8.0) == (50.0, 0.25), (
        "four times the rate is a quarter of the speed to a plan"
    )
    assert simulation.skip_until(DURATION_S, 1000) == 200, "half of it is genuine"


def test_another_share_keeps_followers_that_wait_and_begins_no_campaign_twice() -> None:
    follower = Spec("f", 50.0, False, "a", (50.0,))
    program = Program(
        [Spec("a", 1.0, steps=(2.0,)), Spec("b", 60.0, steps=(60.0,)), Spec("c", 70.0, steps=(70.0,))],
        after={"a": [follower]},
    )
    share = Part(0.5, frozenset("ab"))
    simulation = Simulation(Plan(program, tps=0.1), share)
    seen = []
    while (moment_s := simulation.peek()) is not None and moment_s < 20.0:
        event = simulation.step()
        if isinstance(event, Rows):
            seen += [one.transaction.transaction_id for one in event.block]
        elif isinstance(event, Due):
            seen.append(event.planned.transaction.transaction_id)
            simulation.answered(event.planned, POSTED)
    assert seen == ["a 0", "genuine 10"]
    share.part, share.campaigns = 0.0, frozenset("ac")
    simulation.change_share(20.0)
    assert play(simulation) == ["50 f 0", "70 c 0"]


def test_of_two_changes_in_a_row_the_first_holds_until_the_second() -> None:
    program = Program([Spec("old", 50.0, steps=(50.0,))])
    simulation = Simulation(Plan(program))
    simulation.change_speed(20.0, 2.0)
    simulation.change_speed(40.0, 4.0)
    simulation.adopt([Spec("first", 30.0, steps=(30.0,)), Spec("gone", 60.0, steps=(60.0,))], until_s=40.0)
    simulation.adopt([Spec("second", 45.0, steps=(45.0,))])
    assert play(simulation) == ["30 first 0", "45 second 0"]


def test_looking_ahead_at_joinings_leaves_them_to_be_taken_in_order() -> None:
    def made() -> Simulated:
        joinings = (
            Joining(
                moment_s, int(moment_s), first_deposit=planned(f"deposit {moment_s:g}", moment_s + 15.0, 1)
            )
            for moment_s in (10.0, 20.0, 70.0)
        )
        program = Program([Spec("a", 12.0, steps=(15.0, 60.0))])
        return Simulation(Plan(program, tps=0.05, onboarding=Onboarding(*joinings)))

    looking = made()
    assert [joining.sim_s for joining in looking.joinings_until(20.0)] == [10.0, 20.0]
    assert looking.joinings_until(20.0) == []
    assert play(looking) == play(made())


def test_dated_events_and_arrivals_can_be_taken_apart() -> None:
    """As a data set does: it has the first deposits counted itself."""
    deposit = planned("deposit", 40.0, customer=1)
    plan = Plan(
        Program([Spec("a", 5.0, steps=(10.0,))]),
        tps=0.05,
        onboarding=Onboarding(Joining(20.0, 1, first_deposit=deposit)),
    )
    simulation = Simulation(plan)
    assert simulation.take_arrivals(3).tolist() == [10.0, 30.0, 50.0]
    seen = []
    while (moment_s := simulation.peek_dated()) is not None:
        event = simulation.take_dated(note=False)
        seen.append((moment_s, type(event).__name__))
        if isinstance(event, Due):
            simulation.answered(event.planned, POSTED)
        elif isinstance(event, Joining):
            simulation.joined(event)
    assert seen == [(5.0, "Begun"), (10.0, "Due"), (20.0, "Joining"), (40.0, "Due")]
    assert plan.activity.noted == [] and simulation.may_act(1)
    assert simulation.peek() == 70.0
