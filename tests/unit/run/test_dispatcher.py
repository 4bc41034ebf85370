"""The dispatcher paces a simulation, and sheds what this process cannot carry before it is planned."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest

from banksim.measure import Measures
from banksim.model import Ended
from banksim.run import dispatcher as module
from banksim.run.customers import NoJoiners
from banksim.run.dispatcher import (
    ALWAYS,
    ANY_PERSONA,
    DROPPED,
    FRAUD_SEAT,
    OVERLOADED,
    Arrival,
    CampaignDriver,
    Dispatcher,
    Overload,
    UserQueues,
    Wakeup,
)
from banksim.run.plan import build_parts
from banksim.run.sink import Tee
from banksim.run.timekeeper import Timekeeper
from banksim.scenario import parse_scenario
from banksim.schedule.simulation import Simulation
from banksim.targets.carrier import ENDED_FIRST
from tests.unit.run.makers import NOBODY, Backlog, Kept, RowsPut, planned

SCENARIO = """\
name: Paced
duration_hours: 1
speed_multiplier: 3600
customers: 50
arrivals: even
transaction_rate: {{peak_tps: {tps}, off_peak_tps: {tps}}}
fraud: {{rate: 0, decoy_rate: 0, patterns: {patterns}}}
"""


class Desk:
    """A dispatcher over a second of wall time, without users."""

    def __init__(self, tps: float = 50, patterns: str = "[]", lease: Any = ALWAYS, idle: Any = ()) -> None:
        scenario = parse_scenario(SCENARIO.format(tps=tps, patterns=patterns), "paced.yaml", {})
        self.parts = build_parts(scenario, 3, scenario.speed_multiplier)
        self.timekeeper = Timekeeper(self.parts.clock)
        self.queues = UserQueues([ANY_PERSONA, FRAUD_SEAT], idle)
        self.rows = RowsPut()
        self.measures, self.kept = Measures(), Kept()
        self.simulation = Simulation(self.parts)
        wakeup = Wakeup()
        self.driver = CampaignDriver(self.simulation, wakeup)
        self.dispatcher = Dispatcher(
            self.simulation,
            self.timekeeper,
            self.queues,
            NOBODY,
            self.rows,
            Backlog(self.queues),
            Tee([self.measures, self.kept, self.driver]),
            NoJoiners(),
            wakeup,
            self.parts.desk,
            self.measures.planned_fraud,
            lease,
        )
        self.timekeeper.add(self.dispatcher)

    def run(self, early_s: float = 0.0) -> None:
        """Hand out everything, as if the run had begun ``early_s`` ago."""
        self.timekeeper.start(time.monotonic() - early_s)
        self.dispatcher.run()


def test_everything_due_waits_in_its_queue() -> None:
    desk = Desk()
    desk.run()
    assert desk.queues.waiting == desk.measures.tally.offered == 50
    due_s = [arrival.due_wall_s - desk.timekeeper.origin_s for arrival in desk.queues.drain()]
    assert due_s == pytest.approx([0.01 + 0.02 * n for n in range(50)])


def test_what_needs_no_user_goes_to_the_row_executor_and_campaigns_to_users() -> None:
    desk = Desk(patterns="[{type: card_testing, count: 1}]", idle=[ANY_PERSONA])
    user = gevent.spawn(
        lambda: desk.driver.dropped(desk.timekeeper.now(), desk.queues.take(FRAUD_SEAT).planned, "")
    )
    desk.run()
    assert len(desk.rows.planned) == 50 and desk.measures.tally.offered == 51
    assert not any(planned.truth.is_fraud for planned in desk.rows.planned)
    user.get(timeout=1)


def test_a_campaign_goes_on_when_its_step_is_answered_or_dropped() -> None:
    desk = Desk(tps=0.001, patterns="[{type: card_testing, count: 5}]")
    outcomes = []

    def answer() -> None:
        while len(outcomes) < 5:
            arrival = desk.queues.take(FRAUD_SEAT)
            outcomes.append(arrival.planned)
            at = desk.timekeeper.now()
            if len(outcomes) % 2:
                desk.driver.dropped(at, arrival.planned, "why")
            else:
                desk.driver.ended(at, [Ended(arrival.planned, DROPPED)])

    user = gevent.spawn(answer)
    desk.run()
    assert len(outcomes) == 5 and desk.measures.planned_fraud.counts == {"card_testing": 5}
    user.get(timeout=1)


def test_an_early_end_counts_what_was_due_as_dropped() -> None:
    desk = Desk()
    desk.dispatcher.stop()
    desk.run(early_s=0.5)
    assert desk.queues.waiting == 0
    assert desk.kept.dropped_for == [ENDED_FIRST] * 25 and desk.measures.tally.offered == 25


def test_without_a_lease_nothing_is_handed_out() -> None:
    class Lease:
        held = False

        def may_offer(self) -> bool:
            return self.held

    lease = Lease()
    desk = Desk(lease=lease)
    desk.timekeeper.start(time.monotonic() - 0.5)
    running = gevent.spawn(desk.dispatcher.run)
    gevent.sleep(0.1)
    assert desk.queues.waiting == 0 and desk.dispatcher.behind
    lease.held = True
    gevent.sleep(0.1)
    assert desk.queues.waiting > 20
    desk.timekeeper.pause()
    gevent.sleep(0.1)
    assert not desk.dispatcher.behind
    desk.timekeeper.resume()
    running.get(timeout=5)


def test_an_overloaded_process_plans_nothing_that_it_cannot_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Overload, "now", lambda self, behind_s: self._backlog.waiting >= 40)
    desk = Desk(tps=5_000, patterns="[{type: card_testing, count: 1}]")
    user = gevent.spawn(
        lambda: desk.driver.dropped(desk.timekeeper.now(), desk.queues.take(FRAUD_SEAT).planned, "")
    )
    desk.run()
    tally = desk.measures.tally
    handed_out = desk.queues.waiting
    assert handed_out < 40 + 2 * module.BURST  # a burst may be two blocks
    assert desk.measures.drop_reasons.counts == {OVERLOADED: tally.dropped}
    assert tally.offered == tally.dropped + handed_out + 1, "the campaign's step went on"
    assert tally.offered == pytest.approx(5_000, abs=2)
    user.get(timeout=1)


class Meter:
    """``share`` of the time is busy."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._began_s = time.monotonic()

    def busy_s(self) -> float:
        return self._share * (time.monotonic() - self._began_s)


