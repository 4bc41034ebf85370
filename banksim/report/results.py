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
from banksim.report.limits import limits

SCHEMA = 1


def build_results(
    run_info: Mapping[str, Any],
    measures: Measures,
    planned: Mapping[str, Any] | None = None,
    *,
    reconciliation: Mapping[str, Any] | None = None,
    thresholds: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Everything known about a run.

    ``run_info`` becomes "run" (run_id, scenario {name, title, hash, file, start_at}, seed, mode, flow,
    currency, started_at, ended_at, wall_s, simulated_s, speed, customers, targets, versions, machine,
    end); ``wall_s`` is required.  ``planned`` says what the scenario asked for: {"transactions": expected
    number, "attacks": [{"name", "start_s", "end_s"}] in simulated seconds}.  ``reconciliation`` is
    what measure.compare returned, ``thresholds`` rows of {"expression", "value", "passed", "reason"}.
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
        "latency_ms": of.latency_ms(measures, measures.warm),
        "warm_up": _warm_up(measures),
        "calls": measures.calls.rows(),
        "errors": measures.calls.error_rows(),
        "scores": {
            "histogram": measures.detection.score_histogram(),
            "sweep": measures.detection.threshold_sweep(),
        },
        "timeline": measures.timeline.points(),
        "reconciliation": dict(reconciliation) if reconciliation else None,
    }
    results["limits"] = limits(results, measures)
    return results


def _warm_up(measures: Measures) -> dict[str, Any] | None:
    if not measures.settings.warm_up_s:
        return None
    cold = measures.cold
    return {
        "sim_s": measures.settings.warm_up_s,
        "detection": of.detection(measures, cold),
        "latency_ms": {name: histogram.summary() for name, histogram in cold.latency.items()},
    }
