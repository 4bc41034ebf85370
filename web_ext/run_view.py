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
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from banksim.load.session import Session
from banksim.measure.results import Results, Snapshot, TargetRow, WorkerShown
from banksim.measure.story import Story
from banksim.measure.summary import Asked, build_results, live
from banksim.model import UsageError
from banksim.model.money import to_wire
from banksim.run.monitor import Curve
from banksim.run.plan import Parts, asked
from banksim.run.run import End, Run, State
from banksim.run.sink import CustomerCounts, EmptyFeed, FeedPage
from banksim.scenario import Dashboard
from banksim.world import Population
from web_ext.listings import Cards, PastRun, PastRuns, ScenarioList
from web_ext.plan_view import Schedule, Windows, schedule, story, windows

#: What `RunView.control` understands.
ACTIONS = ("pause", "resume", "stop", "speed")

#: Speed limits of a run, in simulated seconds per wall second.
MIN_SPEED = 0.1
MAX_SPEED = 10_000.0

#: Bounds of the pages' update interval in wall seconds, whatever a scenario says.
MIN_REFRESH_S, MAX_REFRESH_S = 0.1, 60.0


# -- Where a run is, as /api/status and every message to the pages have it ---------------------------


@dataclass(frozen=True, slots=True)
class ScenarioShown:
    """The scenario of a run."""

    name: str
    title: str
    description: str
    currency: str


@dataclass(frozen=True, slots=True)
class OpeningShown:
    """What is done before simulated time begins, out of all of it, and in words."""

    done: int
    total: int
    text: str


@dataclass(frozen=True, slots=True)
class DashboardShown:
    """What the scenario's dashboard block asks of the pages; see `Dashboard`."""

    theme: str = "auto"
    refresh_rate_ms: int = 1000
    max_feed_items: int = 500
    chart_retention_hours: float = 24.0
    chart_resolution_seconds: float = 5.0
    fraud_alert_threshold: float = 0.8
    sound_alerts: bool = False
    record: bool = True


@dataclass(frozen=True, slots=True)
class Status:
    """Where the run is; the defaults are those of a process that has run nothing.

    ``state``: idle, opening, running, paused, draining, finished or failed.  ``sim_time`` is ISO 8601,
    ``progress`` 0..1, ``report`` an address, ``selected`` the scenario of the next start, ``workers`` None
    where there are none to be had; ``story`` says what is under way.
    """

    selected: str
    dashboard: DashboardShown
    workers: list[WorkerShown] | None
    state: str = "idle"
    message: str = "No run yet"
    run_id: str | None = None
    scenario: ScenarioShown | None = None
    mode: str | None = None
    seed: int | None = None
    speed: float | None = None
    sim_s: float = 0.0
    duration_s: float | None = None
    sim_time: str | None = None
    wall_s: float = 0.0
    progress: float = 0.0
    opening: OpeningShown | None = None
    targets: list[TargetRow] = field(default_factory=list)
    report: str | None = None
    users: int = 0
    story: Story = field(default_factory=Story)

    @property
    def refresh_s(self) -> float:
        """Wall seconds between two updates, as the scenario's dashboard block has it."""
        return min(MAX_REFRESH_S, max(MIN_REFRESH_S, self.dashboard.refresh_rate_ms / 1000))


# -- Customers: who acted, spent and was attacked -----------------------------------------------------

