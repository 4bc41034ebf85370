"""The run as the pages see and steer it.

Everything but the lists of scenarios and past runs is answered from memory and at once, since it runs
in the process that also makes the load.  Any number may be None, which means "no data yet" and is
never shown as 0.

Points and feed items are numbered from 0 within a run: `timeline(since)` and `feed(since)` return what
is numbered ``since`` or later, oldest first, and ``next`` for the next call.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from banksim.fraud.calendar import CampaignSpec
from banksim.load.session import Session
from banksim.measure.results import Results, RunInfo, Snapshot, decode
from banksim.measure.summary import Asked, build_results, live
from banksim.model import UsageError
from banksim.run.closing import asked, run_info
from banksim.run.plan import Parts
from banksim.run.run import End, Run, State
from banksim.scenario import Dashboard, Scenario
from banksim.schedule.rate import clock_hours, in_hours
from web_ext.listings import PastRuns, ScenarioList

#: What `RunView.control` understands.
ACTIONS = ("pause", "resume", "stop", "speed")

#: Speed limits of a run, in simulated seconds per wall second.
MIN_SPEED = 0.1
MAX_SPEED = 10_000.0

#: Bounds of the pages' update interval in wall seconds, whatever a scenario says.
MIN_REFRESH_S, MAX_REFRESH_S = 0.1, 60.0


def refresh_s(status: Mapping[str, Any]) -> float:
    """Wall seconds between two updates, as the scenario's dashboard block has it; 1 by default."""
    wanted_ms = (status.get("dashboard") or {}).get("refresh_rate_ms") or 1000
    return float(min(MAX_REFRESH_S, max(MIN_REFRESH_S, wanted_ms / 1000)))


# -- A run's plan as the timeline page draws it: rates, windows, campaigns, and what comes next -----
#
# Moments are simulated seconds since the start of the run.  A planned campaign and what
# became of it are one row: ``first_alert_s`` stays None until something was caught.


MAX_CAMPAIGNS = 400
MAX_EVENTS = 300
DAY_S = 86_400.0
#: With this many patterns' campaigns or fewer, each start is an event of its own.
MAX_ANNOUNCED = 40

NOTHING: dict[str, Any] = {"predicted": [], "attacks": [], "faults": [], "business_hours": []}


def windows(run: Run | None) -> dict[str, Any]:
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


def schedule(run: Run | None) -> dict[str, Any]:
    """`windows`, and in addition {"campaigns": […], "campaigns_total", "events": […]}."""
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


def _campaigns(run: Run, parts: Parts) -> list[dict[str, Any]]:
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


#: Several readers ask for the same figures within a moment; they are made once.
FRESH_S = 0.4
#: Results of an active run are more work, and made less often.
RESULTS_FRESH_S = 3.0


