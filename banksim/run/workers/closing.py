"""The one result of a run on many workers: what they counted, what they said last, who was lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from banksim.measure import Books
from banksim.measure.books import combined, not_checked
from banksim.measure.figures import Reconciliation
from banksim.measure.results import decode
from banksim.run.closing import run_info, write_results
from banksim.run.reconcile import keep_books, reconcile
from banksim.run.settings import Mode
from banksim.run.workers.intake import Merging
from banksim.run.workers.members import Standing
from banksim.run.workers.shared_targets import Premises

if TYPE_CHECKING:
    from banksim.run.workers.remote_load import MasterRun

Row = dict[str, Any]


def write_combined(run: MasterRun, premises: Premises) -> None:
    """Compare balances, judge thresholds, write the report; leaves the results in ``run.results``."""
    assert run.parts is not None and run.started_at is not None
    settings, merging = run.settings, run.intake.merging
    measures = merging.measures
    extras = run.intake.extras
    run.message = run.message if run.end == "failed" else "Comparing balances"
    reconciliation = _reconciled(run, premises, measures.books, extras)
    info = run_info(settings, run.parts, run.addresses, run.moment(), run.started_at, str(run.end))
    info["circuits"] = [
        {**circuit, "system": f"{circuit['system']} (worker {number})"}
        for number, extra in sorted(extras.items())
        for circuit in extra.get("circuits", ())
    ]
    if run.parts.onboarding is not None:
        info["onboarding"] = _sums(extra.get("onboarding", {}) for extra in extras.values())
    faults = premises.faults_of(extras.values())
    if faults:
        info["faults"] = faults
    info["detector"] = premises.detector_says()
    if settings.scenario.detector.feedback:
        info["feedback"] = _sums(extra.get("feedback", {}) for extra in extras.values())
    if settings.transaction_log:
        info["transaction_log"] = _logs(extras)
    info["workers"] = workers(run)
    run.results = write_results(
        settings,
        run.parts,
        measures,
        info,
        reconciliation,
        run.feed.items(),
        run.gate.decide(measures, info["wall_s"]),
        _kafka(premises, settings.scenario.connections.kafka_format, merging),
    )
    keep_books(settings, measures.books)


def workers(run: MasterRun) -> list[Row]:
    """Everybody who had a share, in the order of their numbers.

    ``ended``: "final" (all its figures are in) or "lost" (figures up to its last sign of life).
    """
    wall_origin_s = run.moment_origin_s
    return [
        {
            "number": member.number,
            "host": member.host,
            "pid": member.pid,
            "ended": str(Standing.FINAL if member.standing is Standing.FINAL else Standing.LOST),
            "left": member.leaving,
            "joined_wall_s": max(0.0, (member.joined_s or wall_origin_s) - wall_origin_s),
            "losses": member.losses,
            "gap_s": round(member.gap_s, 3),
            "not_offered": round(member.not_offered, 1),
            "in_flight": run.in_flight_of(member),
        }
        for member in sorted(run.roll.took_part.values(), key=lambda member: member.number)
    ]


def combined_targets(addresses: Mapping[str, str], rows: Mapping[int, Sequence[Row]]) -> list[Row]:
    """One row for each target: it does as badly as it does for the worst-off worker."""
    unknown: Row = {"ok": None, "detail": "", "latency_ms": None}
    found: dict[str, Row] = {
        name.capitalize(): {"name": name.capitalize(), "url": url, **unknown}
        for name, url in addresses.items()
    }
    for number, own in sorted(rows.items()):
        for row in own:
            target = found.setdefault(row["name"], {**row, **unknown})
            if row["ok"] is False or target["ok"] is None:
                target["ok"] = row["ok"]
            if row["detail"] and not target["detail"]:
                who = f"worker {number}: " if row["ok"] is False else ""
                target["detail"] = who + row["detail"]
            latencies = [ms for ms in (target["latency_ms"], row["latency_ms"]) if ms is not None]
            target["latency_ms"] = max(latencies, default=None)
    return list(found.values())


def _reconciled(
    run: MasterRun, premises: Premises, books: Books, extras: Mapping[int, Mapping[str, Any]]
) -> Reconciliation:
    """Every worker of a dry run compared its own bank; any other bank is compared here, with all books."""
    if run.settings.mode is Mode.DRY_RUN:
        return combined(
            decode(Reconciliation, extra["reconciliation"])
            for extra in extras.values()
            if "reconciliation" in extra
        )
    lost = [str(row["number"]) for row in workers(run) if row["ended"] != Standing.FINAL]
    if lost:
        named = f"worker {lost[0]} was" if len(lost) == 1 else f"workers {', '.join(lost)} were"
        return not_checked(books, f"{named} lost, and with it what the bank had acknowledged to it")
    assert premises.connected is not None
    return reconcile(books, premises.connected, run.settings.scenario.currency)


def _logs(extras: Mapping[int, Mapping[str, Any]]) -> Row:
    logs = [extra["transaction_log"] for extra in extras.values() if "transaction_log" in extra]
    return {
        "file": "transactions-N.csv, one for each worker",
        "files": sorted(log["file"] for log in logs),
        **_sums({"lines": log["lines"], "lost": log["lost"]} for log in logs),
    }


def _sums(rows: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            total[name] = total.get(name, 0) + value
    return total


def _kafka(premises: Premises, form: str, merging: Merging) -> Row:
    brokers = premises.brokers
    return {
        "enabled": bool(brokers.servers),
        "servers": brokers.asked_for,
        "format": form,
        "detail": brokers.reason,
        **merging.kafka.results(),
    }
