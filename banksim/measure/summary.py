"""From counts to figures: what the live page, the report and the thresholds read.

`live` makes the picture of this moment, `build_results` everything at the end; both are
values of results.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from banksim.measure.campaigns import design_effects, recall_at_mix, with_ends
from banksim.measure.contest import RINHA, ContestScore, rinha_score
from banksim.measure.detection import Slices
from banksim.measure.figures import (
    DetectionFigures,
    Fraud,
    LoadRow,
    Percentiles,
    Rate,
    Reconciliation,
    ResponseParts,
    ResponseRanges,
    ScoreHistogram,
    Scores,
    SliceRow,
    Transactions,
    WarmUp,
)
from banksim.measure.kafka import Kafka
from banksim.measure.latency import LatencyHistogram
from banksim.measure.measures import Measures, Quality
from banksim.measure.results import (
    SCHEMA,
    Planned,
    Results,
    RunInfo,
    Snapshot,
    ThresholdRow,
)
from banksim.measure.scores import calibration, enough, share, sweep, used_scores, wilson
from banksim.measure.story import caveats
from banksim.measure.thresholds.judge import Threshold, standing
from banksim.measure.thresholds.readings import Figures
from banksim.measure.tiles import funnel, tiles
from banksim.measure.timeline import Bucket, Timeline
from banksim.measure.trends import figures_of
from banksim.measure.verdicts import Evidence, judge
from banksim.scenario.models import Goals

#: (fast up to, slow from) in ms; the first is the usual pair for people at a screen.
RANGES_MS = ((800.0, 1_200.0), (80.0, 120.0), (8.0, 12.0))
INTERVAL_PERCENTS = {"p50": 50.0, "p95": 95.0, "p99": 99.0}
#: Rates of single seconds are mostly chance; stretches of this length say what was offered.
LOAD_STRETCH_S = 5.0
MAX_LOAD_ROWS = 8
#: Live rates are means over this many wall seconds.
RATE_WINDOW_S = 5.0
#: A rate and the ends of its interval.
ENDS = ("", "_low", "_high")
MAX_CAMPAIGN_ROWS = 100
MAX_LIVE_CAMPAIGN_ROWS = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is held against: the scenario's goals and thresholds, and its plan once there is one."""

    goals: Goals
    thresholds: Sequence[Threshold] = ()
    planned: Planned | None = None
    currency: str = "USD"
    seats: int | None = None


def live(measures: Measures, now_s: float, asked: Asked) -> Snapshot:
    """The picture at wall second ``now_s``."""
    so_far = Figures(measures, now_s)
    evidence = _evidence(measures, asked, so_far.detection, current_rate(measures, now_s))
    evidence.thresholds = standing(asked.thresholds, so_far)
    return Snapshot(
        transactions=evidence.transactions,
        rate=evidence.rate,
        fraud=fraud(measures, MAX_LIVE_CAMPAIGN_ROWS),
        detection=evidence.detection,
        latency_ms=evidence.latency_ms,
        response_parts=evidence.response_parts,
        response_ranges=response_ranges(measures.warm),
        calls=measures.calls.rows(),
        errors=measures.calls.error_rows(),
        scores=ScoreHistogram(measures.detection.score_histogram()),
        verdict=judge(evidence),
        tiles=tiles(evidence),
        funnel=funnel(evidence),
    )


