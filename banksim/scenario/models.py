"""The scenario: one YAML file, everything a run needs.

Attribute names are the file's keys.  A loaded scenario is immutable; settings from the
command line and the environment are merged in before the check.  `consistency` checks
that the blocks do not contradict each other.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from banksim.scenario.consistency import inconsistencies
from banksim.scenario.fields import (
    AmountRange,
    Balance,
    Block,
    DelayRange,
    Holiday,
    KafkaServers,
    Label,
    Locale,
    Number,
    Port,
    Share,
    StartMoment,
    TransactionRate,
    Url,
    closed_days,
)
from banksim.scenario.fraud import KNOWN_PATTERN_TYPES, FraudSettings
from banksim.scenario.targets import Fault, TargetsBlock

Milliseconds = Annotated[float, Number(above=0, high=600_000)]


class Onboarding(Block):
    """How new customers arrive.  Without this block every customer was there before the run."""

    kyc_approval_rate: Share = Field(
        default=0.9, description="Share of applicants whose identity check succeeds."
    )
    first_transaction_delay_hours: DelayRange = Field(
        default=(1.0, 24.0),
        description="Simulated hours from joining to the first transaction, one number or [least, most].",
    )
    initial_deposit_range: AmountRange = Field(
        default=(100.0, 5000.0), description="Smallest and largest first deposit, in currency units."
    )
    existing_share: Share = Field(
        default=0.2, description="Share of `customers` that were there before the run."
    )


class Activity(Block):
    """What genuine customers do."""

    hot_accounts: Annotated[int, Number(0, 10_000)] = Field(
        default=0,
        description="Accounts at the bank that merchants and billers are paid into, the k-th by a share of "
        "1/k: purchases and bills become transfers; 0: their money leaves the bank.",
    )


# -- `load`: a search for the highest rate instead of the scenario's own curve ----------------------


class Load(Block):
    """How the offered rate is decided.  Without this block it is `transaction_rate`'s."""

    mode: Literal["capacity"] = Field(
        default="capacity",
        description="`capacity`: raise the rate until a condition fails, then close in on the limit.",
    )
    start_tps: Annotated[float, Number(above=0, high=100_000)] = Field(
        default=10.0, description="Rate of the first step, transactions per wall-clock second."
    )
    factor: Annotated[float, Number(above=1, high=10)] = Field(
        default=1.5, description="What the rate is multiplied by after a step that held; `step` wins over it."
    )
    step: Annotated[float, Number(above=0, high=100_000)] | None = Field(
        default=None, description="What is added to the rate after a step that held."
    )
    hold_seconds: Annotated[float, Number(1, 3600)] = Field(
        default=30.0, description="Wall-clock seconds each rate is offered before it is judged."
    )
    precision: Annotated[float, Number(0.005, 0.5)] = Field(
        default=0.05, description="The search ends when the limit is known to this share."
    )
    max_tps: Annotated[float, Number(above=0, high=100_000)] = Field(
        default=10_000.0, description="Highest rate that is tried."
    )
    until: tuple[str, ...] = Field(
        default=("response_time.p99 < 1s", "errors < 1%", "drops == 0"),
        description="Thresholds that each step must meet.",
    )
    least_coverage: Annotated[float, Number(0, 1)] = Field(
        default=0.99,
        description="Share of a step's transactions that must be scored, where a detector is asked; 0: any.",
    )
    recall_drop: Annotated[float, Number(0, 1)] = Field(
        default=0.1,
        description="How far a step's recall, at the run's mix of fraud, may surely fall below the first "
        "step's, as a share of it; 1: to nothing.",
    )


# -- `invariant`: balances read back while a run goes on --------------------------------------------


class Invariant(Block):
    """The running check that accounts hold what the bank acknowledged."""

    enabled: bool = Field(default=True, description="Whether balances are read while the run goes on.")
    every_seconds: Annotated[float, Number(0.2, 3600)] = Field(
        default=5.0, description="Wall-clock seconds between two rounds of reading."
    )
    accounts: Annotated[int, Number(1, 1000)] = Field(
        default=10,
        description="Accounts read in a round at a live bank, one after the other, those that moved last "
        "first; a stand-in returns a thousand at once and ignores this.",
    )
    settle_seconds: Annotated[float, Number(0, 600)] = Field(
        default=3.0,
        description="Wall-clock seconds that a balance which does not agree, or is not read, is read again: "
        "books may lag behind what the bank has acknowledged.",
    )


