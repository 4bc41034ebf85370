"""Everything a run is made of that is decided before it starts: a function of scenario, seed and speed.

A live run and a data set start from the same parts.

Building takes a moment of CPU (word lists, campaign plans), so it is kept apart from
running and can be done in a thread next to the event loop.

What a run is asked to do, after command line, environment and scenario have been weighed.
"""

from __future__ import annotations

import math
import secrets
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import gevent

from banksim.activity import Activity
from banksim.activity.block import Block
from banksim.activity.payments import check_payments, payments_in
from banksim.activity.planner import OnboardingPlan
from banksim.fraud import CampaignRun, CampaignSpec, FraudProgram
from banksim.fraud.patterns import load_plugin, registry_of
from banksim.fraud.program import check_fraud, plugin_paths
from banksim.measure import MeasureSettings
from banksim.measure.results import Planned, Window
from banksim.measure.summary import Asked
from banksim.measure.thresholds.judge import thresholds_of
from banksim.run.process import in_thread
from banksim.scenario import Scenario
from banksim.scenario.fraud import FraudSettings
from banksim.schedule.arrivals import Arrivals, make_arrivals
from banksim.schedule.clock import Clock, PiecewiseRate, clock_hours, in_hours, offered_rate, rates_follow
from banksim.schedule.simulation import Replan, Simulation
from banksim.world import World, load_personas
from banksim.world.random import stream


class Mode(StrEnum):
    """Where the targets are."""

    LIVE = "live"  # at the addresses given
    SANDBOX = "sandbox"  # the stand-ins, behind real HTTP, started for this run
    DRY_RUN = "dry-run"  # the stand-ins inside this process: no network

    @property
    def meaning(self) -> str:
        """One line of text."""
        return {
            Mode.LIVE: "live targets",
            Mode.SANDBOX: "sandbox (stand-in bank and detector over HTTP)",
            Mode.DRY_RUN: "dry run (stand-in bank and detector in process, no network)",
        }[self]


class KafkaUse(StrEnum):
    """Whether a run may publish events; where the brokers are is another setting."""

    AUTO = "auto"  # against live targets, when the brokers answer
    ASKED = "asked"  # brokers were named on the command line: in every mode
    OFF = "off"  # --no-kafka


def new_run_id() -> str:
    """A name for a run that sorts by time and is safe in paths and addresses."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """One run.  ``speed`` is in simulated seconds per wall second; ``seed`` decides everything random."""

    scenario: Scenario
    seed: int
    speed: float
    mode: Mode
    report_dir: Path
    run_id: str = field(default_factory=new_run_id)
    transaction_log: bool = False
    kafka: KafkaUse = KafkaUse.AUTO

    @property
    def folder(self) -> Path:
        """Where this run leaves its files."""
        return self.report_dir / self.run_id


def new_seed() -> int:
    """A seed for a run that was given none; short enough to type again."""
    return secrets.randbelow(1_000_000)


def counting(scenario: Scenario) -> MeasureSettings:
    """How a scenario wants its transactions counted; equal in every process of a run."""
    return MeasureSettings(
        interval_s=scenario.metrics.collect_interval_seconds,
        max_points=scenario.metrics.max_points,
        warm_up_s=scenario.warm_up_hours * 3600.0,
    )


LiveSimulation = Simulation[CampaignSpec, CampaignRun, Block]


class Adopter(Protocol):
    """Takes over campaigns that were replanned, such as a simulation."""

    def mine(self, specs: Iterable[CampaignSpec]) -> list[CampaignSpec]:
        """Those that concern it; called in a thread."""

    def adopt(self, planned: Sequence[CampaignSpec], until_s: float) -> None:
        """They hold until a simulated second, from which on others are to come."""


class Replanner:
    """Replans campaigns in a thread, one change after the other, and has the result adopted.

    A day of a busy bank has tens of thousands of campaigns, which take some tenths of a second to
    plan: too long for the event loop.  Campaigns that should start in that time start right after it.
    """

    def __init__(self, program: FraudProgram, adopters: Sequence[Adopter] = ()) -> None:
        self._program = program
        self._adopters = adopters
        self._waiting: deque[Replan] = deque()
        self._working: Any = None

    def replan(self, change: Replan) -> None:
        """Returns at once."""
        self._waiting.append(change)
        if self._working is None or self._working.ready():
            self._working = gevent.spawn(self._work)

    @property
    def busy(self) -> bool:
        """Whether campaigns are missing since they are being replanned."""
        return bool(self._waiting)

    def wait(self) -> None:
        """Return once every change so far has been adopted."""
        while self._waiting:
            self._working.join()

    def _work(self) -> None:
        while self._waiting:
            change = self._waiting[0]
            found = in_thread(partial(self._planned, change))
            until_s = self._waiting[1].from_s if len(self._waiting) > 1 else math.inf
            self._waiting.popleft()
            for adopter, planned in zip(self._adopters, found, strict=True):
                adopter.adopt(planned, until_s)

    def _planned(self, change: Replan) -> list[list[CampaignSpec]]:
        planned = self._program.replan(*change)
        return [adopter.mine(planned) for adopter in self._adopters]


@dataclass(frozen=True, slots=True)
class Parts:
    """The plan of one run.

    ``offered`` is λ in transactions per wall second, ``genuine`` what genuine people make of it.
    """

    world: World
    offered: PiecewiseRate
    genuine: PiecewiseRate
    clock: Clock
    arrivals: Arrivals
    activity: Activity
    desk: FraudProgram
    onboarding: OnboardingPlan | None

    @property
    def existing_customers(self) -> int:
        """How many customers there are before the run: those with the first indices."""
        return self.onboarding.existing if self.onboarding is not None else self.world.population.size

    def asked_tps(self, sim_s: float) -> float:
        """What is asked for at a simulated second, transactions per wall second; nothing while paused."""
        return 0.0 if self.clock.paused else self.offered.at(sim_s)


def check_plan(scenario: Scenario) -> None:
    """Raise ScenarioError for what a scenario's own check cannot see: personas, plugins, kinds of fraud."""
    personas = load_personas(scenario.personas)
    check_fraud(scenario)
    own = [kind for path in plugin_paths(scenario) for kind in payments_in(load_plugin(path))]
    check_payments(own, personas)


