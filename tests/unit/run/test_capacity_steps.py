"""How a step of a search for capacity is judged: by its conditions, coverage, and recall at the run's mix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from banksim.measure import Measures
from banksim.measure.results import CapacityStep
from banksim.model import Planned
from banksim.run.capacity import Capacity, Offered
from banksim.scenario.models import Load
from tests.unit.measure.make import ALERT, MISSING, PASSED, end, fraud, planned


class Rehearsed(Capacity):
    """Steps out of a script instead of the clock: rate → [(typology, frauds, caught)], missing scores."""

    def __init__(self, script: Any, **changes: Any) -> None:
        self.measures, self._script = Measures(), script
        load = Load(start_tps=10, max_tps=20, factor=2, precision=0.5, until=("errors < 1%",), **changes)
        super().__init__(load, self)
        self.asked: list[float] = []
        self.disturbed: list[str] = []
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1

    def offer(self, tps: float, hold_s: float) -> Offered:
        self.asked.append(tps)
        step, (groups, missing) = Measures(), self._script(tps, len(self.asked))
        for measures in (step, self.measures):
            for typology, frauds, caught in groups:
                for nth in range(frauds):
                    plan = of(typology, f"{typology}-{len(self.asked)}-{nth}")
                    end(measures, plan, ALERT if nth < caught else PASSED)
            for nth in range(100):
                end(measures, planned(), MISSING if nth < missing else PASSED)
        return Offered(step, 5.0, 0, self.disturbed.pop(0) if self.disturbed else "")


def of(typology: str, campaign: str) -> Planned:
    plan = fraud(campaign=campaign)
    return replace(plan, truth=replace(plan.truth, typology=typology))


def conducted(script: Any, **changes: Any) -> Rehearsed:
    search = Rehearsed(script, **changes)
    search.conduct()
    assert search.stops == 1
    return search


def last(search: Capacity) -> CapacityStep:
    return search.figures().steps[-1]


def test_a_step_that_is_not_scored_does_not_hold() -> None:
    search = conducted(lambda tps, _: ([("card", 50, 40)], 5 if tps > 10 else 0))
    assert (search.search.held_tps, last(search).held) == (10, False)
    assert last(search).reason.startswith("coverage: 96.7% were scored")
    assert conducted(lambda *_: ([("card", 50, 40)], 5), least_coverage=0).search.held_tps == 20


def test_a_step_whose_recall_surely_fell_does_not_hold() -> None:
    search = conducted(lambda tps, _: ([("card", 200, 180 if tps == 10 else 80)], 0))
    assert search.search.held_tps == 10
    assert "recall at the run's mix: 40.0%, 90.0% in the first step" in last(search).reason
    assert conducted(lambda tps, _: ([("card", 200, 180 - 5 * (tps > 10))], 0)).search.held_tps == 20


def test_another_mix_of_fraud_is_no_worse_detector() -> None:
    """Of one kind half is caught and of the other all; the second step has mostly the first kind."""
    mixes = {10.0: [("easy", 180, 180), ("hard", 20, 10)], 20.0: [("easy", 20, 20), ("hard", 180, 90)]}
    search = conducted(lambda tps, _: (mixes[tps], 0))
    first, second = search.figures().steps
    assert (first.recall, second.recall) == (0.95, 0.55)
    assert first.mixed_recall == second.mixed_recall == pytest.approx(0.75)
    assert search.search.held_tps == 20


def test_a_step_that_fails_once_is_repeated_and_believed_when_it_holds() -> None:
    search = conducted(lambda _, nth: ([("card", 50, 40)], 90 if nth == 1 else 0))
    assert search.asked[:2] == [10, 10] and search.search.held_tps == 20
    assert [(step.held, step.repeats) for step in search.steps] == [
        (False, False),
        (True, True),
        (True, False),
    ]


def test_a_step_in_which_workers_came_or_went_is_made_again() -> None:
    search = Rehearsed(lambda *_: ([("card", 50, 40)], 0))
    search.disturbed = ["workers came or went during the step"]
    search.conduct()
    assert search.asked == [10, 10, 20]
    assert [step.reason for step in search.steps] == ["workers came or went during the step", "", ""]


def test_the_ladder_tells_what_is_tested_and_for_how_long_still() -> None:
    search = Rehearsed(lambda *_: ([("card", 50, 40)], 0), hold_seconds=8)
    found = search.figures()
    assert (found.testing_tps, found.left_s, found.finished, found.steps) == (10, None, False, [])
    assert found.until[1:] == [
        "coverage >= 0.99 where a detector is asked",
        "recall at the run's mix at most 10% below the first step's",
    ]
    search.search.judge(True)
    search.search.judge(False)
    assert search.figures().left_s == 8  # one more rate between 10 and 20
    search.search.judge(True)
    assert search.figures().left_s == 0
