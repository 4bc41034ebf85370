import json
import random
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure import Measures, MeasureSettings, Roster
from banksim.measure.results import RunInfo, ScenarioInfo, encode
from banksim.measure.summary import Asked, build_results, live
from banksim.measure.timeline import Bucket
from banksim.model import At, BankStatus, Decision, Label, Outcome, Planned
from banksim.scenario.models import Goals
from banksim.targets import Call
from tests.unit.measure.make import ALERT, PASSED, START, call, end, fraud, outcome, planned
from tests.unit.measure.test_block import block_of

ASKED = Asked(Goals())
RUN = RunInfo("r1", ScenarioInfo("made"), "live", "USD", wall_s=30.0, simulated_s=400.0, end="completed")
SETTINGS = MeasureSettings(interval_s=0.5, max_points=20, warm_up_s=100)


def random_events(seed: int, count: int) -> list[tuple[Planned, Outcome, float]]:
    rng = random.Random(seed)
    events = []
    for number in range(count):
        label = rng.choice([Label.GENUINE] * 6 + [Label.FRAUD, Label.DECOY])
        typology = "" if label is Label.GENUINE else rng.choice(["cycle", "stack"])
        campaign = f"c{rng.randrange(4)}" if label is Label.FRAUD else ""
        decision = rng.choice(list(Decision))
        score = None if decision is Decision.NONE else rng.random()
        error = rng.choice(["", "timeout"]) if score is None else ""
        status = rng.choice(list(BankStatus))
        events.append(
            (
                planned(label, rng.randrange(1, 10_000), number * 3.0, typology, campaign),
                outcome(decision, score, status, error, rng.random(), rng.random() * 99),
                number * 0.07,
            )
        )
    return events


def count(measures: Measures, event: tuple[Planned, Outcome, float]) -> None:
    plan, answer, wall_s = event
    at = At(wall_s, plan.sim_s)
    measures.offered(at)
    if len(plan.truth.typology) == 5 and not plan.truth.campaign_id:
        measures.dropped(at, plan, "no seat")
        return
    measures.started(at)
    end(measures, plan, answer, at)
    call(measures, "bastion", "/score", answer.service_ms, answer.detector.error or None, at)
    measures.resources(at, wall_s % 1 * 99, 1e6 + wall_s, answer.service_ms)


def figures(measures: Measures) -> dict[str, Any]:
    """Everything a reader sees, live and in the report."""
    return {
        "live": encode(live(measures, 30.0, ASKED)),
        "report": encode(build_results(RUN, measures, ASKED)),
    }


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 150), st.integers(1, 32), st.randoms(use_true_random=False))
def test_workers_merge_into_what_one_process_would_have_counted(
    seed: int, size: int, workers: int, rng: random.Random
) -> None:
    whole = Measures(SETTINGS)
    parts = [Measures(SETTINGS) for _ in range(workers)]
    owner_of_campaign: dict[str, int] = {}
    for event in random_events(seed, size):
        count(whole, event)
        worker = rng.randrange(workers)
        campaign = event[0].truth.campaign_id
        if campaign:  # a campaign belongs to one worker
            worker = owner_of_campaign.setdefault(campaign, worker)
        count(parts[worker], event)
    merged = Measures(SETTINGS)
    rng.shuffle(parts)
    for part in parts:
        merged.merge(json.loads(json.dumps(part.to_state())))
    assert figures(merged) == figures(whole)
    assert merged.cold.detection.figures(0.001, 500) == whole.cold.detection.figures(0.001, 500)


def test_nothing_is_lost_between_offered_and_ended() -> None:
    measures = Measures()
    for event in random_events(3, 200):
        count(measures, event)
    measures.offered(START, 7)
    measures.started(START)
    found = encode(live(measures, 20, ASKED).transactions)
    assert found["in_flight"] == 7
    assert found["offered"] == 207
    assert found["dropped"] == sum(found["drop_reasons"].values()) > 0


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        ("no answer within 0.3 s", None, (1, 0, 0)),
        ("connecting took too long", None, (1, 0, 0)),
        ("HTTP 503", 503, (0, 1, 2)),
        ("the connection was reset", None, (0, 0, 1)),
        ("not JSON", 200, (0, 0, 0)),
        (None, 200, (0, 0, 1)),
    ],
)
def test_the_kinds_of_a_calls_failure_are_curves_of_their_own(
    error: str | None, status: int | None, expected: tuple[int, int, int]
) -> None:
    measures = Measures(MeasureSettings())
    made = Call("bastion", "POST", "/score", 3.0, status, 0, 0, error, resent=expected[2])
    measures.called(At(3.2, 60.0), [made, made._replace(error=None, resent=0)])
    merged = Measures(MeasureSettings())
    merged.merge(measures.to_state())
    for one in (measures, merged):
        (point,) = one.timeline.points()
        assert (point.timeouts, point.http_errors, point.resent) == expected


