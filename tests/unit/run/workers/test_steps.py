"""A step of a search for capacity: counted at each worker by itself, added up and judged at the master."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import gevent
import orjson
import pytest

from banksim.measure import Measures, MeasureSettings
from banksim.model import At
from banksim.run.capacity import LocalStage, StepCounter
from banksim.run.run import End
from banksim.run.sink import Tee
from banksim.run.timekeeper import Timekeeper
from banksim.run.workers import remote_load
from banksim.run.workers.messages import StepCounts
from banksim.run.workers.remote_load import RemoteStage
from banksim.scenario import parse_scenario
from banksim.schedule.clock import Clock
from tests.unit.run.workers.test_intake import Desk

AT = At(0.0, 0.0)
HOLD_S = 0.05
SCENARIO = parse_scenario(
    """
name: A search
duration_hours: 1
customers: 5
transaction_rate: {peak_tps: 1, off_peak_tps: 1}
load: {start_tps: 10}
""",
    "test.yaml",
)


def running() -> Timekeeper:
    timekeeper = Timekeeper(Clock(1e6, 10.0))
    timekeeper.start(time.monotonic())
    return timekeeper


def offered(number: int) -> bytes:
    measures = Measures(MeasureSettings())
    measures.offered(AT, number)
    return orjson.dumps(measures.to_state(books=False), option=orjson.OPT_NON_STR_KEYS)


class Master:
    """What a stage needs of a master's load: two live workers, which say ``answers`` once time is paused."""

    def __init__(self, *answers: StepCounts | Callable[[], None]) -> None:
        self.desk, self.timekeeper = Desk(), running()
        self.membership, self.intake = self.desk.membership, self.desk.intake
        self.settings, self.measures = SimpleNamespace(scenario=SCENARIO), Measures()
        self.ended: list[End] = []
        self.seen: list[str] = []
        self._answers = answers
        self.timekeeper.add(self)

    def change_speed(self, sim_s: float, speed: float) -> None: ...

    def change_rate(self, sim_s: float, tps: float) -> None:
        self.seen.append(f"rate {tps:g}")

    def clock_changed(self) -> None:
        if not self.timekeeper.clock.paused or self.seen[-1] == "paused":
            return
        self.seen.append("paused")
        for worker, answer in zip(self.desk.workers, self._answers, strict=False):
            if isinstance(answer, StepCounts):
                self.intake.steps[worker.number] = answer
            else:
                answer()

    def plan_campaigns(self) -> None:
        self.seen.append("planned")

    def stop(self, end: End) -> None:
        self.ended.append(end)

    def stage(self) -> RemoteStage:
        return RemoteStage(cast(Any, self))


#: Start and pause of the clock.
PAUSED = 2


def test_the_counts_of_all_workers_are_added_up() -> None:
    master = Master(StepCounts(PAUSED, 0, offered(30)), StepCounts(PAUSED, 0, offered(12)))
    step = master.stage().offer(40.0, HOLD_S)
    assert master.seen == ["rate 40", "planned", "paused"]
    assert (step.counts.tally.offered, step.left, step.disturbed) == (42, 0, "")
    assert step.held_s == pytest.approx(HOLD_S, abs=0.5) and step.held_s >= HOLD_S
    master.stage().stop()
    assert master.ended == [End.COMPLETED]


def test_what_was_counted_before_the_pause_and_what_is_in_flight_is_waited_for() -> None:
    master = Master(StepCounts(PAUSED, 0, offered(30)), StepCounts(PAUSED - 1, 0, offered(5)))
    second = master.desk.workers[1].number
    step = gevent.spawn(master.stage().offer, 40.0, HOLD_S)
    gevent.sleep(HOLD_S + 0.1)
    master.intake.steps[second] = StepCounts(PAUSED, 3, offered(9))
    gevent.sleep(0.1)
    assert not step.ready()
    master.intake.steps[second] = StepCounts(PAUSED, 0, offered(12))
    assert step.get(timeout=5).counts.tally.offered == 42


def test_what_stays_unanswered_is_told_and_so_is_a_worker_that_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_load, "DRAIN_S", 0.1)
    master = Master(StepCounts(PAUSED, 4, offered(30)))
    step = master.stage().offer(40.0, HOLD_S)
    assert (step.counts.tally.offered, step.left) == (30, 4)
    assert step.disturbed.startswith(f"no counts of {master.desk.workers[1].name} arrived")


def test_a_step_in_which_a_worker_came_is_disturbed() -> None:
    master = Master(StepCounts(PAUSED, 0, offered(30)), lambda: None)
    first, second, third = master.desk.workers

    def joins() -> None:
        master.membership.join(third)
        for worker in (second, third):
            master.intake.steps[worker.number] = StepCounts(PAUSED, 0, offered(6))

    master._answers = (StepCounts(PAUSED, 0, offered(30)), joins)
    step = master.stage().offer(40.0, HOLD_S)
    assert first in master.membership.live and third in master.membership.live
    assert (step.counts.tally.offered, step.disturbed) == (42, "workers came or went during the step")


def test_each_rate_begins_a_step_of_its_own() -> None:
    timekeeper, tee = running(), Tee()
    steps = StepCounter(tee, MeasureSettings(warm_up_s=60.0))
    timekeeper.add(steps)
    tee.offered(AT, 5)
    assert steps.step is None
    for tps, number in ((10.0, 3), (20.0, 4)):
        timekeeper.offer(tps)
        timekeeper.set_speed(tps)  # which begins none
        tee.offered(AT, number)
        assert steps.step is not None and steps.step.tally.offered == number
    assert steps.step.settings.warm_up_s == 0.0
    assert len(tee.sinks) == 1


class Backlog:
    """Something that is in flight for a while."""

    in_flight = 2


class Source:
    """Something that is late to be handed out."""

    behind = True

    def __init__(self) -> None:
        self.stops = 0

    def plan(self) -> None:
        gevent.sleep(0.02)

    def stop(self) -> None:
        self.stops += 1


def test_a_process_alone_counts_a_step_and_what_is_left_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("banksim.run.capacity.DRAIN_S", 0.05)
    timekeeper, tee, run, source = running(), Tee(), Measures(), Source()
    stage = LocalStage(run, tee, timekeeper, Backlog(), source)
    gevent.spawn_later(HOLD_S, tee.offered, AT, 7)
    gevent.spawn_later(HOLD_S, setattr, run.balance_checks, "violations", 2)
    step = stage.offer(30.0, HOLD_S)
    assert (step.counts.tally.offered, step.left, step.disturbed) == (7, 3, "")
    assert step.counts.balance_checks.violations == 2
    assert timekeeper.clock.paused and timekeeper.changes[-1].tps == 30.0 and tee.sinks == []
    stage.stop()
    assert source.stops == 1
