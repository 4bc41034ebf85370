"""What is read at the end: slices, calibration, drift, ranges, quality against load, the generator."""

import random
from dataclasses import replace
from math import exp, sqrt

import numpy as np
import pytest

from banksim.measure import Measures, MeasureSettings
from banksim.measure.counts import Extremes
from banksim.measure.detection import MAX_SLICES, OTHER, Slices
from banksim.measure.figures import Drift, ResponseRanges
from banksim.measure.latency import LatencyHistogram
from banksim.measure.measures import GeneratorUse, Roster
from banksim.measure.results import RunInfo, ScenarioInfo
from banksim.measure.scores import ScoreCounts, ScoreScale, calibration, sweep
from banksim.measure.summary import Asked, build_results, quality_against_load, response_ranges
from banksim.measure.trends import MIN_SCORES, ScoreDrift, stability_index
from banksim.model import At, BankStatus, Channel, Decision, Label
from banksim.scenario.models import Goals
from tests.unit.measure.make import ALERT, MISSING, PASSED, UNASKED, end, fraud, outcome, planned

RUN = RunInfo("r1", ScenarioInfo("made"), "live", "USD", wall_s=100.0, simulated_s=3_600.0, end="completed")


def merged(measures: Measures) -> Measures:
    roster = Roster(measures.settings)
    roster.update("w1", measures.to_state())
    return roster.total()


def test_slices_count_by_persona_and_channel() -> None:
    measures = Measures()
    for answer in (ALERT, ALERT, PASSED, MISSING, UNASKED):
        end(measures, fraud(), answer)
    for answer in (ALERT, PASSED, PASSED, PASSED):
        end(measures, planned(), answer)
    row = measures.detection.personas.rows()["salaried"]
    assert (row.fraud, row.caught, row.genuine, row.false_positives) == (4, 2, 4, 1)
    assert (row.recall, row.false_positive_rate, row.unasked) == (0.5, 0.25, 1)
    assert row.recall_low < 0.5 < row.recall_high
    assert list(measures.detection.channels.rows()) == [Channel.POS.value]


def test_slices_are_bounded() -> None:
    slices = Slices()
    for number in range(MAX_SLICES + 9):
        slices.add(f"p{number:03}", fraud=False, asked=True, alert=False)
    assert len(slices.counts) == MAX_SLICES + 1
    assert slices.rows()[OTHER].genuine == 9
    assert slices.rows()["p000"].recall is None


def bins(scores: list[float]) -> ScoreCounts:
    made = ScoreScale().counts()
    for score in scores:
        made.add(score, 1)
    return made


def test_a_calibrated_detector_has_next_to_no_error() -> None:
    rng = random.Random(2)
    scores = [rng.random() for _ in range(40_000)]
    labels = [rng.random() < score for score in scores]
    fair = calibration(
        bins([score for score, label in zip(scores, labels, strict=True) if label]),
        bins([score for score, label in zip(scores, labels, strict=True) if not label]),
    )
    assert fair.error < 0.015
    assert sum(row.scored for row in fair.groups) == 40_000


def test_an_overconfident_detector_shows_by_how_much() -> None:
    found = calibration(bins([0.95] * 50), bins([0.95] * 50))
    assert found.error == pytest.approx(0.45, abs=0.005)
    assert calibration(bins([]), bins([0.2])).error is None


def test_stability_index_by_hand() -> None:
    # Half counts added: (10.5, 30.5) of 41 against (20.5, 20.5) of 41.
    assert stability_index([10, 30], [20, 20]) == pytest.approx(0.2601, abs=1e-4)
    assert stability_index([50, 50], [50, 50]) == 0


def test_drift_stays_low_until_scores_move() -> None:
    rng = random.Random(3)
    drift = ScoreDrift()
    for number in range(4_000):
        high = 4 if number >= 3_000 else 1
        drift.add(number * 3.0, rng.betavariate(high, 9))
    found = drift.figures()
    rows = found.stretches
    assert rows[0].psi is None and sum(row.scored for row in rows) == 4_000
    before = [row.psi for row in rows[1:] if row.to_sim_s <= 9_000]
    assert before and max(before) < 0.15 < 1.0 < found.psi_last


