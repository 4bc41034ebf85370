"""A run's plan as the timeline page draws it: rates, windows, campaigns, and what comes next.

Moments are simulated seconds since the start of the run.  A planned campaign and what
became of it are one row: ``first_alert_s`` stays None until something was caught.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from banksim.demand import clock_hours, in_hours
from banksim.engine.life import Life
from banksim.fraud.spec import CampaignSpec
from banksim.plan import Parts
from banksim.scenario import Scenario

MAX_CAMPAIGNS = 400
MAX_EVENTS = 300
DAY_S = 86_400.0
#: With this many patterns' campaigns or fewer, each start is an event of its own.
MAX_ANNOUNCED = 40

NOTHING: dict[str, Any] = {"predicted": [], "attacks": [], "faults": [], "business_hours": []}


def windows(run: Life | None) -> dict[str, Any]:
    """What the scenario plans: {"predicted", "attacks", "faults", "business_hours"}."""
    parts = run.parts if run is not None else None
    if run is None or parts is None:
        return dict(NOTHING)
    return {
        "predicted": [{"start_s": p.start_s, "end_s": p.end_s, "tps": p.value} for p in parts.offered],
        "attacks": [{"label": w.label, "start_s": w.start_s, "end_s": w.end_s} for w in parts.desk.windows],
        "faults": [
            {"label": fault.label, "start_s": fault.start_s, "end_s": fault.end_s}
            for fault in run.settings.scenario.faults
        ],
        "business_hours": [
            {"start_s": start_s, "end_s": end_s} for start_s, end_s in business_hours(run.settings.scenario)
        ],
    }


def schedule(run: Life | None) -> dict[str, Any]:
    """`windows`, and beside them {"campaigns": […], "campaigns_total", "events": […]}."""
    parts = run.parts if run is not None else None
    if run is None or parts is None:
        return {**NOTHING, "campaigns": [], "campaigns_total": 0, "events": []}
    rows = _campaigns(run, parts)
    return {
        **windows(run),
        "campaigns": rows[:MAX_CAMPAIGNS],
        "campaigns_total": len(rows),
        "events": _events(run.settings.scenario, parts)[:MAX_EVENTS],
    }


def business_hours(scenario: Scenario) -> list[tuple[float, float]]:
    """Stretches of business hours; neighbouring hours are one."""
    found: list[tuple[float, float]] = []
    for start_s, end_s, moment in clock_hours(scenario.start_at, scenario.duration_s):
        if in_hours(moment.hour, scenario.transaction_rate.business_hours):
            if found and found[-1][1] == start_s:
                found[-1] = (found[-1][0], end_s)
            else:
                found.append((start_s, end_s))
    return found


def _campaigns(run: Life, parts: Parts) -> list[dict[str, Any]]:
    """Those that have begun first (they are facts), then the planned ones, each by start."""
    lines = dict(run.measures.detection.campaigns.lines)
    now_s = run.moment()[1]
    rows = []
    for spec in parts.desk.specs:
        line = lines.pop(spec.campaign_id, None)
        if line is None and (spec.decoy or spec.start_s < now_s):
            continue  # a decoy is no campaign to catch, and what should have begun and did not never will
        rows.append(_row(spec) | (_actual(line) if line is not None else {}))
    rows += [
        {"campaign": name, "label": line.typology, "typology": line.typology, "size": None, **_actual(line)}
        for name, line in lines.items()
    ]
    return sorted(rows, key=lambda row: (not row["begun"], row["start_s"]))


def _row(spec: CampaignSpec) -> dict[str, Any]:
    return {
        "campaign": spec.campaign_id,
        "label": spec.label,
        "typology": spec.typology,
        "size": spec.size,
        "begun": False,
        "start_s": spec.start_s,
        "end_s": spec.deadline_s,
        "transactions": 0,
        "alerted": 0,
        "first_alert_s": None,
    }


def _actual(line: Any) -> dict[str, Any]:
    return {
        "begun": True,
        "start_s": line.first_sim_s,
        "end_s": line.last_sim_s,
        "transactions": line.transactions,
        "alerted": line.alerted,
        "first_alert_s": line.first_alert_sim_s,
    }


def _events(scenario: Scenario, parts: Parts) -> list[dict[str, Any]]:
    duration_s = scenario.duration_s
    found = []
    for start_s, end_s in business_hours(scenario):
        found.append(_event(start_s, "business", f"Business hours begin, {_rate(parts, start_s)}"))
        if end_s < duration_s:
            found.append(_event(end_s, "business", f"Business hours end, {_rate(parts, end_s)}"))
    for window in parts.desk.windows:
        found.append(_event(window.start_s, "attack", f"{window.label} begins"))
        if window.end_s < duration_s:
            found.append(_event(window.end_s, "attack", f"{window.label} ends"))
    for fault in scenario.faults:
        found.append(_event(fault.start_s, "fault", f"Fault begins: {fault.label}"))
        if fault.end_s < duration_s:
            found.append(_event(fault.end_s, "fault", f"Fault ends: {fault.label}"))
    found += [
        _event(piece_s, "peak", f"Peak of the day, {_rate(parts, piece_s)}") for piece_s in _peaks(parts)
    ]
    announced = [spec for spec in parts.desk.specs if spec.exact or spec.follows]
    for spec in announced[:MAX_ANNOUNCED]:
        text = f"{spec.typology.replace('_', ' ')} starts: {spec.size} transactions"
        found.append(
            _event(
                spec.start_s, "campaign", text + (", if what it follows succeeded" if spec.follows else "")
            )
        )
    found.append(_event(duration_s, "end", "The scenario ends"))
    return sorted(found, key=lambda event: event["sim_s"])


def _peaks(parts: Parts) -> list[float]:
    """Where each day's highest rate begins; none for a day that is flat."""
    peaks = []
    for _, pieces in groupby(parts.offered, key=lambda piece: int(piece.start_s // DAY_S)):
        day = list(pieces)
        highest = max(day, key=lambda piece: piece.value)
        if highest.value > min(piece.value for piece in day):
            peaks.append(highest.start_s)
    return peaks


def _rate(parts: Parts, sim_s: float) -> str:
    return f"{parts.offered.at(min(sim_s, parts.offered.duration_s - 1e-6)):.3g} tx/s"


def _event(sim_s: float, kind: str, text: str) -> dict[str, Any]:
    return {"sim_s": sim_s, "kind": kind, "text": text}
