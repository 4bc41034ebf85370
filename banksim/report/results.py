"""results.json: the whole run as one dictionary, for people's scripts and for every page here.

``schema`` is raised when a key changes its meaning or goes away; new keys may appear.
Shares are 0..1, latencies ms, amounts integer cents of run.currency, ``*_sim_s`` simulated
and ``wall_s`` wall seconds since the run's start; None (null) is "not defined", never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from banksim.measure import Measures
from banksim.measure import summary as of
from banksim.measure.scores import calibration, used_scores
from banksim.measure.summary import latency_intervals, quality_against_load, response_ranges
from banksim.report.story import limits

SCHEMA = 1


def build_results(
    run_info: Mapping[str, Any],
    measures: Measures,
    planned: Mapping[str, Any] | None = None,
    *,
    reconciliation: Mapping[str, Any] | None = None,
    thresholds: Sequence[Mapping[str, Any]] = (),
    kafka: Mapping[str, Any] | None = None,
    with_timeline: bool = True,
) -> dict[str, Any]:
    """Everything known about a run; without the timeline, which is most of the work, for a live page.

    ``run_info`` becomes "run" (run_id, scenario {name, title, hash, file, start_at}, seed, mode, flow,
    currency, started_at, ended_at, wall_s, simulated_s, speed, customers, targets, versions, machine,
    end); ``wall_s`` is required.  ``planned`` says what the scenario asked for: {"transactions": expected
    number, "attacks": [{"name", "start_s", "end_s"}] in simulated seconds}.  ``reconciliation`` is
    what measure.compare returned, ``thresholds`` rows of {"expression", "value", "passed", "reason"},
    ``kafka`` the events and decisions of measure.stream with where they went.
    """
    results: dict[str, Any] = {
        "schema": SCHEMA,
        "run": dict(run_info),
        "planned": dict(planned) if planned else None,
        "thresholds": [dict(row) for row in thresholds],
        "transactions": of.transactions(measures),
        "rate": of.overall_rate(measures, float(run_info["wall_s"])),
        "fraud": of.fraud(measures),
        "detection": of.detection(measures, measures.warm),
        "detection_by": {
            "persona": measures.detection.personas.rows(),
            "channel": measures.detection.channels.rows(),
        },
        "latency_ms": of.latency_ms(measures, measures.warm),
        "latency_intervals_ms": _latency_intervals(measures),
        "response_ranges": response_ranges(measures.warm),
        "warm_up": _warm_up(measures),
        "calls": measures.calls.rows(),
        "errors": measures.calls.error_rows(),
        "slowest_calls": measures.calls.extremes.rows(),
        "failed_calls": measures.calls.extremes.failed_rows(),
        "scores": _scores(measures),
        "timeline": measures.timeline.points() if with_timeline else [],
        "quality_against_load": quality_against_load(measures.timeline),
        "generator": measures.generator.figures(),
        "reconciliation": dict(reconciliation) if reconciliation else None,
        "invariant": measures.balance_checks.figures(),
        "kafka": dict(kafka) if kafka else None,
    }
    results["limits"] = limits(results, measures)
    return results


def _scores(measures: Measures) -> dict[str, Any]:
    found = measures.detection
    fraud, honest = found.fraudulent().scores, found.honest().scores
    return {
        "histogram": found.score_histogram(),
        "sweep": found.threshold_sweep(),
        "bins": used_scores(fraud, honest),
        "calibration": calibration(fraud, honest),
        "drift": found.drift.figures(),
    }


def _latency_intervals(measures: Measures) -> dict[str, dict[str, list[float] | None]]:
    histograms = dict(measures.warm.latency)
    for system in measures.calls.systems:
        histograms[system] = measures.calls.of_system(system)
    return {name: latency_intervals(histogram) for name, histogram in histograms.items()}


def _warm_up(measures: Measures) -> dict[str, Any] | None:
    if not measures.settings.warm_up_s:
        return None
    cold = measures.cold
    return {
        "sim_s": measures.settings.warm_up_s,
        "detection": of.detection(measures, cold),
        "latency_ms": {name: histogram.summary() for name, histogram in cold.latency.items()},
    }