def test_drift_is_that_of_exact_deciles() -> None:
    rng, drift, scores = random.Random(8), ScoreDrift(), []
    for number in range(20_000):  # most scores of a detector lie close together near 0
        scores.append(1 / (1 + exp(-rng.gauss(-4.0 if number < 10_000 else -3.5, 0.8))))
        drift.add(0.0 if number < 10_000 else 3_600.0, scores[-1])
    first, last = np.array(scores[:10_000]), np.array(scores[10_000:])
    edges = np.quantile(first, np.arange(0.1, 1.0, 0.1))
    shares = [np.bincount(np.searchsorted(edges, each), minlength=10) / 10_000 for each in (first, last)]
    exact = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    assert drift.figures().psi_last == pytest.approx(exact, rel=0.05)


def test_too_few_scores_say_nothing_of_drift() -> None:
    drift = ScoreDrift()
    for number in range(MIN_SCORES - 1):
        drift.add(number, 0.5)
    assert drift.figures() == Drift(None, None, [])


def test_drift_windows_are_bounded() -> None:
    drift = ScoreDrift()
    for number in range(400):
        drift.add(number * 3_600.0, 0.3)
    assert len(drift.windows) <= 48
    assert sum(sum(window) for window in drift.windows.values()) == 400


def record(measures: Measures, response_ms: float, status: BankStatus = BankStatus.POSTED) -> None:
    answer = outcome(status=status, lag_ms=0, service_ms=response_ms)
    end(measures, planned(), answer)


def test_ranges_keep_failed_apart_and_fit_the_system() -> None:
    measures = Measures()
    for response_ms in (5, 30, 30, 900, 1_300):
        record(measures, response_ms)
    record(measures, 30, BankStatus.FAILED)
    record(measures, 2_000, BankStatus.UNKNOWN)
    assert response_ranges(measures.warm) == ResponseRanges(
        fast_ms=800, slow_ms=1_200, fast=3, middle=1, slow=1, failed=2
    )
    quick = Measures()
    for _ in range(200):
        record(quick, 3)
    record(quick, 100)
    found = response_ranges(quick.warm)
    assert (found.fast_ms, found.fast, found.slow) == (8, 200, 1)


def test_ranges_of_nothing() -> None:
    found = response_ranges(Measures().warm)
    assert found.fast_ms == 800 and found.fast == found.failed == 0


def test_quality_against_load_groups_like_rates() -> None:
    measures = Measures(MeasureSettings(interval_s=1.0))
    for second in range(20):
        busy = second >= 10
        for _ in range(40 if busy else 10):
            measures.offered(At(second, second))
            end(measures, planned(), MISSING if busy else PASSED, At(second, second))
        end(measures, fraud(), PASSED if busy else ALERT, At(second, second))
    low, high = quality_against_load(measures)
    assert (low.offered_tps, high.offered_tps) == (10, 40)
    assert (low.recall, high.recall) == (1, 0)
    assert low.coverage == 1 and high.coverage == pytest.approx(10 / 410)
    assert quality_against_load(Measures()) == []


def test_a_detector_that_never_degrades_is_as_good_at_every_load() -> None:
    """Rush hours have another mix of fraud, which is caught unlike well: recall at one mix stays flat."""
    flat = bent = 0
    for seed in range(20):
        rng, measures = random.Random(seed), Measures(MeasureSettings(interval_s=1.0))
        for second in range(60):
            busy = second >= 30
            at = At(second, second)
            for _ in range(40 if busy else 10):
                measures.offered(at)
                end(measures, planned(), PASSED, at)
            for typology, caught, number in (
                ("mules", 0.2, 1 if busy else 6),
                ("cards", 0.9, 6 if busy else 1),
            ):
                for nth in range(number):
                    plan = planned(Label.FRAUD, 1_000, second, typology, f"{typology}-{second}-{nth}")
                    end(measures, plan, ALERT if rng.random() < caught else PASSED, at)
        low, high = quality_against_load(measures)
        bent += high.recall - low.recall > 0.3
        span = high.mixed_recall_high - high.mixed_recall + low.mixed_recall - low.mixed_recall_low
        flat += abs(high.mixed_recall - low.mixed_recall) <= span / sqrt(2)
    assert bent == 20 and flat >= 18