@pytest.mark.parametrize(
    ("busy", "waiting", "carried", "behind_s", "overloaded"),
    [
        (1.0, 300, 0, 0.0, True),
        (1.0, 50, 0, 0.0, False),  # so few may always wait
        (0.5, 300, 0, 0.0, False),  # this process rests: the target is slow
        (1.0, 300, 10_000, 0.0, False),  # 300 are soon carried
        (1.0, 0, 0, 1.0, True),  # nothing waits, since the dispatcher itself is late
        (0.5, 0, 0, 1.0, False),  # it was frozen, and has time to catch up
    ],
)
def test_overload_is_no_rest_and_more_waiting_than_half_a_seconds_work(
    monkeypatch: pytest.MonkeyPatch,
    busy: float,
    waiting: int,
    carried: int,
    behind_s: float,
    overloaded: bool,
) -> None:
    monkeypatch.setattr(module, "SAMPLE_EVERY_S", 0.02)
    queues = UserQueues([ANY_PERSONA])
    overload = Overload(Backlog(queues), Meter(busy))  # type: ignore[arg-type]
    assert not overload.now(behind_s), "nothing is known yet"
    for _ in range(waiting):
        queues.put(ANY_PERSONA, Arrival(0.0, planned(), NOBODY))
    for _ in range(5):
        gevent.sleep(0.02)
        queues.taken += carried
        found = overload.now(behind_s)
    assert found is overloaded
