import json
import random
from time import perf_counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure import Measures, MeasureSettings, Roster
from banksim.measure.results import RunInfo, ScenarioInfo, encode
from banksim.measure.summary import Asked, build_results, live
from banksim.model import At, BankStatus, Decision, Label, Outcome, Planned
from banksim.scenario.models import Goals
from tests.unit.measure.make import ALERT, PASSED, START, call, end, fraud, outcome, planned

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
    assert measures.tally.problems() == []


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