def build_results(
    run: RunInfo,
    measures: Measures,
    asked: Asked,
    *,
    reconciliation: Reconciliation | None = None,
    thresholds: Sequence[ThresholdRow] = (),
    kafka: Kafka | None = None,
    partial: bool = False,
) -> Results:
    """Everything known about a run.

    ``partial``: it goes on; the thresholds are then those that can be read so far, and the timeline, which
    is most of the work, is left out.
    """
    ran_s = run.wall_s - run.paused_s
    evidence = _evidence(measures, asked, detection(measures, measures.warm), overall_rate(measures, ran_s))
    evidence.reconciliation = reconciliation
    evidence.run = run
    evidence.partial = partial
    evidence.growth = {} if partial else figures_of(measures.calls.growth)
    evidence.thresholds = (
        standing(asked.thresholds, Figures(measures, ran_s)) if partial else list(thresholds)
    )
    lines = measures.detection.campaigns.lines
    counts = sorted((name, line.transactions, line.alerted) for name, line in lines.items())
    attacked = replace(fraud(measures, MAX_CAMPAIGN_ROWS), campaign_counts=counts)
    extremes = measures.calls.extremes
    return Results(
        schema=SCHEMA,
        run=run,
        planned=asked.planned,
        verdict=judge(evidence),
        thresholds=evidence.thresholds,
        transactions=evidence.transactions,
        rate=evidence.rate,
        fraud=attacked,
        detection=evidence.detection,
        detection_by={
            "persona": _slices(measures.detection.personas, evidence.detection),
            "channel": _slices(measures.detection.channels, evidence.detection),
        },
        latency_ms=evidence.latency_ms,
        latency_intervals_ms={name: latency_intervals(one) for name, one in _histograms(measures).items()},
        response_parts=evidence.response_parts,
        response_ranges=response_ranges(measures.warm),
        warm_up=_warm_up(measures),
        calls=measures.calls.rows(),
        errors=measures.calls.error_rows(),
        slowest_calls=extremes.rows(),
        failed_calls=extremes.failed_rows(),
        scores=_scores(measures),
        timeline=[] if partial else measures.timeline.points(),
        quality_against_load=quality_against_load(measures),
        generator=evidence.generator,
        reconciliation=reconciliation,
        invariant=evidence.invariant,
        kafka=kafka,
        tiles=tiles(evidence),
        funnel=funnel(evidence),
        limits=caveats(evidence, attacked, measures),
        growth=evidence.growth,
        contest=_contest(evidence, measures),
        refusals=dict(measures.refusals.most_common()),
        completions=measures.calls.completion_figures(),
        partial=partial,
        made_at=datetime.now(UTC).isoformat(timespec="seconds") if partial else None,
    )


def _evidence(measures: Measures, asked: Asked, found: DetectionFigures, rate: Rate) -> Evidence:
    latency_ms = {name: one.summary() for name, one in _histograms(measures).items()}
    return Evidence(
        goals=asked.goals,
        planned=asked.planned,
        currency=asked.currency,
        seats=asked.seats,
        transactions=transactions(measures),
        rate=rate,
        detection=found,
        latency_ms=latency_ms,
        response_parts=_response_parts(latency_ms),
        generator=measures.generator.figures(),
        invariant=measures.balance_checks.figures(),
        warmed_up=measures.settings.warm_up_s > 0,
    )


def _contest(evidence: Evidence, measures: Measures) -> ContestScore | None:
    """The score of the contest whose contract the detector keeps; None for any other."""
    found, p99_ms = evidence.detection, evidence.p99("bastion")
    of_rinha = evidence.run is not None and evidence.run.adapters.get("bastion") == RINHA
    if not of_rinha or p99_ms is None or not found.confusion.fraud + found.confusion.genuine:
        return None
    unanswered = sum(row.missing for row in measures.detection.by_typology().values())
    asked = found.confusion.fraud + found.confusion.genuine
    return rinha_score(asked, found.confusion.fp, found.confusion.fn - unanswered, found.missing, p99_ms)


def transactions(measures: Measures) -> Transactions:
    """The tally, and why arrivals were dropped."""
    tally = measures.tally
    reasons: dict[str, int] = dict(measures.drop_reasons.most_common())
    if measures.drop_reasons.other:
        reasons["other"] = reasons.get("other", 0) + measures.drop_reasons.other
    error_share = share(tally.failed + tally.unknown, tally.finished)
    return Transactions(**tally.as_dict(), drop_reasons=reasons, error_share=error_share)


def current_rate(measures: Measures, now_s: float) -> Rate:
    """Transactions per wall second over the last moments; None before the first event."""
    window = measures.timeline.window(now_s, RATE_WINDOW_S)
    if window is None:
        return _rate(measures, None, None)
    bucket, covered_s = window
    return _rate(measures, bucket.offered / covered_s, bucket.sent / covered_s)


