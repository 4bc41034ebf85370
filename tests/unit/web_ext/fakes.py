"""A view without an engine: a made-up day at a bank, counted and judged by the real code.

`DemoView` moves by itself (give it the real clock to look at the page) or only when a
test moves its clock.  The same run looks the same every time: transactions come from
formulas and `random.Random(seed)`, figures from a real `Measures`.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from banksim.measure import Measures
from banksim.measure.figures import ScoreHistogram
from banksim.measure.results import CapacityFigures, CapacityStep, Results, RunInfo, ScenarioInfo, Snapshot
from banksim.measure.results import Planned as Plan
from banksim.measure.story import Story, Stretch, amounts, findings, under_way
from banksim.measure.summary import Asked, build_results, live
from banksim.measure.thresholds.judge import Judge, parse_thresholds
from banksim.measure.thresholds.readings import Figures
from banksim.model import (
    AccountRef,
    At,
    BankReply,
    BanksimError,
    BankStatus,
    Channel,
    Decision,
    Ended,
    FraudStage,
    Kind,
    Label,
    Outcome,
    Place,
    Planned,
    ScoreReply,
    Transaction,
    Truth,
)
from banksim.run.monitor import Curve
from banksim.run.sink import CustomerCounts, Feed, FeedPage
from banksim.scenario.models import Goals
from banksim.targets import Call
from tests.recorded import NAMES, recorded
from tests.unit.web_ext.fake_lists import DASHBOARD, TARGETS, DemoLists
from web_ext.plan_view import Hours, Rate, Window, Windows
from web_ext.run_view import Customers, DashboardShown, OpeningShown, ScenarioShown, Status, customer_page

START_AT = datetime(2026, 1, 5)
DAY_S = 86_400.0
RUN_ID = "20260105-000000-demo"

TYPOLOGIES = {"card_testing": 0.93, "account_takeover": 0.71, "structuring": 0.42, "mule_network": 0.58}

ATTACKS = (
    {"label": "card_testing", "start_s": 7200.0, "end_s": 10_800.0},
    {"label": "account_takeover", "start_s": 52_000.0, "end_s": 58_000.0},
)

SCENARIO = ScenarioShown("demo", "A day with two attacks", "Made up.", "USD")
THRESHOLDS = ("drops == 0", "response_time.p99 < 5s", "recall >= 90%")
PER_SECOND = 12
HOME = Place("Springfield", "US", 39.8, -89.6)


def rung(tps: float, reason: str = "", repeats: bool = False) -> CapacityStep:
    """A rate that was tried."""
    figures = (
        tps,
        tps,
        4.0,
        20.0,
        45.0 if not reason else 900.0,
        0.0,
        0,
        0.9,
        0.8,
        0.96,
        0.01,
        0.81 if reason else 1.0,
        60,
    )
    return CapacityStep(tps, *figures, not reason, reason, 0.91, 0.82, 0.97, repeats)


SHORT = "coverage: 81.0% were scored, expected at least 0.99"
LADDER = CapacityFigures(
    found_tps=150.0,
    failed_tps=225.0,
    finished=False,
    hold_s=20.0,
    until=["response_time.p99 < 1s", "coverage >= 0.99 where a detector is asked"],
    steps=[rung(100.0), rung(150.0), rung(225.0, SHORT), rung(225.0, SHORT, repeats=True)],
    testing_tps=183.7,
    testing_s=6.4,
    left_s=53.6,
)

HOSTILE = '<img src=x onerror="document.title=\'owned\'"></script>&"'


class ManualClock:
    """Seconds that pass when a test says so."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def planned_tps(sim_s: float) -> float:
    """Offered rate of the made-up day: quiet nights, a lunch peak."""
    hour = sim_s % DAY_S / 3600
    return 12 + 70 * math.exp(-(((hour - 13) / 4) ** 2)) + 25 * math.exp(-(((hour - 19) / 2) ** 2))