class DetectorUse(Block):
    """One score per call by default, and no feedback on what was fraud."""

    batch_size: Annotated[int, Number(1, 1000)] = Field(
        default=1, description="Transactions scored in one call; 1: each by itself."
    )
    batch_wait_ms: Annotated[float, Number(0, 10_000)] = Field(
        default=20.0,
        description="Longest wall-clock milliseconds a transaction waits for its batch to fill.",
    )
    feedback: bool = Field(
        default=False,
        description="Whether the detector gets feedback on what was fraud. This reveals labels to the "
        "system under test, late, as a bank's investigators would.",
    )
    feedback_delay_hours: Annotated[float, Number(0, 8784)] = Field(
        default=168.0, description="Median of the simulated hours from a transaction to its feedback."
    )
    feedback_sigma: Annotated[float, Number(0, 5)] = Field(
        default=1.0, description="Spread of that delay: sigma of its log-normal distribution."
    )


# -- `dashboard` and `metrics`: the pages and the measurements of a run -----------------------------


#: Samples of a whole run: enough for any chart, and the least that still shows a shape.
MAX_POINTS = 2_000
MIN_POINTS = 60


class Dashboard(Block):
    """The web pages."""

    enabled: bool = Field(
        default=True,
        description="Whether banksim's pages are served; `--dashboard` wins over `false`.",
    )
    port: Port = Field(default=8095, description="TCP port of the dashboard.")
    host: Label = Field(
        default="127.0.0.1", description="Address to bind to; 0.0.0.0 serves every network interface."
    )
    theme: Literal["light", "dark", "auto"] = Field(
        default="auto", description="Colours of the pages; auto follows the viewer's system."
    )
    refresh_rate_ms: Annotated[int, Number(50, 60_000)] = Field(
        default=1000, description="Milliseconds between two updates of the pages."
    )
    max_feed_items: Annotated[int, Number(1, 10_000)] = Field(
        default=500, description="Transactions kept in the live feed."
    )
    chart_retention_hours: Annotated[float, Number(above=0, high=8784)] = Field(
        default=24.0, description="Hours of chart data that are kept."
    )
    chart_resolution_seconds: Annotated[float, Number(0.1, 3600)] = Field(
        default=5.0, description="Seconds between two points of a chart."
    )
    fraud_alert_threshold: Share = Field(
        default=0.8, description="Scores above this one raise an alert on the pages."
    )
    sound_alerts: bool = Field(default=False, description="Whether alerts make a sound.")
    record: bool = Field(
        default=True, description="Whether the run leaves a record that the pages can play again."
    )


class Metrics(Block):
    """The collector of measurements."""

    enabled: bool = Field(default=True, description="Whether measurements are collected over time.")
    collect_interval_seconds: Annotated[float, Number(0.05, 3600)] = Field(
        default=1.0, description="Wall-clock seconds between two samples; may be a fraction."
    )
    retention_minutes: Annotated[float, Number(above=0, high=44_640)] = Field(
        default=60.0,
        description="Wall-clock minutes kept at full resolution, at most 2,000 samples; "
        "a longer run is kept whole, with coarser ones.",
    )
    export_csv: bool = Field(default=True, description="Whether the samples are written as CSV at the end.")

    @property
    def max_points(self) -> int:
        """Samples over time that are kept before neighbours are merged."""
        wanted = self.retention_minutes * 60.0 / self.collect_interval_seconds
        return int(min(MAX_POINTS, max(MIN_POINTS, wanted)))