def overall_rate(measures: Measures, wall_s: float) -> Rate:
    """Means over the whole run of ``wall_s`` seconds; None for a run of no length."""
    if wall_s <= 0:
        return _rate(measures, None, None)
    return _rate(measures, measures.tally.offered / wall_s, measures.tally.started / wall_s)


def _rate(measures: Measures, offered_tps: float | None, achieved_tps: float | None) -> Rate:
    tally, timeline = measures.tally, measures.timeline
    achieved = share(tally.started, tally.offered)
    return Rate(offered_tps, achieved_tps, timeline.peak_tps(), timeline.interval_s, achieved)


def fraud(measures: Measures, max_campaigns: int) -> Fraud:
    """What was attacked, by typology and campaign, and the decoys."""
    found = measures.detection
    by_typology = found.by_typology()
    return Fraud(
        transactions=sum(row.transactions for row in by_typology.values()),
        planned=measures.planned_fraud.total,
        planned_by_typology=dict(measures.planned_fraud.most_common()),
        dropped=measures.fraud_dropped,
        by_typology=by_typology,
        decoys=found.by_decoy(),
        campaigns=found.campaigns.rows(max_campaigns),
        campaigns_total=len(found.campaigns.lines),
        campaign_overflow_transactions=found.campaigns.overflow,
    )


def detection(measures: Measures, quality: Quality) -> DetectionFigures:
    """Figures of the whole run or of its warm-up."""
    settings = measures.settings
    return quality.detection.figures(settings.prevalence, settings.false_positive_cost_cents)


def _histograms(measures: Measures) -> dict[str, LatencyHistogram]:
    """response, service and lag of transactions; then calls by target system.

    Where scores are missing, the response of what was "scored" and "unscored" too: a fast refusal is no fast
    answer.
    """
    quality, apart = measures.warm, {}
    if quality.unscored_response.count:
        scored = quality.response.since(quality.unscored_response)
        apart = {"scored": scored, "unscored": quality.unscored_response}
    by_system = {system: measures.calls.of_system(system) for system in measures.calls.systems}
    return {**quality.latency, **apart, **by_system}


def _response_parts(found: Mapping[str, Percentiles]) -> dict[str, ResponseParts]:
    none = Percentiles(0, None, None, None, None, None, None)
    own, bank, detector = (found.get(name, none) for name in ("lag", "nexum", "bastion"))
    return {
        "p50": ResponseParts(own.p50, bank.p50, detector.p50),
        "p99": ResponseParts(own.p99, bank.p99, detector.p99),
    }


def response_ranges(quality: Quality) -> ResponseRanges:
    """Answered transactions by response time, failed and unanswered apart.

    The limits go down tenfold, at most twice, while 99 % of the answered ones are below a tenth of the fast
    one, so that a quick system still shows.
    """
    response, failed = quality.latency["response"], quality.failed_response
    answered = response.count - failed.count

    def up_to(limit_ms: float) -> int:
        return response.count_up_to(limit_ms) - failed.count_up_to(limit_ms)

    # A pair is informative when not nearly everything lies below a tenth of it.
    informative = (pair for pair in RANGES_MS if up_to(pair[0] / 10) < 0.99 * answered)
    fast_ms, slow_ms = next(informative, RANGES_MS[-1]) if answered else RANGES_MS[0]
    fast, below_slow = up_to(fast_ms), up_to(slow_ms)
    return ResponseRanges(fast_ms, slow_ms, fast, below_slow - fast, answered - below_slow, failed.count)


def latency_intervals(histogram: LatencyHistogram) -> dict[str, tuple[float, float] | None]:
    """95 % intervals of p50, p95 and p99 in ms; None where there are too few latencies."""
    return {name: histogram.percentile_ends(percent) for name, percent in INTERVAL_PERCENTS.items()}


def _slices(slices: Slices, found: DetectionFigures) -> dict[str, SliceRow]:
    """Rates are None when nothing at all was scored."""
    rows = slices.rows(found.by_bank > 0)
    names = ("recall", "false_positive_rate")
    none: Any = dict.fromkeys(f"{name}{end}" for name in names for end in ENDS)
    return (
        rows if found.scored or found.by_bank else {name: replace(row, **none) for name, row in rows.items()}
    )