def test_rates_are_compared_by_the_fraud_that_they_have_in_common() -> None:
    measures = Measures(MeasureSettings(interval_s=1.0))
    for second in range(20):
        at = At(second, second)
        for _ in range(40 if second >= 10 else 10):
            measures.offered(at)
            end(measures, planned(), PASSED, at)
        kinds = ["cards"] * 4 + (["mules"] * 4 if second >= 10 else [])
        for nth, typology in enumerate(kinds):
            plan = planned(Label.FRAUD, 1_000, second, typology, f"{typology}-{second}-{nth}")
            end(measures, plan, ALERT if typology == "cards" else PASSED, at)
    low, high = quality_against_load(merged(measures))  # and so over workers
    assert (low.recall, high.recall) == (1.0, 0.5)
    assert low.mixed_recall == high.mixed_recall == 1.0


def test_a_fast_refusal_is_no_fast_answer() -> None:
    measures = Measures()
    for nth in range(100):
        refused = replace(MISSING, lag_ms=0.0, service_ms=2.0)
        end(measures, planned(), refused if nth % 2 else replace(PASSED, lag_ms=0.0, service_ms=500.0 + nth))
    measures = merged(measures)
    found = build_results(RUN, measures, Asked(Goals())).latency_ms
    assert found["response"].p50 == pytest.approx(2.0, rel=0.01)
    assert found["unscored"].count == found["scored"].count == 50
    assert found["unscored"].max == 2.0 and found["scored"].p50 == pytest.approx(548.0, rel=0.01)
    assert found["scored"].max == pytest.approx(598.0, rel=0.002)
    assert found["scored"].mean == pytest.approx(549.0, rel=0.001)
    whole = Measures()
    end(whole, planned(), PASSED)
    assert "scored" not in build_results(RUN, whole, Asked(Goals())).latency_ms


def test_percentile_ends_enclose_the_percentile() -> None:
    rng = random.Random(5)
    inside = 0
    for _ in range(200):
        histogram = LatencyHistogram()
        for _ in range(1_000):
            histogram.add(rng.expovariate(1 / 50))
        low, high = histogram.percentile_ends(95) or (0.0, 0.0)
        inside += low <= 149.787 <= high  # −50 · ln 0.05
    assert 180 <= inside <= 200
    few = LatencyHistogram()
    few.add(1)
    assert few.percentile_ends(99) is None


def test_the_slowest_and_the_first_failed_calls_are_kept() -> None:
    extremes = Extremes(limit=2)
    for wall_s, latency_ms, error in ((1, 5, ""), (2, 90, ""), (3, 7, "503"), (4, 80, "503"), (5, 1, "x")):
        extremes.add("bank", "post", latency_ms, error, At(wall_s, 0.0))
    assert [row.latency_ms for row in extremes.rows()] == [90, 80]
    assert [row.wall_s for row in extremes.failed_rows()] == [3, 4]


def test_the_generator_counts_when_it_was_busy() -> None:
    use = GeneratorUse()
    assert use.figures() is None
    use.add(50.0, 1e6, 10.0)
    use.add(95.0, 2e6, 5.0)
    found = use.figures()
    assert found is not None
    assert (found.samples, found.busy_samples, found.cpu_percent_max) == (2, 1, 95.0)
    assert (found.cpu_percent_mean, found.rss_bytes_max, found.network_bytes_s_max) == (
        72.5,
        2e6,
        10,
    )


def test_cost_of_thresholds_can_be_read_from_the_sweep() -> None:
    measures = Measures()
    end(measures, fraud(amount_cents=900), outcome(Decision.BLOCK, 0.9))
    end(measures, fraud(amount_cents=100), outcome(Decision.APPROVE, 0.2))
    end(measures, planned(), outcome(Decision.APPROVE, 0.5))
    rows = sweep(measures.detection.fraudulent().scores, measures.detection.not_fraud().scores)
    assert [(row.caught_cents, row.false_positives) for row in rows] == [(900, 0), (900, 1), (1_000, 1)]