class RunView:
    """The current run of a session, or the last one."""

    def __init__(self, session: Session, base_path: str = "") -> None:
        self._session = session
        self._base_path = base_path
        self._scenarios = ScenarioList()
        self._past = PastRuns(session.report_dir)
        self._snapshot: tuple[float, Run, Snapshot] | None = None
        self._results: tuple[float, Run, Results] | None = None
        self._asked: tuple[Run, Parts | None, Asked] | None = None

    def status(self) -> dict[str, Any]:
        run = self._session.last_run
        common = {
            "workers": self._session.worker_rows(),
            "selected": self._session.selected,
            "dashboard": self._dashboard(run),
        }
        if run is None:
            return IDLE | common | {"message": self._session.idle_message}
        scenario, settings = run.settings.scenario, run.settings
        wall_s, sim_s = run.moment()
        opening = run.opening if run.state is State.OPENING else None
        return common | {
            "state": str(run.state),
            "message": run.message,
            "run_id": settings.run_id,
            "scenario": {
                "name": scenario.source_path.stem if scenario.source_path else scenario.name,
                "title": scenario.name,
                "description": scenario.description,
                "currency": scenario.currency,
            },
            "mode": str(settings.mode),
            "seed": settings.seed,
            "speed": run.speed,
            "sim_s": sim_s,
            "duration_s": scenario.duration_s,
            "sim_time": (scenario.start_at + timedelta(seconds=sim_s)).isoformat(timespec="seconds"),
            "wall_s": wall_s,
            "progress": sim_s / scenario.duration_s,
            "opening": {"done": opening.done, "total": opening.total} if opening else None,
            "targets": run.target_rows(),
            "report": self._report_address(run),
            "users": self._session.environment.runner.user_count,
        }

    def snapshot(self) -> Snapshot | None:
        run = self._session.last_run
        if run is None:
            return None
        now_s = time.monotonic()
        kept = self._snapshot
        if kept is None or kept[1] is not run or now_s - kept[0] > FRESH_S:
            kept = self._snapshot = (now_s, run, self._picture(run))
        return kept[2]

    def timeline(self, since: int = 0) -> dict[str, Any]:
        run = self._session.last_run
        if run is None:
            return {"next": 0, "points": []}
        found = run.history.since(since)
        oldest_s = run.moment()[0] - run.settings.scenario.dashboard.chart_retention_hours * 3600.0
        if oldest_s > 0:
            found["points"] = [point for point in found["points"] if point["wall_s"] >= oldest_s]
        return found

    def windows(self) -> dict[str, Any]:
        return windows(self._session.last_run)

    def schedule(self) -> dict[str, Any]:
        return schedule(self._session.last_run)

    def feed(self, since: int) -> dict[str, Any]:
        run = self._session.last_run
        if run is None or run.feed is None:
            return {"next": 0, "shown_of": {"sampled": 0, "seen": 0}, "items": []}
        return run.feed.since(since)

    def scenarios(self) -> dict[str, Any]:
        """{"scenarios": [card], "broken": [{name, error}], "selected", "mode"}."""
        options = self._session.environment.parsed_options
        selected = self._session.selected
        return {**self._scenarios.cards(selected), "selected": selected, "mode": str(options.target_mode)}

    def runs(self) -> list[dict[str, Any]]:
        return self._past.rows()

    def results(self) -> Results | None:
        """Of the last run; while it goes on, what there is so far, with ``partial`` true."""
        run = self._session.last_run
        if run is None or run.parts is None or run.started_at is None:
            return None
        if run.results is not None:
            return run.results
        now_s = time.monotonic()
        kept = self._results
        if kept is None or kept[1] is not run or now_s - kept[0] > RESULTS_FRESH_S:
            kept = self._results = (now_s, run, self._results_so_far(run, run.started_at))
        return kept[2]

    def control(self, action: str, value: Any | None) -> dict[str, Any]:
        """Raises UsageError, with a message for the user, when the run cannot do that now."""
        run = self._session.last_run
        if run is None or run.finished.is_set():
            raise UsageError("There is no run under way. Start one first.")
        match action:
            case "pause":
                run.pause()
            case "resume":
                run.resume()
            case "stop":
                run.request_end(End.STOPPED)
            case "speed":
                _set_speed(run, value)
            case _:
                raise UsageError(f"{action}: expected pause, resume, stop or speed")
        return self.status()

    def start(self, options: Mapping[str, str], switch: bool = False) -> dict[str, Any]:
        """Start a run; ``switch`` ends the active one first.  Raises BanksimError."""
        self._session.start(options, switch)
        return self.status()

    def select(self, name: str) -> dict[str, Any]:
        """Take a scenario for the next start.  Raises BanksimError."""
        self._session.select(name)
        return self.status()

    def report_file(self, run_id: str, name: str) -> Path | None:
        """A file that a run left, or None; names are checked by the caller and again here."""
        return self._past.path(run_id, name)

    def _dashboard(self, run: Run | None) -> dict[str, Any]:
        """The dashboard block of the run's scenario, else of the one that would start now."""
        scenario = run.settings.scenario if run is not None else self._scenarios.find(self._session.selected)
        block = scenario.dashboard if scenario is not None else Dashboard()
        return block.model_dump(exclude={"enabled", "host", "port"})

    def _picture(self, run: Run) -> Snapshot:
        """The run so far; once it is over, with the final verdict."""
        picture = live(run.measures, run.moment()[0], self._asked_of(run))
        done = run.results
        if done is None:
            return picture
        return replace(picture, rate=done.rate, verdict=done.verdict, tiles=done.tiles, funnel=done.funnel)

    def _results_so_far(self, run: Run, started_at: datetime) -> Results:
        parts = run.parts
        if parts is None:
            raise UsageError("The run has not been prepared.")
        info = run_info(run.settings, parts, run.addresses, run.moment(), started_at, str(run.state))
        return build_results(decode(RunInfo, info), run.measures, self._asked_of(run), partial=True)

    def _asked_of(self, run: Run) -> Asked:
        """What the run is held against; with its plan once it is made."""
        kept = self._asked
        if kept is None or kept[0] is not run or kept[1] is not run.parts:
            scenario = run.settings.scenario
            found = (
                asked(run.settings, run.parts)
                if run.parts is not None
                else Asked(scenario.goals, currency=scenario.currency)
            )
            kept = self._asked = (run, run.parts, found)
        return kept[2]

    def _report_address(self, run: Run) -> str | None:
        if run.results is None:
            return None
        return f"{self._base_path}/banksim/report/{run.settings.run_id}/report.html"


IDLE: dict[str, Any] = {
    "state": "idle",
    "message": "No run yet",
    "run_id": None,
    "scenario": None,
    "mode": None,
    "seed": None,
    "speed": None,
    "sim_s": 0.0,
    "duration_s": None,
    "sim_time": None,
    "wall_s": 0.0,
    "progress": 0.0,
    "opening": None,
    "targets": [],
    "report": None,
    "users": 0,
}


def _set_speed(run: Run, value: Any) -> None:
    try:
        run.set_speed(float(value))
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