#: Customers of one answer.
MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer; ``spent`` is an amount as text; ``fraud`` is None unless the truth was asked for."""

    customer: int
    name: str
    persona: str
    city: str
    transactions: int
    spent: str
    alerts: int
    fraud: int | None


@dataclass(frozen=True, slots=True)
class Customers:
    """Some of those who acted; ``note`` says why there is nobody, or what the counts leave out."""

    rows: list[CustomerRow] = field(default_factory=list)
    acted: int = 0
    customers: int = 0
    currency: str = ""
    note: str = ""


def customer_page(
    counts: CustomerCounts, population: Population, currency: str, sort: str, start: int, truth: bool
) -> Customers:
    """MOST_SHOWN customers from place ``start`` of the order by ``sort``."""
    found = []
    for index in counts.most(sort, start, MOST_SHOWN):
        who, (number, spent, alerts, fraud) = population.customer(index), counts.table[index].tolist()
        amount = to_wire(spent, currency)
        shown = fraud if truth else None
        found.append(
            CustomerRow(index, who.display_name, who.persona, who.address.city, number, amount, alerts, shown)
        )
    note = f"{counts.beyond} transactions of further customers are not told apart." if counts.beyond else ""
    return Customers(found, int(np.count_nonzero(counts.table[:, 0])), population.size, currency, note)


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
        self._story: tuple[float, Results | Run, Story] | None = None

    def status(self) -> Status:
        run = self._session.last_run
        workers, selected, dashboard = (
            self._session.worker_rows(),
            self._session.selected,
            self._dashboard(run),
        )
        if run is None:
            return Status(selected, dashboard, workers, message=self._session.idle_message)
        scenario, settings = run.settings.scenario, run.settings
        wall_s, sim_s = run.moment()
        opening = run.opening if run.state is State.OPENING else None
        return Status(
            selected=selected,
            dashboard=dashboard,
            workers=workers,
            state=str(run.state),
            message=run.message,
            run_id=settings.run_id,
            scenario=ScenarioShown(
                scenario.source_path.stem if scenario.source_path else scenario.name,
                scenario.name,
                scenario.description,
                scenario.currency,
            ),
            mode=str(settings.mode),
            seed=settings.seed,
            speed=run.speed,
            sim_s=sim_s,
            duration_s=scenario.duration_s,
            sim_time=(scenario.start_at + timedelta(seconds=sim_s)).isoformat(timespec="seconds"),
            wall_s=wall_s,
            progress=sim_s / scenario.duration_s,
            opening=OpeningShown(opening.done, opening.total, opening.text) if opening else None,
            targets=run.target_rows(),
            report=self._report_address(run),
            users=self._session.environment.runner.user_count,
            story=self._story_of(run),
        )

    def snapshot(self) -> Snapshot | None:
        run = self._session.last_run
        if run is None:
            return None
        now_s = time.monotonic()
        kept = self._snapshot
        if kept is None or kept[1] is not run or now_s - kept[0] > FRESH_S:
            kept = self._snapshot = (now_s, run, self._picture(run))
        return kept[2]

    def timeline(self, since: int = 0) -> Curve:
        run = self._session.last_run
        if run is None:
            return Curve(0, [])
        found = run.history.since(since)
        oldest_s = run.moment()[0] - run.settings.scenario.dashboard.chart_retention_hours * 3600.0
        return Curve(found.next, [point for point in found.points if (point["wall_s"] or 0.0) >= oldest_s])

    def windows(self) -> Windows:
        return windows(self._session.last_run)

    def schedule(self) -> Schedule:
        return schedule(self._session.last_run)

    def feed(self, since: int) -> FeedPage:
        run = self._session.last_run
        return run.feed.since(since) if run is not None else EmptyFeed().since(0)

    def customers(self, sort: str, start: int, truth: bool) -> Customers:
        """Who acted, MOST_SHOWN from place ``start`` on, those with the most of ``sort`` first."""
        run = self._session.last_run
        if run is None or run.parts is None:
            return Customers(note="Nobody has acted yet.")
        counts, scenario = run.load.customers, run.settings.scenario
        if counts is None:
            return Customers(
                customers=scenario.customers,
                currency=scenario.currency,
                note="Workers make this load, and what each customer did stays with them. "
                "The transaction log (--transaction-log) has every transaction.",
            )
        return customer_page(counts, run.parts.world.population, scenario.currency, sort, start, truth)

    def scenarios(self) -> Cards:
        options = self._session.environment.parsed_options
        selected = self._session.selected
        return replace(self._scenarios.cards(selected), selected=selected, mode=str(options.target_mode))

    def runs(self) -> list[PastRun]:
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
            kept = self._results = (
                now_s,
                run,
                build_results(run.info(str(run.state)), run.measures, self._asked_of(run), partial=True),
            )
        return kept[2]

    def control(self, action: str, value: float | None) -> Status:
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
            case "speed" if value is not None:
                _set_speed(run, value)
            case _:
                raise UsageError(f"{action}: expected pause, resume, stop or speed with a number")
        return self.status()

    def start(self, options: Mapping[str, str], switch: bool = False) -> Status:
        """Start a run; ``switch`` ends the active one first.  Raises BanksimError."""
        self._session.start(options, switch)
        return self.status()

    def select(self, name: str) -> Status:
        """Take a scenario for the next start.  Raises BanksimError."""
        self._session.select(name)
        return self.status()

    def report_file(self, run_id: str, name: str) -> Path | None:
        """A file that a run left, or None; names are checked by the caller and again here."""
        return self._past.path(run_id, name)

    def _story_of(self, run: Run) -> Story:
        now_s, kept, basis = time.monotonic(), self._story, run.results or run
        if kept is None or kept[1] is not basis or (basis is run and now_s - kept[0] > FRESH_S):
            kept = self._story = (now_s, basis, story(run))
        return kept[2]

    def _dashboard(self, run: Run | None) -> DashboardShown:
        """The dashboard block of the run's scenario, else of the one that would start now."""
        scenario = run.settings.scenario if run is not None else self._scenarios.find(self._session.selected)
        block = scenario.dashboard if scenario is not None else Dashboard()
        return DashboardShown(**block.model_dump(exclude={"enabled", "host", "port"}))

    def _picture(self, run: Run) -> Snapshot:
        """The run so far; once it is over, with the final verdict."""
        picture = replace(
            live(run.measures, run.moment()[0], self._asked_of(run)), capacity=run.load.capacity
        )
        done = run.results
        if done is None:
            return picture
        return replace(picture, rate=done.rate, verdict=done.verdict, tiles=done.tiles, funnel=done.funnel)

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


def _set_speed(run: Run, speed: float) -> None:
    try:
        run.set_speed(speed)
    except ValueError as error:
        raise UsageError(str(error)) from None
