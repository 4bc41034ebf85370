"""From counts to figures: the parts that the live page, the report and the gates all read.

The keys are one public schema (version in the report's results.json); shares are 0..1,
latencies ms, amounts integer cents, and what is not defined is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from banksim.measure.insight import response_ranges
from banksim.measure.intervals import share

if TYPE_CHECKING:
    from banksim.measure.measures import Measures, Quality

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