class Goals(Block):
    """What the four words of a verdict are held against; the defaults suit most systems."""

    sent: Share = Field(
        default=0.99,
        description="Least share of the due transactions that are sent, for Load: a generator that sends "
        "less did not test the load that was asked for. Load fails when five times as much is missing.",
    )
    dropped: Share = Field(
        default=0.001, description="Most due transactions that are never sent, as a share, for Load."
    )
    lag_p99_ms: Milliseconds = Field(
        default=50.0,
        description="Highest start lag (p99), for Load: from there on response times are partly the "
        "generator's own. Load fails at ten times as much.",
    )
    errors: Share = Field(
        default=0.001,
        description="Most transactions that fail or go unanswered, as a share, for Bank. Bank fails at ten "
        "times as many.",
    )
    bank_p99_ms: Milliseconds = Field(
        default=1000.0,
        description="Longest call to the bank (p99), for Bank: about a second keeps a customer's flow. Bank "
        "fails at twice as much.",
    )
    coverage: Share = Field(
        default=0.99,
        description="Least share of the transactions that get a usable score, for Detector: what is not "
        "scored is not protected. Detector fails when five times as much is missing.",
    )
    detector_p99_ms: Milliseconds = Field(
        default=1000.0, description="Longest call to the detector (p99), for Detector, which warns above it."
    )
    money: Literal["fail", "warn"] = Field(
        default="fail",
        description="What a difference that nothing explains makes of Money: `fail`, with exit code 99, or "
        "`warn`.",
    )


# -- `connections`: addresses of the systems under test, timeouts and retries -----------------------


class Connections(Block):
    """Addresses and limits of the clients.  An empty address switches that system off."""

    nexum_url: Url = Field(
        default="http://localhost:8090", description="Address of the Nexum core-banking API; '' for none."
    )
    bastion_url: Url = Field(
        default="http://localhost:8080",
        description="Address of the Bastion fraud-detection API; '' for no scoring.",
    )
    kafka_bootstrap_servers: KafkaServers | None = Field(
        default="localhost:9092",
        description="Kafka brokers as host:port, several with commas; 'embedded' for a test broker inside "
        "this process; null for no events. Without an answer from a broker the run goes on without events.",
    )
    kafka_format: Literal["flat", "envelope"] = Field(
        default="flat",
        description="Form of our events: flat (fields at the top) or envelope (fields under data, as the "
        "core bank's own event bridge writes and reads them).",
    )
    timeout_seconds: Annotated[float, Number(above=0, high=600)] = Field(
        default=30.0, description="Longest wait for an answer, in wall-clock seconds."
    )
    max_retries: Annotated[int, Number(0, 20)] = Field(
        default=3, description="How often a call that failed is tried again."
    )
    max_age_seconds: Annotated[float, Number(1, 86_400)] = Field(
        default=60.0, description="About how long a connection serves before a new one takes its place."
    )


SECONDS_PER_HOUR = 3600.0
SHORT_HASH_LENGTH = 12

#: A Monday, so that clock hours and weekdays mean what a scenario says.
DEFAULT_START = datetime(2026, 1, 5)

#: Key of the validation context: the loader checks consistency itself.
CHECKED_BY_LOADER = "checked_by_loader"


