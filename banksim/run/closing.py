"""The end of a run: compare the books, gather who and what it was, write the report."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

import banksim
from banksim.measure import Measures
from banksim.measure.figures import Reconciliation
from banksim.measure.results import Kafka, Planned, Results, RunInfo, Window, decode
from banksim.measure.summary import Asked, build_results
from banksim.measure.thresholds.judge import Verdict, thresholds_of
from banksim.report import write_report
from banksim.run.plan import Parts
from banksim.run.process import in_thread
from banksim.run.settings import RunSettings
from banksim.schedule.rate import clock_hours, in_hours

#: Libraries whose version can change what a run measures.
MEASURING_LIBRARIES = ("locust", "gevent", "geventhttpclient", "pydantic", "confluent-kafka")


def run_info(
    settings: RunSettings,
    parts: Parts,
    addresses: Mapping[str, str],
    moment: tuple[float, float],
    started_at: datetime,
    end: str,
) -> dict[str, Any]:
    """The run's identity for the report.  ``moment`` is (wall, simulated) seconds at its end."""
    scenario = settings.scenario
    wall_s, sim_s = moment
    return {
        "run_id": settings.run_id,
        "scenario": {
            "name": scenario.source_path.stem if scenario.source_path else scenario.name,
            "title": scenario.name,
            "hash": scenario.hash,
            "file": _shown_path(scenario.source_path),
            "start_at": scenario.start_at.isoformat(),
        },
        "seed": settings.seed,
        "mode": str(settings.mode),
        "flow": scenario.flow,
        "currency": scenario.currency,
        "started_at": started_at.isoformat(timespec="seconds"),
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": wall_s,
        "simulated_s": sim_s,
        "speed": parts.clock.speed,
        "customers": scenario.customers,
        "targets": dict(addresses),
        "versions": {"python": platform.python_version(), "banksim": banksim.__version__}
        | {name: version(name) for name in MEASURING_LIBRARIES},
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cpus": psutil.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
        },
        "end": end,
    }


def asked(settings: RunSettings, parts: Parts | None) -> Asked:
    """What the run is held against, and what its scenario plans once that is known."""
    scenario = settings.scenario
    planned = _planned(settings, parts) if parts is not None else None
    return Asked(scenario.goals, thresholds_of(scenario), planned, scenario.currency)


def _planned(settings: RunSettings, parts: Parts) -> Planned:
    scenario = settings.scenario
    counted = sum(pattern.count or 0 for pattern in scenario.fraud.all_patterns)
    business = scenario.transaction_rate.business_hours
    fraud = Counter[str]()
    for spec in parts.desk.specs:
        if not spec.decoy:
            fraud[spec.typology] += spec.size
    return Planned(
        transactions=round(parts.offered.total() / settings.speed + counted),
        duration_s=scenario.duration_s,
        attacks=[Window(w.start_s, w.end_s, w.label) for w in parts.desk.windows],
        business_hours=[
            Window(start_s, end_s)
            for start_s, end_s, moment in clock_hours(scenario.start_at, scenario.duration_s)
            if in_hours(moment.hour, business)
        ],
        fraud_by_typology=dict(sorted(fraud.items())),
    )


def write_results(
    settings: RunSettings,
    parts: Parts,
    measures: Measures,
    info: Mapping[str, Any],
    reconciliation: Reconciliation | None,
    feed: list[dict[str, Any]],
    verdicts: Sequence[Verdict] = (),
    kafka: Kafka | None = None,
) -> Results:
    """Build the results and write the run's folder.  Raises ReportFolderError.

    Charts are CPU work, so it happens in a thread while the web page stays responsive;
    nothing is counted any more by then.
    """

    def work() -> Results:
        results = build_results(
            decode(RunInfo, info),
            measures,
            asked(settings, parts),
            reconciliation=reconciliation,
            thresholds=[verdict.as_row() for verdict in verdicts],
            kafka=kafka,
        )
        write_report(settings.folder, results, feed, csv=settings.scenario.metrics.export_csv)
        return results

    return in_thread(work)


def _shown_path(path: Path | None) -> str:
    """Short enough for a report, and without the folders of its author."""
    return f"{path.parent.name}/{path.name}" if path is not None else "-"