def _scores(measures: Measures) -> Scores:
    found = measures.detection
    fraudulent, genuine = found.fraudulent().scores, found.not_fraud().scores
    return Scores(
        histogram=found.score_histogram(),
        sweep=sweep(fraudulent, genuine),
        bins=used_scores(fraudulent, genuine),
        calibration=calibration(fraudulent, genuine),
        drift=found.drift.figures(),
    )


def _warm_up(measures: Measures) -> WarmUp | None:
    if not measures.settings.warm_up_s:
        return None
    latency_ms = {name: histogram.summary() for name, histogram in measures.cold.latency.items()}
    return WarmUp(measures.settings.warm_up_s, detection(measures, measures.cold), latency_ms)


# -- Quality against load ---------------------------------------------------------------------------
#
# The run is cut into stretches of about ``LOAD_STRETCH_S`` wall seconds, and stretches of a like
# offered rate are added up.  Transactions count where they ended.  Recall here is alerts among
# all fraud that ended, so fraud the detector was never asked about lowers it.  Typologies are caught
# unlike well, and a rush hour has others than a quiet one: rates are compared at one mix.


def quality_against_load(measures: Measures) -> list[LoadRow]:
    """Recall, coverage and p99 by offered rate, lowest first."""
    stretches = _stretches(measures.timeline)
    if not stretches:
        return []
    lowest, highest = min(tps for tps, _, _ in stretches), max(tps for tps, _, _ in stretches)
    width = _round_width((highest - lowest) / MAX_LOAD_ROWS) if highest > lowest else 1.0
    groups: dict[int, tuple[Bucket, float]] = {}
    for tps, bucket, length_s in stretches:
        total, seconds = groups.setdefault(int(tps // width), (Bucket(bucket.sim_s), 0.0))
        total.merge(bucket)
        groups[int(tps // width)] = (total, seconds + length_s)
    mix = Counter[str]()
    for total, _ in groups.values():
        mix.update({name: number for name, (number, _) in total.tried.items()})
    judged = [total.tried.keys() for total, _ in groups.values() if enough(total.fraud_sent)]
    common = set(mix).intersection(*judged)
    effects = design_effects(measures.detection.campaigns.lines.values())
    rows = []
    for _, (total, seconds) in sorted(groups.items()):
        tried = {name: (pair[0], pair[1]) for name, pair in total.tried.items() if name in common}
        at_mix = recall_at_mix(tried, mix, effects) if total.scored else None
        recall, low, high = with_ends(at_mix) if at_mix is not None else (None, None, None)
        rows.append(
            replace(
                _load_row(total, seconds), mixed_recall=recall, mixed_recall_low=low, mixed_recall_high=high
            )
        )
    return rows


def _stretches(timeline: Timeline) -> list[tuple[float, Bucket, float]]:
    """(offered per wall second, what happened, wall seconds)."""
    per = max(1, round(LOAD_STRETCH_S / timeline.interval_s))
    groups: dict[int, tuple[Bucket, int]] = {}
    for index, bucket in sorted(timeline.buckets.items()):
        total, number = groups.setdefault(index // per, (Bucket(bucket.sim_s), 0))
        total.merge(bucket)
        groups[index // per] = (total, number + 1)
    return [
        (total.offered / (number * timeline.interval_s), total, number * timeline.interval_s)
        for total, number in groups.values()
    ]


def _round_width(least: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 1e-9
    while True:
        for factor in (1, 2, 5):
            if factor * power >= least:
                return factor * power
        power *= 10


def _load_row(total: Bucket, seconds: float) -> LoadRow:
    judged = total.fraud_sent if total.scored else 0
    low, high = wilson(total.fraud_alerted, judged) or (None, None)
    ended = total.genuine + total.fraud_sent
    return LoadRow(
        enough=enough(total.fraud_sent),
        offered_tps=total.offered / seconds,
        seconds=seconds,
        ended=ended,
        fraud=total.fraud_sent,
        caught=total.fraud_alerted,
        recall=share(total.fraud_alerted, judged),
        recall_low=low,
        recall_high=high,
        coverage=share(total.scored, ended),
        p50_ms=total.response.percentile(50),
        p99_ms=total.response.percentile(99),
    )
