"""What the made-up view knows in addition to its day: scenarios, plan, results, past runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from banksim.measure.results import TargetRow
from banksim.model import BanksimError, UsageError
from tests.recorded import NAMES
from web_ext.listings import BrokenScenario, Card, Cards, PastRun, RunFile
from web_ext.plan_view import CampaignRow, PlanEvent, Schedule, Windows
from web_ext.run_view import Status

TARGETS = [
    TargetRow(name="Nexum", url="http://localhost:8090", ok=True, latency_ms=12.4),
    TargetRow(name="Bastion", url="http://localhost:8080", ok=True, latency_ms=31.0),
    TargetRow(name="Kafka", url="", detail="off: no servers named"),
]

DASHBOARD: dict[str, Any] = {}

CARDS = [
    Card(
        name=name,
        title=title,
        description=description,
        duration_hours=24.0,
        speed=speed,
        wall_s=86_400 / speed,
        customers=300,
        peak_tps=20.0,
        transactions=4321,
        fraud_rate=0.01,
        frauds=43,
        curve=[8.0, 20.0, 8.0],
        attacks=[(0.25, 0.5)],
        typologies=["card_testing", "account_takeover"],
        search=False,
    )
    for name, title, description, speed in (
        ("demo", "A day with two attacks", "Made up.", 288.0),
        ("quiet", "A quiet day", "Nothing <b>happens</b> here.", 100.0),
    )
]

CAMPAIGNS = [
    CampaignRow(
        campaign=f"card_testing-{number}",
        label="card_testing",
        typology="card_testing",
        size=20,
        begun=number < 3,
        start_s=7200.0 * number,
        end_s=7200.0 * number + 3000,
        transactions=20 if number < 3 else 0,
        alerted=5 if number < 2 else 0,
        first_alert_s=7200.0 * number + 600 if number < 2 else None,
    )
    for number in range(1, 9)
]

EVENTS = [
    PlanEvent(28_800.0, "business", "Business hours begin, 40 tx/s"),
    PlanEvent(52_000.0, "attack", "account_takeover begins"),
    PlanEvent(86_400.0, "end", "The scenario ends"),
]


def past_run(run_id: str, recall: float) -> PastRun:
    return PastRun(
        run_id=run_id,
        files=[RunFile("report.html", 900_000), RunFile("results.json", 40_000)],
        scenario="demo",
        title="A day with two attacks",
        started_at="2026-01-05T10:00:00+00:00",
        end="completed",
        verdict="PASSED",
        verdict_kind="pass",
        mode="dry-run",
        seed=7,
        speed=288.0,
        wall_s=300.0,
        simulated_s=86_400.0,
        customers=300,
        transactions=4000,
        offered=4001,
        dropped=1,
        error_share=0.0,
        peak_tps=31.0,
        achieved_tps=14.0,
        p50_ms=2.0,
        p99_ms=9.0,
        fraud=80,
        recall=recall,
        recall_low=recall - 0.1,
        recall_high=min(1.0, recall + 0.1),
        precision=0.8,
        false_positive_rate=0.002,
        coverage=1.0,
        thresholds=2,
        thresholds_failed=0,
    )


class DemoLists:
    """The part of `web_ext.run_view.RunView` that does not move with the clock."""

    selected = "demo"
    dashboard = DASHBOARD

    def __init__(self) -> None:
        self.starts: list[tuple[dict[str, str], bool]] = []

    def scenarios(self) -> Cards:
        broken = [BrokenScenario("torn", "duration_hours: missing (torn.yaml)")]
        return Cards(CARDS, broken, self.selected, "dry-run")

    def schedule(self) -> Schedule:
        shown = self.windows()
        windows = {one.name: getattr(shown, one.name) for one in fields(Windows)}
        return Schedule(**windows, campaigns=CAMPAIGNS, campaigns_total=len(CAMPAIGNS), events=EVENTS)

    def start(self, options: Mapping[str, str], switch: bool = False) -> Status:
        if options.get("scenario") == "nowhere":
            raise UsageError("'nowhere': no scenario of that name; known: demo, quiet")
        if self._state in ("running", "paused") and not switch:
            raise BanksimError("A run is under way.")
        self.starts.append((dict(options), switch))
        self.selected = options.get("scenario", self.selected)
        self.begin()
        return self.status()

    def check(self, options: Mapping[str, str]) -> str:
        if "nonsense" in options.get("threshold", ""):
            raise UsageError("threshold 'nonsense': expected a metric, a comparison and a bound")
        return "No threshold is set."

    def select(self, name: str) -> Status:
        if name not in {*NAMES, *(card.name for card in CARDS)}:
            raise UsageError(f"{name!r}: no scenario of that name; known: demo, quiet")
        self.selected = name
        return self.status()

    def runs(self) -> list[PastRun]:
        return [past_run("20260105-100000-aaaa", 0.9), past_run("20260104-100000-bbbb", 0.6)]