def build_parts(scenario: Scenario, seed: int, speed: float, shard: int = 0) -> Parts:
    """Plan a run at ``speed`` simulated seconds per wall second.  The same values give the same plan.

    Processes that share a run have the same people and campaigns; ``shard`` tells apart when
    each of them offers what to whom.
    """
    world = World.from_scenario(scenario, seed)
    offered = offered_rate(scenario, speed)
    if scenario.load is not None:  # the rate is then what a search says; this is where it starts
        offered = PiecewiseRate.constant(scenario.load.start_tps, scenario.duration_s)
    plugins = [load_plugin(path) for path in plugin_paths(scenario)]
    payments = [kind for module in plugins for kind in payments_in(module)]
    desk = FraudProgram(world, scenario, seed, offered, speed, registry_of(plugins))
    genuine = offered.times(desk.genuine_share)
    arrivals = make_arrivals(scenario.arrivals, genuine, speed, stream(seed, *_arrival_names(shard)))
    onboarding = None
    if scenario.onboarding is not None:
        onboarding = OnboardingPlan(world, scenario, offered)
    return Parts(
        world=world,
        offered=offered,
        genuine=genuine,
        clock=Clock(scenario.duration_s, speed, rates_follow(scenario)),
        arrivals=arrivals,
        activity=Activity(world, scenario, shard, payments, arrivals),
        desk=desk,
        onboarding=onboarding,
    )


#: Streams of the days before a run, apart from those of all processes of the run itself.
PAST_SHARD = 1 << 20


def past_of(scenario: Scenario) -> Scenario:
    """The days before a run as a scenario of their own: the same customers, and no fraud.

    Raises ValueError when the scenario has no ``history_days``.
    """
    if not scenario.history_days:
        raise ValueError("history_days: expected at least 1, got 0")
    return scenario.model_copy(
        update={
            "start_at": scenario.start_at - timedelta(days=scenario.history_days),
            "duration_hours": 24.0 * scenario.history_days,
            "fraud": FraudSettings(rate=0.0, decoy_rate=0.0),
            "load": None,
            "history_days": 0,
        }
    )


def build_past(scenario: Scenario, seed: int, speed: float) -> Parts:
    """Plan the days before a run at ``speed``; as in `past_of`, for a live run as for a data set."""
    parts = build_parts(past_of(scenario), seed, speed, PAST_SHARD)
    if parts.onboarding is not None:  # nobody joins before the run
        parts.onboarding.move_to(math.inf)
    return parts


def _arrival_names(shard: int) -> tuple[str | int, ...]:
    return ("arrivals", shard) if shard else ("arrivals",)


def asked(settings: RunSettings, parts: Parts | None) -> Asked:
    """What the run is held against, and what its scenario plans once that is known."""
    scenario = settings.scenario
    planned = _planned(settings, parts) if parts is not None else None
    return Asked(scenario.goals, thresholds_of(scenario), planned, scenario.currency, scenario.max_users)


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
