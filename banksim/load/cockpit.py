"""The run as the web pages see and steer it: implements `web_ext.cockpit.Cockpit` for one process.

Everything but the lists of scenarios and past runs answers from memory, at once.  Before the
first run there is nothing to show, and it says so instead of inventing zeros.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from banksim.domain import UsageError
from banksim.engine.closing import planned, run_info
from banksim.engine.life import End, Life, State
from banksim.load.goals import goals
from banksim.load.past_runs import PastRuns
from banksim.load.scenario_list import ScenarioList
from banksim.load.schedule import schedule, windows
from banksim.load.session import Session
from banksim.report import build_results
from banksim.scenario import Dashboard

#: Several readers ask for the same figures within a moment; they are made once.
FRESH_S = 0.4
#: Results of a run under way are more work, and made less often.
RESULTS_FRESH_S = 3.0


class SessionCockpit:
    """The current run of a session, or the last one."""

    def __init__(self, session: Session, base_path: str = "") -> None:
        self._session = session
        self._base_path = base_path
        self._scenarios = ScenarioList()
        self._past = PastRuns(session.report_dir)
        self._snapshot: tuple[float, Life, dict[str, Any]] | None = None
        self._results: tuple[float, Life, dict[str, Any]] | None = None
        self._goals: tuple[Life, list[dict[str, Any]]] | None = None

    def status(self) -> dict[str, Any]:
        run = self._session.last_run
        common = {
            "workers": self._session.worker_rows(),
            "selected": self._session.selected,
            "dashboard": self._dashboard(run),
        }
        if run is None:
            return IDLE | common
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
                "goals": self._goals_of(run),
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

    def snapshot(self) -> dict[str, Any]:
        run = self._session.last_run
        if run is None:
            return {}
        now_s = time.monotonic()
        kept = self._snapshot
        if kept is None or kept[1] is not run or now_s - kept[0] > FRESH_S:
            kept = self._snapshot = (now_s, run, run.measures.snapshot(run.moment()[0]))
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

    def results(self) -> dict[str, Any] | None:
        """Of the last run; while it goes on, what there is so far, with ``partial`` true."""
        run = self._session.last_run
        if run is None or run.parts is None or run.started_at is None:
            return None
        if run.results is not None:
            return run.results
        now_s = time.monotonic()
        kept = self._results
        if kept is None or kept[1] is not run or now_s - kept[0] > RESULTS_FRESH_S:
            kept = self._results = (now_s, run, _results_so_far(run, run.started_at))
        return kept[2]

    def control(self, action: str, value: Any | None) -> dict[str, Any]:
        """Raises UsageError, with a sentence for people, when the run cannot do that now."""
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
        """Start a run; ``switch`` ends the one under way first.  Raises BanksimError."""
        self._session.start(options, switch)
        return self.status()

    def select(self, name: str) -> dict[str, Any]:
        """Take a scenario for the next start.  Raises BanksimError."""
        self._session.select(name)
        return self.status()

    def report_file(self, run_id: str, name: str) -> Path | None:
        """A file that a run left, or None; names are checked by the caller and again here."""
        return self._past.path(run_id, name)

    def _dashboard(self, run: Life | None) -> dict[str, Any]:
        """The dashboard block of the run's scenario, else of the one that would start now."""
        scenario = run.settings.scenario if run is not None else self._scenarios.find(self._session.selected)
        block = scenario.dashboard if scenario is not None else Dashboard()
        return block.model_dump(exclude={"enabled", "host", "port"})

    def _goals_of(self, run: Life) -> list[dict[str, Any]]:
        if self._goals is None or self._goals[0] is not run:
            self._goals = (run, goals(run.settings.scenario))
        return self._goals[1]

    def _report_address(self, run: Life) -> str | None:
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


def _set_speed(run: Life, value: Any) -> None:
    try:
        run.set_speed(float(value))
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None


def _results_so_far(run: Life, started_at: datetime) -> dict[str, Any]:
    assert run.parts is not None
    info = run_info(run.settings, run.parts, run.addresses, run.moment(), started_at, "under way")
    results = build_results(info, run.measures, planned(run.settings, run.parts), with_timeline=False)
    return results | {"partial": True, "made_at": datetime.now(UTC).isoformat(timespec="seconds")}
