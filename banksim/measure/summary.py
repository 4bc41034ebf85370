"""From counts to figures: the parts that the live page, the report and the gates all read.

The keys are one public schema (version in the report's results.json); shares are 0..1,
latencies ms, amounts integer cents, and what is not defined is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from banksim.measure.scores import share, wilson
from banksim.measure.timeline import Bucket, Timeline

if TYPE_CHECKING:
    from banksim.measure.latency import LatencyHistogram
    from banksim.measure.measures import Measures, Quality

# -- Figures beyond counting ------------------------------------------------------------------------
#
# Response-time ranges, quality against load, percentiles with their intervals.


#: (fast up to, slow from) in ms; the first is the usual pair for people at a screen.
RANGES_MS = ((800.0, 1_200.0), (80.0, 120.0), (8.0, 12.0))
INTERVAL_PERCENTS = {"p50": 50.0, "p95": 95.0, "p99": 99.0}
#: Rates of single seconds are mostly chance; stretches of this length say what was offered.
LOAD_STRETCH_S = 5.0
MAX_LOAD_ROWS = 8


def response_ranges(quality: Quality) -> dict[str, Any]:
    """Answered transactions by response time, failed and unanswered apart.

    {fast_ms, slow_ms, fast, middle, slow, failed}; the limits go down tenfold, at most twice,
    while 99 % of the answered ones are below the fast one, so that a quick system still shows.
    """
    response, failed = quality.latency["response"], quality.failed_response
    answered = response.count - failed.count

    def up_to(limit_ms: float) -> int:
        return response.count_up_to(limit_ms) - failed.count_up_to(limit_ms)

    # A pair is informative when not nearly everything lies below a tenth of it.
    informative = (pair for pair in RANGES_MS if up_to(pair[0] / 10) < 0.99 * answered)
    fast_ms, slow_ms = next(informative, RANGES_MS[-1]) if answered else RANGES_MS[0]
    fast, below_slow = up_to(fast_ms), up_to(slow_ms)
    return {
        "fast_ms": fast_ms,
        "slow_ms": slow_ms,
        "fast": fast,
        "middle": below_slow - fast,
        "slow": answered - below_slow,
        "failed": failed.count,
    }


def latency_intervals(histogram: LatencyHistogram) -> dict[str, list[float] | None]:
    """95 % intervals of p50, p95 and p99 in ms; None where there are too few latencies."""
    found: dict[str, list[float] | None] = {}
    for name, percent in INTERVAL_PERCENTS.items():
        ends = histogram.percentile_ends(percent)
        found[name] = list(ends) if ends else None
    return found


def quality_against_load(timeline: Timeline) -> list[dict[str, Any]]:
    """Recall, coverage and p99 by offered rate, lowest first.

    The run is cut into stretches of about ``LOAD_STRETCH_S`` wall seconds, and stretches of a
    like offered rate are added up.  Transactions count where they ended.  Recall here is
    alerts among all fraud that ended, so fraud the detector was never asked about lowers it.
    """
    stretches = _stretches(timeline)
    if not stretches:
        return []
    lowest, highest = min(tps for tps, _, _ in stretches), max(tps for tps, _, _ in stretches)
    width = _round_width((highest - lowest) / MAX_LOAD_ROWS) if highest > lowest else 1.0
    groups: dict[int, tuple[Bucket, float]] = {}
    for tps, bucket, length_s in stretches:
        total, seconds = groups.setdefault(int(tps // width), (Bucket(bucket.sim_s), 0.0))
        total.merge(bucket)
        groups[int(tps // width)] = (total, seconds + length_s)
    return [_load_row(total, seconds) for _, (total, seconds) in sorted(groups.items())]


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


def _load_row(total: Bucket, seconds: float) -> dict[str, Any]:
    low, high = wilson(total.fraud_alerted, total.fraud_sent) or (None, None)
    ended = total.genuine + total.fraud_sent
    return {
        "offered_tps": total.offered / seconds,
        "seconds": seconds,
        "ended": ended,
        "fraud": total.fraud_sent,
        "caught": total.fraud_alerted,
        "recall": share(total.fraud_alerted, total.fraud_sent),
        "recall_low": low,
        "recall_high": high,
        "coverage": share(total.scored, ended),
        "p50_ms": total.response.percentile(50),
        "p99_ms": total.response.percentile(99),
    }


#: Live rates are means over this many wall seconds.
RATE_WINDOW_S = 5.0
MAX_CAMPAIGN_ROWS = 100


def live_summary(measures: Measures, now_s: float) -> dict[str, Any]:
    """The live picture at wall second ``now_s``.

    Keys: transactions, rate (means over the last seconds), fraud, detection, latency_ms,
    response_ranges, calls, errors, scores.
    """
    return {
        "transactions": transactions(measures),
        "rate": current_rate(measures, now_s),
        "fraud": fraud(measures, max_campaigns=20),
        "detection": detection(measures, measures.warm),
        "latency_ms": latency_ms(measures, measures.warm),
        "response_ranges": response_ranges(measures.warm),
        "calls": measures.calls.rows(),
        "errors": measures.calls.error_rows(),
        "scores": {"histogram": measures.detection.score_histogram()},
    }


def transactions(measures: Measures) -> dict[str, Any]:
    """The tally, and why arrivals were dropped."""
    reasons: dict[str, int] = dict(measures.drop_reasons.most_common())
    if measures.drop_reasons.other:
        reasons["other"] = reasons.get("other", 0) + measures.drop_reasons.other
    return {**measures.tally.as_dict(), "drop_reasons": reasons}


def current_rate(measures: Measures, now_s: float) -> dict[str, float | None]:
    """Transactions per wall second over the last moments; None before the first event."""
    window = measures.timeline.window(now_s, RATE_WINDOW_S)
    offered_tps = achieved_tps = None
    if window is not None:
        bucket, covered_s = window
        offered_tps, achieved_tps = bucket.offered / covered_s, bucket.sent / covered_s
    return _rate(measures, offered_tps, achieved_tps)


def overall_rate(measures: Measures, wall_s: float) -> dict[str, float | None]:
    """Means over the whole run of ``wall_s`` seconds; None for a run of no length."""
    tally = measures.tally
    if wall_s <= 0:
        return _rate(measures, None, None)
    return _rate(measures, tally.offered / wall_s, tally.started / wall_s)


def _rate(
    measures: Measures, offered_tps: float | None, achieved_tps: float | None
) -> dict[str, float | None]:
    tally = measures.tally
    return {
        "offered_tps": offered_tps,
        "achieved_tps": achieved_tps,
        "peak_tps": measures.timeline.peak_tps(),
        "peak_over_s": measures.timeline.interval_s,
        "achieved_share": share(tally.started, tally.offered),
    }


def fraud(measures: Measures, max_campaigns: int = MAX_CAMPAIGN_ROWS) -> dict[str, Any]:
    """What was attacked, by typology and campaign, and the decoys."""
    found = measures.detection
    campaigns = found.campaigns
    return {
        "transactions": found.fraudulent().transactions,
        "planned": measures.planned_fraud.total,
        "planned_by_typology": dict(measures.planned_fraud.most_common()),
        "dropped": measures.fraud_dropped,
        "by_typology": found.by_typology(),
        "decoys": found.by_decoy(),
        "campaigns": campaigns.rows(max_campaigns),
        "campaigns_total": len(campaigns.lines),
        "campaign_overflow_transactions": campaigns.overflow,
    }


def detection(measures: Measures, quality: Quality) -> dict[str, Any]:
    """The figures of detection.figures."""
    settings = measures.settings
    return quality.detection.figures(settings.prevalence, settings.false_alert_cost_cents)


def latency_ms(measures: Measures, quality: Quality) -> dict[str, dict[str, Any]]:
    """response, service and lag of transactions; then calls by target system."""
    found = {name: histogram.summary() for name, histogram in quality.latency.items()}
    for system in measures.calls.systems:
        found[system] = measures.calls.of_system(system).summary()
    return found
