"""The run as the web pages see and steer it: implements `web_ext.cockpit.Cockpit` for one process.

Everything answers from memory, at once.  Before the first run there is nothing to show,
and it says so instead of inventing zeros.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from banksim.demand import clock_hours, in_hours
from banksim.domain import UsageError
from banksim.engine.run import End, Run, State
from banksim.load.session import Session


class SessionCockpit:
    """The current run of a session, or the last one."""

    def __init__(self, session: Session, base_path: str = "") -> None:
        self._session = session
        self._base_path = base_path

    def status(self) -> dict[str, Any]:
        run = self._session.last_run
        if run is None:
            return _idle_status()
        scenario, settings = run.settings.scenario, run.settings
        wall_s, sim_s = run.moment()
        opening = run.opening if run.state is State.OPENING else None
        return {
            "state": str(run.state),
            "message": run.message,
            "run_id": settings.run_id,
            "scenario": {
                "name": scenario.source_path.stem if scenario.source_path else scenario.name,
                "title": scenario.name,
                "description": scenario.description,
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
            "targets": _targets(run),
            "report": self._report_address(run),
            "users": self._session.environment.runner.user_count,
        }

    def snapshot(self) -> dict[str, Any]:
        run = self._session.last_run
        return run.measures.snapshot(run.moment()[0]) if run is not None else {}

    def timeline(self, since: int = 0) -> dict[str, Any]:
        run = self._session.last_run
        return run.history.since(since) if run is not None else {"next": 0, "points": []}

    def windows(self) -> dict[str, Any]:
        run = self._session.last_run
        parts = run.parts if run is not None else None
        if run is None or parts is None:
            return {"predicted": [], "attacks": [], "business_hours": []}
        scenario = run.settings.scenario
        business = scenario.transaction_rate.business_hours
        return {
            "predicted": [{"start_s": p.start_s, "end_s": p.end_s, "tps": p.value} for p in parts.offered],
            "attacks": [
                {"label": w.label, "start_s": w.start_s, "end_s": w.end_s} for w in parts.desk.windows
            ],
            "business_hours": [
                {"start_s": start_s, "end_s": end_s}
                for start_s, end_s, moment in clock_hours(scenario.start_at, scenario.duration_s)
                if in_hours(moment.hour, business)
            ],
        }

    def feed(self, since: int) -> dict[str, Any]:
        run = self._session.last_run
        if run is None or run.feed is None:
            return {"next": 0, "shown_of": {"sampled": 0, "seen": 0}, "items": []}
        return run.feed.since(since)

    def control(self, action: str, value: Any | None) -> dict[str, Any]:
        """Raises UsageError, with a sentence for people, when the run cannot do that now."""
        run = self._session.last_run
        if run is None or run.finished.is_set():
            raise UsageError("There is no run under way. Start one from Locust's page.")
        match action:
            case "pause":
                run.pause()
            case "resume":
                run.resume()
            case "stop":
                run.request_end(End.STOPPED)
            case "speed":
                self._set_speed(run, value)
            case _:
                raise UsageError(f"{action}: expected pause, resume, stop or speed")
        return self.status()

    def report_file(self, run_id: str, name: str) -> Path | None:
        """A file that a run of this process left, or None; names are checked by the caller and again here."""
        run = self._session.last_run
        if run is None:
            return None
        root = run.settings.report_dir.resolve()
        path = (root / run_id / name).resolve()
        return path if path.parent.parent == root and path.is_file() else None

    def _set_speed(self, run: Run, value: Any) -> None:
        try:
            run.set_speed(float(value))
        except (TypeError, ValueError) as error:
            raise UsageError(str(error)) from None

    def _report_address(self, run: Run) -> str | None:
        if run.results is None:
            return None
        return f"{self._base_path}/banksim/report/{run.settings.run_id}/report.html"


def _idle_status() -> dict[str, Any]:
    return {
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


def _targets(run: Run) -> list[dict[str, Any]]:
    """Each target with how its last call went; ``ok`` is None before the first."""
    rows = []
    for name, address in (run.connected.addresses if run.connected else {}).items():
        last = run.last_calls.get(name)
        rows.append(
            {
                "name": name.capitalize(),
                "url": address,
                "ok": None if last is None else last.error is None,
                "detail": "" if last is None else last.error or "",
                "latency_ms": None if last is None else round(last.latency_ms, 2),
            }
        )
    if run.events is not None:
        rows.append(run.events.status())
    return rows