def test_the_warm_up_is_counted_apart() -> None:
    measures = Measures(SETTINGS)
    end(measures, fraud(sim_s=99.9), ALERT, At(1.0, 99.9))
    end(measures, fraud(sim_s=100.0), PASSED, At(1.0, 100.0))
    assert measures.detection.fraudulent().transactions == 1
    assert measures.cold.detection.fraudulent().alerted == 1
    assert live(measures, 2, ASKED).detection.recall == 0
    assert measures.tally.completed == 2


def test_a_fresh_snapshot_is_json_and_claims_nothing() -> None:
    found = json.loads(json.dumps(encode(live(Measures(), 0.0, ASKED))))
    assert found["detection"]["recall"] is None
    assert found["rate"] == {
        "offered_tps": None,
        "achieved_tps": None,
        "peak_tps": None,
        "peak_over_s": 1.0,
        "achieved_share": None,
    }
    assert found["latency_ms"]["response"]["p99"] is None


def test_a_roster_joins_partial_timelines_and_ignores_repeats() -> None:
    whole, parts = Measures(SETTINGS), [Measures(SETTINGS), Measures(SETTINGS)]
    roster = Roster(SETTINGS)
    sent_until = 0.0
    for number, event in enumerate(random_events(5, 400)):
        count(whole, event)
        campaign = event[0].truth.campaign_id
        count(parts[campaign in ("c0", "c1")], event)
        if number % 50 == 49:
            for name, part in zip("ab", parts, strict=True):
                state = json.loads(json.dumps(part.to_state(timeline_from_s=sent_until)))
                roster.update(name, state)
                roster.update(name, state)
            sent_until = event[2]
    assert figures(roster.total()) == figures(whole)
    assert roster.total().books.to_state() == whole.books.to_state()


def test_one_record_stays_cheap() -> None:
    measures = Measures()
    events = random_events(1, 500)
    best_us = float("inf")
    for _ in range(5):
        begin = perf_counter()
        for plan, answer, wall_s in events:
            end(measures, plan, answer, At(wall_s, plan.sim_s))
        best_us = min(best_us, (perf_counter() - begin) / len(events) * 1e6)
    assert best_us < 60  # about 10 on an idle machine; the bound leaves room for a busy one


def test_a_roster_adds_up_only_the_stretches_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Measures()
    for second in range(100):
        counted.offered(At(second, second))
    roster, added = Roster(MeasureSettings()), []
    for process in ("a", "b"):
        roster.update(process, counted.to_state())
    roster.total()
    real = Bucket.merge_state
    monkeypatch.setattr(Bucket, "merge_state", lambda self, state: added.append(1) or real(self, state))
    before = roster.total()
    assert added == []
    counted.offered(At(99, 99), 5)
    roster.update("b", counted.to_state(timeline_from_s=99))
    after = roster.total()
    assert len(added) == 2  # one stretch of two processes
    assert [point.offered for point in after.timeline.points()] == [2] * 99 + [7]
    assert before.timeline.points()[-1].offered == 2  # the last sum does not change under its readers


def calls_of(work: Callable[[], object]) -> int:
    """How many functions are called: what the work costs, whatever else the machine does."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def test_a_snapshot_costs_the_same_however_long_the_run() -> None:
    measures, rng = Measures(), np.random.default_rng(1)
    costs = {}
    for second in range(1, 1_501):
        at = At(second, second)
        measures.offered(at)
        end(measures, fraud(1_000, second, campaign=f"c{second}"), ALERT if second % 3 else PASSED, at)
        block = block_of(rng, 60, 0.0, 15) if second % 100 == 0 else ()
        measures.ended(at, block)
        call(measures, "nexum", "/withdraw", 2.0 + second % 7, at=at)
        costs[second] = calls_of(lambda now_s=second: live(measures, now_s, ASKED))
    assert costs[1_500] <= costs[101] * 1.1 < 2_200
    costs = [calls_of(lambda since=since: measures.timeline.points(since)) for since in (1_497.0, 1_497.0)]
    assert costs[1] <= costs[0] < 300
    assert calls_of(lambda: measures.to_state(1_497.0, books=False)) < 30_000


def test_a_state_of_the_last_seconds_is_small() -> None:
    """What a worker sends several times a second may not grow with the run."""
    sizes = []
    for seconds in (50, 1_500):
        measures, rng = Measures(), np.random.default_rng(2)
        for second in range(1, seconds + 1):
            measures.ended(At(second, second), block_of(rng, 100, 0.0, 2))
        sizes.append(len(json.dumps(measures.to_state(seconds - 3.0, books=False))))
    assert sizes[1] < 3 * sizes[0]