class Scenario(Block):
    """Everything a run needs, checked."""

    _source_path: Path | None = PrivateAttr(default=None)

    name: Label = Field(description="Title in the dashboard, the logs and the report.")
    description: str = Field(default="", description="What this scenario simulates.")
    duration_hours: Annotated[float, Number(above=0, high=8784)] = Field(
        description="Length of the run in simulated hours; it takes this × 3600 ÷ speed wall-clock seconds."
    )
    speed_multiplier: Annotated[float, Number(0.1, 10_000)] = Field(
        default=100.0, description="Simulated seconds per wall-clock second."
    )
    customers: Annotated[int, Number(1, 10_000_000)] = Field(
        default=500, description="Number of customers of the bank."
    )
    accounts_per_customer: Annotated[int, Number(1, 5)] = Field(
        default=1, description="Bank accounts of each customer."
    )
    initial_balance: Balance = Field(
        default=Decimal("5000.00"), description="Typical opening balance of an account, in currency units."
    )
    currency: Literal["USD", "EUR", "GBP", "JPY", "CAD", "CHF"] = Field(
        default="USD", description="Currency of every account and amount."
    )
    seed: Annotated[int, Number(0, 2**63 - 1)] | None = Field(
        default=None, description="Seed of every random decision; none: a new one for each run, reported."
    )
    start_at: StartMoment = Field(
        default=DEFAULT_START, description="Simulated moment at which the run starts."
    )
    holidays: tuple[Holiday, ...] = Field(
        default=(),
        description="Days that are as a Sunday for rates, customers and banks; salaries come before them.",
    )
    locale: Locale = Field(default="en_US", description="Where names and addresses come from.")
    flow: Literal["post_then_score", "score_then_post"] = Field(
        default="post_then_score",
        description="Order of the calls: book, then score; or score, then book what is not blocked.",
    )
    arrivals: Literal["poisson", "even"] = Field(
        default="poisson", description="Whether transactions arrive at random or evenly spaced."
    )
    max_users: Annotated[int, Number(1, 100_000)] = Field(
        default=200, description="Most connections to each target, and most users, of a process."
    )
    warm_up_hours: Annotated[float, Number(0, 8784)] = Field(
        default=0.0, description="Simulated hours at the start that count in no result."
    )
    history_days: Annotated[int, Number(0, 90)] = Field(
        default=0, description="Genuine days before the run, played to bank and detector first, unmeasured."
    )
    plugins: tuple[str, ...] = Field(
        default=(), description="Python files with kinds of fraud and payments, relative to the scenario."
    )
    transaction_rate: TransactionRate = Field(description="Transactions per second over day, week and year.")
    fraud: FraudSettings = Field(
        default_factory=FraudSettings, description="How much fraud, when and of which kinds."
    )
    connections: Connections = Field(
        default_factory=Connections, description="Where the systems under test are."
    )
    targets: TargetsBlock = Field(
        default_factory=TargetsBlock, description="Systems that are not Nexum and Bastion, and their doors."
    )
    dashboard: Dashboard = Field(default_factory=Dashboard, description="The web pages.")
    metrics: Metrics = Field(default_factory=Metrics, description="The collector of measurements.")
    load: Load | None = Field(
        default=None, description="A search for the highest rate; none: the rate of `transaction_rate`."
    )
    onboarding: Onboarding | None = Field(
        default=None, description="How customers join during the run; none: all were there before it."
    )
    activity: Activity = Field(default_factory=Activity, description="What genuine customers do.")
    detector: DetectorUse = Field(default_factory=DetectorUse, description="How the fraud detector is used.")
    invariant: Invariant = Field(
        default_factory=Invariant, description="Balances read back while the run goes on."
    )
    faults: tuple[Fault, ...] = Field(
        default=(), description="Outages to rehearse, in the stand-ins; with --sandbox or --dry-run only."
    )
    thresholds: tuple[str, ...] = Field(
        default=(),
        description="Conditions a run must meet, such as `recall >= 90%`; one that fails fails the run.",
    )
    goals: Goals = Field(default_factory=Goals, description="Limits of the verdict.")
    personas: dict[str, dict[str, object]] = Field(
        default_factory=dict, description="Changes to the kinds of customers, by name."
    )

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        """Refuse a scenario built in code whose blocks contradict each other."""
        context = info.context or {}
        if not context.get(CHECKED_BY_LOADER):
            problems = inconsistencies(self.model_dump(), context.get("pattern_types", KNOWN_PATTERN_TYPES))
            if problems:
                raise ValueError("; ".join(f"{problem.where}: {problem.text}" for problem in problems))
        return self

    @property
    def closed_days(self) -> frozenset[int]:
        """The holidays as days since 1 January 1970, with those of the years around the run."""
        return closed_days(self.holidays, self.start_at.year)

    @property
    def duration_s(self) -> float:
        """Length of the run in simulated seconds."""
        return self.duration_hours * SECONDS_PER_HOUR

    def wall_length_s(self, speed: float | None = None) -> float:
        """Length of the run in wall-clock seconds, at ``speed`` (default: the scenario's own)."""
        return self.duration_s / (speed or self.speed_multiplier)

    @property
    def source_path(self) -> Path | None:
        """The file the scenario was read from; None when it was built in code."""
        return self._source_path

    @property
    def hash(self) -> str:
        """SHA-256 (64 hex digits) of what a run sends: equal scenarios have equal hashes, whatever the file.

        The seed, whom it is sent to, and what a run is held against or shown with, are left out.
        """
        sent = self.model_dump(
            mode="json", exclude={"seed", "thresholds", "goals", "dashboard", "metrics", "targets"}
        )
        content = json.dumps(sent, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def short_hash(self) -> str:
        """The first 12 hex digits of `hash`, for displays."""
        return self.hash[:SHORT_HASH_LENGTH]

    def with_source(self, path: Path | None) -> Self:
        """The same scenario, remembering the file it came from."""
        copy = self.model_copy()
        copy._source_path = path
        return copy