class DemoView(DemoLists):
    """Implements `web_ext.run_view.RunView`.  ``speed`` is simulated seconds per second of ``clock``."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        speed: float = 600.0,
        duration_s: float = DAY_S,
        state: str = "running",
        report_dir: Path | None = None,
        customer: str = "Ana Martinez",
        opening_s: float = 0.0,
        dashboard: dict[str, Any] | None = None,
        merchant: str = "Blue Door Books",
        searching: bool = False,
    ) -> None:
        super().__init__()
        self.dashboard = DASHBOARD | (dashboard or {})
        self._merchant = merchant
        self._capacity = LADDER if searching else None
        self._clock = clock
        self._started_s = clock()
        self._opening_s = opening_s
        self._duration_s = duration_s
        self._speed = speed
        self._state = state
        self._report_dir = report_dir
        self._random = random.Random(7)
        self._sim_s = self._wall_s = 0.0
        self._last_s = self._started_s + opening_s
        self._points: list[dict[str, Any]] = []
        self._measures = Measures()
        person = SimpleNamespace(
            display_name=customer, persona="salaried", address=SimpleNamespace(city="Springfield")
        )
        self._population = SimpleNamespace(customer=lambda _: person, size=150)
        self._feed = Feed(SimpleNamespace(population=self._population), max_items=200)
        self._customers = CustomerCounts(150)
        self._payers = itertools.count()
        plan = Plan(transactions=1_000, duration_s=duration_s)
        self._asked = Asked(Goals(), parse_thresholds(THRESHOLDS), plan)
        self.controls: list[tuple[str, Any]] = []
        self.failing: Exception | None = None

    # -- the interface

    def status(self) -> Status:
        self._catch_up()
        now_s = self._clock()
        opened = min(500, int(500 * (now_s - self._started_s) / self._opening_s)) if self._opening_s else 500
        opening = self._state == "running" and opened < 500
        if (done := self._recorded()) is not None:
            over = self._status(opened, opening=False)
            return replace(over, state="finished", run_id=done.run.run_id, report=None, progress=1.0)
        return self._status(opened, opening)

    def _status(self, opened: int, opening: bool) -> Status:
        now_s = self._clock()
        idle = self._state == "idle"
        return Status(
            state="opening" if opening else self._state,
            message="",
            run_id=None if idle else RUN_ID,
            scenario=SCENARIO,
            mode="dry run",
            seed=7,
            speed=self._speed,
            sim_s=self._sim_s,
            duration_s=self._duration_s,
            sim_time=(START_AT + timedelta(seconds=self._sim_s)).isoformat(),
            wall_s=0.0 if idle else now_s - self._started_s,
            progress=self._sim_s / self._duration_s,
            opening=OpeningShown(opened, 500, f"opening customers: {opened} of 500") if opening else None,
            targets=TARGETS,
            report=f"/banksim/report/{RUN_ID}/report.html" if self._state == "finished" else None,
            users=0 if idle else 40,
            workers=None,
            selected=self.selected,
            dashboard=DashboardShown(**self.dashboard),
            story=Story() if idle else self._story(),
        )

    def _story(self) -> Story:
        figures = live(self._measures, self._wall_s, self._asked).detection
        if self._state == "finished":
            return Story(money=amounts(figures, "USD"), findings=findings(self.results()))
        lines = self._measures.detection.campaigns.lines.values()
        attacks = [
            Stretch(**attack, campaigns=[line for line in lines if line.typology == attack["label"]])
            for attack in ATTACKS
        ]
        faults = [Stretch("bank hangs", 30_000, 33_000, target="bank")]
        now = under_way([*attacks, *faults], self._measures.timeline, self._sim_s, self._speed, "USD")
        return Story(now, amounts(figures, "USD"))

    def snapshot(self) -> Snapshot | None:
        self._catch_up()
        if (done := self._recorded()) is not None:
            names = {one.name for one in fields(Snapshot)} - {"scores", "capacity"}
            values = {name: getattr(done, name) for name in names}
            scores = ScoreHistogram(done.scores.histogram)
            return Snapshot(**values, scores=scores, capacity=done.run.capacity)
        return replace(live(self._measures, self._wall_s, self._asked), capacity=self._capacity)

    def _recorded(self) -> Results | None:
        """The recorded run that was selected in place of the made-up day."""
        return recorded(self.selected) if self.selected in NAMES else None

    def results(self) -> Results | None:
        self._catch_up()
        if (done := self._recorded()) is not None:
            return done
        if self._state == "idle":
            return None
        over = self._state == "finished"
        run = RunInfo(
            run_id=RUN_ID,
            scenario=ScenarioInfo("demo", "A day with two attacks", start_at="2026-01-05T00:00:00"),
            mode="dry-run",
            currency="USD",
            wall_s=self._wall_s,
            simulated_s=self._sim_s,
            end="completed" if over else self._state,
            seed=7,
        )
        figures = Figures(self._measures, self._wall_s)
        rows = [verdict.as_row() for verdict in Judge(self._asked.thresholds).verdicts(figures)]
        return build_results(run, self._measures, self._asked, thresholds=rows, partial=not over)

    def timeline(self, since: int = 0) -> Curve:
        self._catch_up()
        return Curve(len(self._points), self._points[since:])

    def windows(self) -> Windows:
        hours = range(0, int(self._duration_s), 3600)
        return Windows(
            predicted=[Rate(s, s + 3600, planned_tps(s + 1800)) for s in hours],
            attacks=[Window(**attack) for attack in ATTACKS if attack["start_s"] < self._duration_s],
            faults=[Window("bank hangs", 30_000, 33_000)],
            business_hours=[Hours(28_800, 64_800)],
        )

    def feed(self, since: int) -> FeedPage:
        self._catch_up()
        if self.failing is not None:
            raise self.failing
        return self._feed.since(since)

    def customers(self, sort: str, start: int, truth: bool) -> Customers:
        self._catch_up()
        return customer_page(self._customers, self._population, "USD", sort, start, truth)

    def control(self, action: str, value: float | None) -> Status:
        self._catch_up()
        self.controls.append((action, value))
        if self._state in ("idle", "finished"):
            raise BanksimError(f"Cannot {action}: no run is going on.")
        if action == "speed":
            self._speed = float(value or 1.0)
        else:
            self._state = {"pause": "paused", "resume": "running", "stop": "finished"}[action]
        return self.status()

    def report_file(self, run_id: str, name: str) -> Path | None:
        return self._report_dir / run_id / name if self._report_dir else None

    def begin(self) -> None:
        """The same day again, from its morning."""
        self._state, self._sim_s = "running", 0.0
        self._started_s = self._last_s = self._clock()

    # -- the made-up day

    def _catch_up(self) -> None:
        now_s = self._clock()
        while now_s - self._last_s >= 1.0:
            self._last_s += 1.0
            if self._state == "running":
                self._second(self._last_s - self._started_s)

    def _second(self, wall_s: float) -> None:
        self._sim_s = min(self._duration_s, self._sim_s + self._speed)
        self._wall_s = wall_s
        attacked = [a for a in ATTACKS if a["start_s"] <= self._sim_s < a["end_s"]]
        at = At(wall_s, self._sim_s)
        self._measures.offered(at, PER_SECOND)
        self._measures.started(at, PER_SECOND)
        ended = [self._transaction(attacked) for _ in range(PER_SECOND)]
        self._measures.ended(at, ended)
        self._feed.ended(at, ended)
        self._customers.ended(at, ended)
        for _, outcome in ended:
            bank_ms, score_ms = outcome.bank.latency_ms, outcome.detector.latency_ms
            self._measures.called(at, [Call("nexum", "POST", "/transactions", bank_ms, 200, 300, 200, "")])
            self._measures.called(at, [Call("bastion", "POST", "/score", score_ms, 200, 300, 200, "")])
        if self._random.random() < 0.2:
            self._measures.offered(at)
            self._measures.dropped(at, None, "no free user")
        alerted = [planned.truth.is_fraud for planned, outcome in ended if outcome.detector.decision.is_alert]
        self._points.append(
            {
                "wall_s": wall_s,
                "sim_s": self._sim_s,
                "offered_tps": planned_tps(self._sim_s) * (1.35 if attacked else 1.0),
                "achieved_tps": planned_tps(self._sim_s) * (1.3 if attacked else 1.0),
                "predicted_tps": planned_tps(self._sim_s),
                "fraud": sum(planned.truth.is_fraud for planned, _ in ended),
                "alerts": len(alerted),
                "p99_ms": max(outcome.response_ms for _, outcome in ended),
                "fraud_alerted": sum(alerted),
                "false_positives": len(alerted) - sum(alerted),
                "nexum_p50_ms": 12.0,
                "nexum_p95_ms": 40.0,
                "nexum_p99_ms": 92.0,
                "cpu_percent": 23.0,
                "rss_bytes": 3e8,
            }
        )
        if self._sim_s >= self._duration_s:
            self._state = "finished"

    def _transaction(self, attacked: list[dict[str, Any]]) -> Ended:
        rng = self._random
        is_fraud = rng.random() < (0.3 if attacked else 0.01)
        typology = (attacked[0]["label"] if attacked else rng.choice(list(TYPOLOGIES))) if is_fraud else ""
        is_decoy = not is_fraud and rng.random() < 0.02
        caught = rng.random() < (TYPOLOGIES[typology] if is_fraud else 0.2 if is_decoy else 0.004)
        score = rng.uniform(0.7, 1.0) if caught else rng.uniform(0.0, 0.5) ** 1.5
        label = Label.FRAUD if is_fraud else Label.DECOY if is_decoy else Label.GENUINE
        merchant = rng.choice(["Corner Grocery", "Metro Fuel", self._merchant])
        transaction = Transaction(
            transaction_id=f"00000000-0000-4000-8000-{self._feed.seen:012d}",
            kind=rng.choice([Kind.PURCHASE, Kind.TRANSFER, Kind.WITHDRAWAL, Kind.BILL_PAYMENT]),
            account=AccountRef(next(self._payers) * 7 % 150),
            amount_cents=int(100 * rng.lognormvariate(3.5, 1.1)) + 1,
            currency="USD",
            channel=rng.choice([Channel.POS, Channel.ONLINE, Channel.MOBILE, Channel.ATM]),
            timestamp_s=START_AT.replace(tzinfo=UTC).timestamp() + self._sim_s,
            place=HOME,
            device_id="device",
            description=merchant,
        )
        truth = Truth(
            label,
            "salaried",
            typology or ("holiday_trip" if is_decoy else ""),
            f"{typology}-1" if is_fraud else "",
            stage=FraudStage.HARM if is_fraud else FraudStage.NONE,
        )
        decision = (Decision.BLOCK if score > 0.85 else Decision.REVIEW) if caught else Decision.APPROVE
        bank_ms, score_ms = rng.lognormvariate(2.5, 0.4), rng.lognormvariate(3.0, 0.5)
        unscored = rng.random() < 0.005
        return Ended(
            Planned(transaction, truth, self._sim_s),
            Outcome(
                BankReply(
                    BankStatus.POSTED if rng.random() > 0.02 else BankStatus.REFUSED, latency_ms=bank_ms
                ),
                ScoreReply(None, Decision.NONE, latency_ms=score_ms, error="timeout")
                if unscored
                else ScoreReply(round(score, 3), decision, ("velocity",) if caught else (), score_ms),
                lag_ms=rng.expovariate(2.0),
                service_ms=bank_ms + score_ms,
            ),
        )
